package control_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"muster"
	"muster/internal/control"
	"muster/internal/store/relational"
	"muster/internal/store/sqlite"
	"muster/internal/wire"
	"muster/internal/worker"
)

// office is a control over a real database, with a merger that a test directs. It lives
// in a synctest bubble, whose clock moves only when everybody waits.
type office struct {
	*control.Control
	db     *relational.Store
	merges int
	merge  func(ctx context.Context, l wire.Lease) ([]muster.Notice, error)
}

func (o *office) Merge(ctx context.Context, l wire.Lease) ([]muster.Notice, error) {
	o.merges++
	if o.merge == nil {
		return nil, nil
	}
	return o.merge(ctx, l)
}

// merger keeps the office's own Merge apart from the control's.
type merger struct{ *office }

func inOffice(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "muster.db"), true)
		if err != nil {
			t.Fatal(err)
		}
		o := &office{db: db}
		o.Control = control.New(db, merger{o}, time.Now, slog.New(slog.DiscardHandler))
		test(t, o)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

var settings = muster.Settings{TenantID: "contoso.example", ClientID: "11111111-1111-1111-1111-111111111111", Cloud: "commercial", Datasets: []muster.Dataset{muster.Machines, muster.Software}}

const tenant = "22222222-2222-2222-2222-222222222222"

func (o *office) start(t *testing.T, s muster.Settings) int64 {
	t.Helper()
	id, err := o.Start(t.Context(), "default", "sync", s, false)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// read claims a run's reading and ends it with whole datasets.
func (o *office) read(t *testing.T, run int64, states map[muster.Dataset]wire.Completeness) {
	t.Helper()
	board := o.Board(run)
	lease, _, err := board.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = o.db.BindTenant(t.Context(), lease, tenant)
	for d, c := range states {
		err = errors.Join(err, o.db.EndDataset(t.Context(), lease, d, c))
	}
	if err = errors.Join(err, board.Finish(t.Context(), lease, wire.Outcome{TenantID: tenant})); err != nil {
		t.Fatal(err)
	}
}

func (o *office) report(t *testing.T, run int64) muster.Run {
	t.Helper()
	r, err := o.db.Report(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return muster.AsError(err).Code
}

var (
	whole   = wire.Completeness{Mode: muster.ModeFull, State: muster.Complete, SourceTime: time.Unix(1, 0)}
	partial = wire.Completeness{Mode: muster.ModeFull, State: muster.Partial, Reason: "a file stayed empty", SourceTime: time.Unix(1, 0)}
	skipped = wire.Completeness{Mode: muster.ModeSkipped, State: muster.Partial, Reason: "no permission"}
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name     string
		software wire.Completeness
		warnings []muster.Notice
		want     muster.RunState
	}{
		{"everything whole", whole, nil, muster.Succeeded},
		{"with a warning", whole, []muster.Notice{{Code: "rejected_rows"}}, muster.SucceededWithWarnings},
		{"a dataset that was never allowed is not planned", skipped, nil, muster.Succeeded},
		{"no other planned dataset was whole", partial, nil, muster.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			inOffice(t, func(t *testing.T, o *office) {
				o.merge = func(context.Context, wire.Lease) ([]muster.Notice, error) { return c.warnings, nil }
				run := o.start(t, settings)
				o.read(t, run, map[muster.Dataset]wire.Completeness{muster.Machines: whole, muster.Software: c.software})
				if err := o.Control.Merge(t.Context(), run); err != nil {
					t.Fatal(err)
				}
				r := o.report(t, run)
				if r.State != c.want || len(r.Warnings) != len(c.warnings) || (r.Error != nil) != (c.want == muster.Failed) {
					t.Errorf("%+v, want %s", r, c.want)
				}
				bound, err := o.db.Connector(t.Context(), "default")
				if want := map[bool]string{true: "", false: tenant}[c.want == muster.Failed]; err != nil || bound.Tenant != want {
					t.Errorf("bound to %q, want %q: only a success fixes the tenant", bound.Tenant, want)
				}
			})
		})
	}
}

func TestTenantIsFixed(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		run := o.start(t, settings)
		o.read(t, run, map[muster.Dataset]wire.Completeness{muster.Machines: whole, muster.Software: whole})
		if err := o.Control.Merge(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		other := settings
		other.TenantID = "33333333-3333-3333-3333-333333333333"
		if _, err := o.Start(t.Context(), "default", "sync", other, false); code(err) != "tenant_changed" {
			t.Errorf("another tenant: %v", err)
		}
	})
}

func TestHolderThatRenewsIsBusy(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		board := o.Board(o.start(t, settings))
		lease, _, err := board.Claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go func() {
			for ctx.Err() == nil {
				time.Sleep(5 * time.Second)
				_, _ = board.Renew(ctx, lease, wire.Progress{})
			}
		}()
		began := time.Now()
		if _, err := o.Start(t.Context(), "default", "sync", settings, false); code(err) != "connector_busy" {
			t.Errorf("%v, want connector_busy", err)
		}
		if took := time.Since(began); took > 7*time.Second {
			t.Errorf("refused after %s, though the holder renewed after 5", took)
		}
		stop()
		time.Sleep(6 * time.Second)
	})
}

