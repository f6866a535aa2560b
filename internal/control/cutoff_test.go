package control_test

import (
	"context"
	"errors"
	"testing"

	"muster"
	"muster/internal/wire"
)

// TestMergeCutOff: a merge that loses the database goes on under the same lease; one that
// loses it for good, or fails otherwise, ends the run with the reason.
func TestMergeCutOff(t *testing.T) {
	gone := &muster.Error{Meaning: muster.ErrUnavailable, Code: "database_unreachable", Message: "Gone.", Advice: "Wait."}
	full := &muster.Error{Meaning: muster.ErrUnavailable, Code: "disk_full", Message: "Full.", Advice: "Tidy."}
	for _, c := range []struct {
		name   string
		fails  int
		with   error
		merges int
		code   string
	}{
		{"twice", 2, gone, 3, ""},
		{"for good", 100, gone, 5, "database_unreachable"},
		{"no space", 100, full, 1, "disk_full"},
		{"another reason", 100, errors.New("x"), 1, "internal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				leases := map[wire.Lease]bool{}
				o.merge = func(_ context.Context, l wire.Lease) ([]muster.Notice, error) {
					if leases[l] = true; o.merges <= c.fails {
						return nil, c.with
					}
					return nil, nil
				}
				run := o.start(t, settings)
				o.read(t, run, map[muster.Dataset]wire.Completeness{muster.Machines: whole, muster.Software: whole})
				if err := o.Control.Merge(t.Context(), run); err != nil {
					t.Fatal(err)
				}
				if o.merges != c.merges || len(leases) != 1 {
					t.Errorf("merged %d times under %d leases, want %d under one", o.merges, len(leases), c.merges)
				}
				r := o.report(t, run)
				if got := r.Error; (got == nil) != (c.code == "") || got != nil && got.Code != c.code {
					t.Errorf("the run ended as %s, %+v; want %q", r.State, got, c.code)
				}
			})
		})
	}
}
