package control_test

import (
	"testing"
	"time"

	"muster"
)

// Two syncs that find the same lost run: one goes on, the other is told that it is busy.
func TestTwoStartsOnALostRun(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		run := o.start(t, settings)
		if _, _, err := o.Board(run).Claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // the holder is dead
		ends := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := o.Start(t.Context(), "default", "sync", settings, false)
				ends <- err
			}()
		}
		for range 2 {
			if err := <-ends; err != nil && code(err) != "connector_busy" {
				t.Errorf("code %s: %v", code(err), err)
			}
		}
	})
}

// The merge of a run found dead is shared out in the same way.
func TestTwoStartsOnALostMerge(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		run := o.start(t, settings)
		o.read(t, run, nil)
		if _, _, err := o.db.ClaimMerge(t.Context(), run, time.Now(), time.Now().Add(15*time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		ends := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := o.Start(t.Context(), "default", "sync", settings, false)
				ends <- err
			}()
		}
		for range 2 {
			if err := <-ends; err != nil && code(err) != "connector_busy" {
				t.Errorf("code %s: %v", code(err), err)
			}
		}
	})
}

// A merging run that is days old and was staged under other filters.
func TestOldMergeUnderOtherFilters(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		run := o.start(t, settings)
		o.read(t, run, nil)
		time.Sleep(72 * time.Hour)
		other := settings
		other.Filter = muster.Filter{Tags: []string{"x"}}
		if _, err := o.Start(t.Context(), "default", "sync", other, false); err != nil {
			t.Fatal(err)
		}
		if o.merges > 0 {
			t.Error("data staged three days ago under other filters was merged")
		}
	})
}