func TestSilentHolderIsTakenOver(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		run := o.start(t, settings)
		zombie := o.Board(run)
		lease, _, err := zombie.Claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if again := o.start(t, settings); again != run {
			t.Errorf("run %d was started, want %d to go on", again, run)
		}
		if took := time.Since(began); took < 15*time.Second || took > 20*time.Second {
			t.Errorf("taken over after %s, want when the lease of 15 s has run out", took)
		}
		if _, err := zombie.Renew(t.Context(), lease, wire.Progress{}); !errors.Is(err, muster.ErrLeaseLost) {
			t.Errorf("the zombie renews: %v", err)
		}
		if err := zombie.Finish(t.Context(), lease, wire.Outcome{}); !errors.Is(err, muster.ErrLeaseLost) {
			t.Errorf("the zombie finishes: %v", err)
		}
	})
}

func TestLostMergeIsFinishedFirst(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		run := o.start(t, settings)
		o.read(t, run, map[muster.Dataset]wire.Completeness{muster.Machines: whole, muster.Software: whole})
		if _, _, err := o.db.ClaimMerge(t.Context(), run, time.Now(), time.Now().Add(15*time.Second)); err != nil {
			t.Fatal(err)
		}
		next := o.start(t, settings)
		if r := o.report(t, run); r.State != muster.Succeeded || o.merges != 1 || next == run {
			t.Errorf("the lost run is %s after %d merges, the next is %d", r.State, o.merges, next)
		}
	})
}

func TestRunLostTooOftenIsAbandoned(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		first := o.start(t, settings)
		for range muster.AbandonAfter {
			if _, _, err := o.Board(first).Claim(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(16 * time.Second)
			o.start(t, settings)
		}
		if r := o.report(t, first); r.State != muster.Abandoned {
			t.Errorf("%s after %d losses", r.State, muster.AbandonAfter)
		}
	})
}

func TestQueuedRunOfOtherSettingsIsDropped(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		first := o.start(t, settings)
		if again := o.start(t, settings); again != first {
			t.Errorf("the same settings gave run %d, want %d", again, first)
		}
		other := settings
		other.Filter.StaleDays = 30
		second := o.start(t, other)
		if r := o.report(t, first); second == first || r.State != muster.Cancelled {
			t.Errorf("run %d is %s, the new one is %d", first, r.State, second)
		}
		_, job, err := o.Board(second).Claim(t.Context())
		if err != nil || job.Connector.Settings.Filter.StaleDays != 30 {
			t.Errorf("the job has %+v, %v", job.Connector.Settings.Filter, err)
		}
		if _, _, err := o.Board(second).Claim(t.Context()); !errors.Is(err, worker.ErrNoWork) {
			t.Errorf("claimed twice: %v", err)
		}
	})
}

func TestStagedDataOfYesterdayIsDropped(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		first := o.start(t, settings)
		if _, _, err := o.Board(first).Claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		if second := o.start(t, settings); second == first {
			t.Error("a run begun 25 hours ago goes on")
		}
	})
}

func TestMergeThatLosesItsLeaseSaysSo(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		run := o.start(t, settings)
		o.read(t, run, map[muster.Dataset]wire.Completeness{muster.Machines: whole, muster.Software: whole})
		o.merge = func(ctx context.Context, l wire.Lease) ([]muster.Notice, error) {
			if err := o.db.Drop(ctx, run, muster.Abandoned, muster.Notice{}, time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
			<-ctx.Done() // the renewal notices
			return nil, ctx.Err()
		}
		if err := o.Control.Merge(t.Context(), run); !errors.Is(err, muster.ErrLeaseLost) {
			t.Errorf("%v, want a lost lease", err)
		}
	})
}

func TestBudgetIsPerEndpoint(t *testing.T) {
	inOffice(t, func(t *testing.T, o *office) {
		board := o.Board(o.start(t, settings))
		lease, _, err := board.Claim(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		budget := func(endpoint string) time.Duration {
			t.Helper()
			wait, err := board.Budget(t.Context(), lease, endpoint)
			if err != nil {
				t.Fatal(err)
			}
			return wait
		}
		for range 5 {
			if wait := budget("SoftwareInventoryExport"); wait != 0 {
				t.Fatalf("wait %s within the budget", wait)
			}
		}
		if wait := budget("SoftwareInventoryExport"); wait != time.Minute {
			t.Errorf("the sixth call within a minute waits %s, want a minute", wait)
		}
		if wait := budget("SoftwareVulnerabilitiesExport"); wait != 0 {
			t.Errorf("another endpoint waits %s", wait)
		}
	})
}
