package muster_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"muster"
)

// TestRunMoves holds every pair of states against what SPEC §4 says of a run's life.
func TestRunMoves(t *testing.T) {
	allowed := map[muster.RunState]string{
		muster.Queued:     "dispatched cancelled skipped missed",
		muster.Dispatched: "running queued cancelled failed abandoned",
		muster.Running:    "merging queued failed cancelled abandoned",
		muster.Merging:    "succeeded succeeded_with_warnings failed cancelled abandoned",
	}
	all := []muster.RunState{
		muster.Queued, muster.Dispatched, muster.Running, muster.Merging, muster.Succeeded, muster.SucceededWithWarnings,
		muster.Failed, muster.Cancelled, muster.Missed, muster.Skipped, muster.Abandoned,
	}
	for _, from := range all {
		if from.Final() != (allowed[from] == "") {
			t.Errorf("%s: final = %t", from, from.Final())
		}
		for _, to := range all {
			want := slices.Contains(strings.Fields(allowed[from]), string(to))
			if from.May(to) != want {
				t.Errorf("%s to %s: may = %t", from, to, !want)
			}
			if slices.Contains(to.Before(), from) != want {
				t.Errorf("%s before %s: %t", from, to, !want)
			}
		}
	}
}

// TestCountsAdd adds every field, also one that a later version brings.
func TestCountsAdd(t *testing.T) {
	var sum, one muster.Counts
	fields := reflect.ValueOf(&one).Elem()
	for i := range fields.NumField() {
		fields.Field(i).SetInt(int64(i + 1))
	}
	sum.Add(one)
	sum.Add(one)
	for i := range fields.NumField() {
		if got := reflect.ValueOf(sum).Field(i).Int(); got != int64(2*(i+1)) {
			t.Errorf("%s = %d, want %d", fields.Type().Field(i).Name, got, 2*(i+1))
		}
	}
}
