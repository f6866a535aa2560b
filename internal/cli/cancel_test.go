package cli

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"regexp"
	"sync/atomic"
	"testing"

	"muster/internal/defender/emulator"
)

// fault answers in the far side's place, while it is on, what is asked of some paths; the
// first times pass.
type fault struct {
	path   string // a regular expression
	passes int64
	answer func(w http.ResponseWriter, r *http.Request, next http.Handler)

	on  atomic.Bool
	met atomic.Int64
}

func (x *fault) wrap(next http.Handler) http.Handler {
	path := regexp.MustCompile(x.path)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if x.on.Load() && path.MatchString(r.URL.Path) && x.met.Add(1) > x.passes {
			x.answer(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hang never answers; it tells that it was asked.
func hang(asked chan<- struct{}) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		select {
		case asked <- struct{}{}:
		default:
		}
		_, _ = io.Copy(io.Discard, r.Body) // the end of a connection is noticed only behind the body
		<-r.Context().Done()
	}
}

// TestCancelledReading: a sync that is interrupted while it reads ends at once, as
// cancelled, with nothing staged and nothing applied; the next one is whole.
func TestCancelledReading(t *testing.T) {
	for _, c := range []struct {
		name, path string
		passes     int64
	}{
		{"signing in", "/oauth2/", 0},
		{"machine list", "/api/machines", 0},
		{"export", "/SoftwareVulnerabilitiesExport", 0},
		{"first file", "/SoftwareInventory/", 0},
		{"file in the middle", "/VaExport/", 3},
		{"catalogue", "/api/vulnerabilities", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{}, 1)
			x := &fault{path: c.path, passes: c.passes, answer: hang(asked)}
			f := newFarSide(t, emulator.Options{Devices: 20, Seed: 51}, func(o *emulator.ServerOptions) { o.Faults, o.PartMachines = x.wrap, 5 })
			clean, db := tempDatabase(t), tempDatabase(t)
			f.sync(clean)
			x.on.Store(true)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-asked
				cancel()
			}()
			code, out, errs := f.musterContext(ctx, append([]string{"sync", "--db", "sqlite:" + db, "--json"}, f.flags()...)...)
			expectCancelled(t, f, db, code, out, errs)
			for _, what := range []string{"machines", "findings", "software"} {
				if rows := f.export(db, what, "--scope", "all", "--state", "all"); len(rows) > 0 {
					t.Errorf("%d rows of %s were applied", len(rows), what)
				}
			}
			x.on.Store(false)
			f.sync(db)
			if f.exports(db) != f.exports(clean) {
				t.Error("the sync after it gives other data than a clean one")
			}
		})
	}
}

// expectCancelled looks at how an interrupted sync ended.
func expectCancelled(t *testing.T, f *farSide, db string, code int, out, errs string) {
	t.Helper()
	var run runJSON
	oneObject(t, out, &run)
	if code != exitFailed || run.State != "cancelled" || run.Error != nil || run.FinishedAt == nil || errs != "" {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	runs := f.export(db, "runs")
	if last := runs[len(runs)-1]; last["state"] != "cancelled" || last["finished_at"] == nil {
		t.Errorf("the run is recorded as %v", last)
	}
	handle, err := sql.Open("sqlite", db)
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	var staged int
	if err := handle.QueryRow(`SELECT (SELECT COUNT(*) FROM segment) + (SELECT COUNT(*) FROM segment_chunk) + (SELECT COUNT(*) FROM run_part)`).Scan(&staged); err != nil {
		t.Fatal(err)
	}
	if staged > 0 {
		t.Errorf("%d pieces are still staged", staged)
	}
}

// TestCancelledMerge: a sync that is interrupted while it applies what it has read ends
// as cancelled too; what was applied stays and the next sync brings the rest.
func TestCancelledMerge(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 40, Seed: 52})
	first := tempDatabase(t)
	f.sync(first)
	clean, db := copyOf(t, first), ""
	f.at(1)
	f.sync(clean)
	var code int
	var out, errs string
	for missed := true; missed; { // the merge may be over before it is seen
		db = copyOf(t, first)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- whileMerging(ctx, db, cancel) }()
		code, out, errs = f.musterContext(ctx, append([]string{"sync", "--db", "sqlite:" + db, "--json"}, f.flags()...)...)
		missed = ctx.Err() == nil
		cancel()
		if err := <-done; !missed && err != nil {
			t.Fatal(err)
		}
	}
	expectCancelled(t, f, db, code, out, errs)
	if half := f.exports(db); half == f.exports(first) || half == f.exports(clean) {
		t.Error("the merge was not in its middle")
	}
	f.sync(db)
	if f.exports(db) != f.exports(clean) {
		t.Error("the sync after it gives other data than a clean one")
	}
}

// whileMerging cancels with the database's only write lock in its hand, at a moment when
// one dataset is merged and another is not.
func whileMerging(ctx context.Context, db string, cancel func()) error {
	handle, err := sql.Open("sqlite", "file:"+db+"?_pragma=busy_timeout(20000)")
	if err != nil {
		return err
	}
	defer handle.Close()
	conn, err := handle.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	middle := func() (yes bool, err error) {
		err = conn.QueryRowContext(ctx, `SELECT COUNT(*) > 0 FROM run r WHERE state = 'merging' AND EXISTS (SELECT 1 FROM run_dataset WHERE run_id = r.id AND merged = 1)
			AND EXISTS (SELECT 1 FROM run_dataset WHERE run_id = r.id AND merged = 0)`).Scan(&yes)
		return yes, err
	}
	for {
		if seen, err := middle(); err != nil {
			return err
		} else if !seen {
			continue
		}
		if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
			return err
		}
		still, err := middle()
		if still {
			cancel()
		}
		if _, failed := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil || failed != nil || still {
			return errors.Join(err, failed)
		}
	}
}
