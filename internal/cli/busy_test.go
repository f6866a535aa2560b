package cli

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"muster"
	"muster/internal/control"
	"muster/internal/defender"
	"muster/internal/defender/emulator"
	"muster/internal/ingest"
	"muster/internal/wire"
	"muster/internal/worker"
)

// TestDatabaseRefused: a database of a newer program and one of another program are
// refused by every command and stay as they are, byte for byte.
func TestDatabaseRefused(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 3, Seed: 41})
	good := tempDatabase(t)
	f.sync(good)
	for _, c := range []struct {
		name, statement string
		onEmpty         bool
		want            badInput
	}{
		{name: "newer", statement: `INSERT INTO muster_version (version_id, is_applied) VALUES (9999, 1)`, want: badInput{code: "database_newer", exit: exitFailed, says: "9999"}},
		{name: "another program's", statement: `CREATE TABLE invoices (id INTEGER PRIMARY KEY)`, onEmpty: true, want: badInput{code: "invalid_db", exit: exitUsage, says: "another program"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, db := f.on(t), filepath.Join(t.TempDir(), "muster.db")
			if !c.onEmpty {
				db = unverified(t, good)
			}
			execute(t, db, c.statement)
			before := readAll(t, filepath.Dir(db))
			g.expectBad(c.want, db)
			g.expectBadJSON(c.want, db)
			code, out, errs := g.muster("export", "machines", "--db", "sqlite:"+db)
			if code != c.want.exit || out != "" {
				t.Errorf("export ends with %d and prints %q", code, out)
			}
			g.expectLine(c.want, errs)
			if readAll(t, filepath.Dir(db)) != before {
				t.Error("the refused database was changed")
			}
		})
	}
}

func execute(t *testing.T, db, statement string) {
	t.Helper()
	handle, err := sql.Open("sqlite", db) // registered by the store's engine
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	if _, err := handle.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// holder is another process that works on a connector's run.
type holder struct {
	board *control.Board
	sink  *ingest.Sink
	lease wire.Lease
	now   time.Time
}

func (f *farSide) hold(db string, at time.Time) *holder {
	f.t.Helper()
	ctx := f.t.Context()
	store, err := openDatabase(ctx, "sqlite:"+db, true)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := store.Close(); err != nil {
			f.t.Error(err)
		}
	})
	h := &holder{now: at}
	log := slog.New(slog.DiscardHandler)
	now := func() time.Time { return h.now }
	h.sink = ingest.New(store, now, log)
	desk := control.New(store, h.sink, now, log)
	id, err := desk.Start(ctx, "default", "sync", muster.Settings{
		TenantID: f.server.TenantID(), ClientID: f.server.ClientID(), Cloud: "commercial",
		LoginURL: f.server.LoginURL(), APIURL: f.server.APIURL(), Datasets: muster.DefaultDatasets(),
	}, false)
	if err != nil {
		f.t.Fatal(err)
	}
	h.board = desk.Board(id)
	return h
}

func (h *holder) claim(t *testing.T) {
	t.Helper()
	var err error
	if h.lease, _, err = h.board.Claim(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestConnectorBusy: a connector that somebody gathers, and shows it, is refused; nothing
// of the gathering under way is disturbed, and other connectors are free.
func TestConnectorBusy(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 10, Seed: 42})
	db := tempDatabase(t)
	h := f.hold(db, f.now)
	h.claim(t)
	alive := func() {
		h.now = h.now.Add(time.Millisecond)
		if _, err := h.board.Renew(t.Context(), h.lease, wire.Progress{}); err != nil {
			t.Errorf("the holder was disturbed: %v", err)
		}
	}
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		f.expectBadJSON(badInput{code: "connector_busy", exit: exitFailed, says: `"default"`}, db)
	}()
	for waiting := true; waiting; {
		select {
		case <-refused:
			waiting = false
		default:
			alive()
		}
	}
	f.sync(db, "--connector", "other")
	alive()
}

// TestSilentHolder: a holder that shows no life is waited for until its lease has run
// out; then its run is taken over and gathered whole, and it can write no more.
func TestSilentHolder(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 10, Seed: 43})
	clean, db := tempDatabase(t), tempDatabase(t)
	f.sync(clean)
	const left = 400 * time.Millisecond // of the holder's lease of 15 s
	h := f.hold(db, f.now.Add(left-15*time.Second))
	h.claim(t)
	began := time.Now()
	base := f.now
	a := App{
		Args: append([]string{"sync", "--db", "sqlite:" + db}, f.flags()...), Stdout: t.Output(), Stderr: t.Output(), Getenv: func(string) string { return "" },
		Now: func() time.Time { return base.Add(time.Since(began)) },
	}
	if code := a.Run(t.Context()); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	if waited := time.Since(began); waited < left {
		t.Errorf("taken over after %s, the lease had %s left", waited, left)
	}
	if _, err := h.board.Renew(t.Context(), h.lease, wire.Progress{}); !errors.Is(err, muster.ErrLeaseLost) {
		t.Errorf("the old holder is told %v", err)
	}
	if runs := f.export(db, "runs"); len(runs) != 1 || runs[0]["state"] != "succeeded" {
		t.Errorf("runs %v, want the one that was taken over", runs)
	}
	if f.exports(db) != f.exports(clean) {
		t.Error("the data differ from a clean run's")
	}
}

// vanished is the board of a process that dies: nobody hears of its end.
type vanished struct{ worker.Board }

func (vanished) Finish(context.Context, wire.Lease, wire.Outcome) error { return nil }

// TestLostReading: a run whose reader has died goes on where it stopped: what was read
// whole is not fetched again, and the data are those of a run without the fault.
func TestLostReading(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	x := &fault{path: "/VaExport/", passes: 2, answer: hang(asked)}
	f := newFarSide(t, emulator.Options{Devices: 20, Seed: 46}, func(o *emulator.ServerOptions) { o.Faults, o.PartMachines = x.wrap, 5 })
	clean, db := tempDatabase(t), tempDatabase(t)
	f.sync(clean)
	x.on.Store(true)
	h := f.hold(db, f.now.Add(-15*time.Second))
	a := App{Now: func() time.Time { return f.now }, log: slog.New(slog.DiscardHandler)}
	dying, die := context.WithCancel(t.Context())
	go func() {
		<-asked
		die()
	}()
	w := worker.Worker{Board: vanished{h.board}, Sink: h.sink, Source: a.source(credential{secret: defender.Secret(f.server.Secret()), cas: f.server.CAPEM()}), Log: a.log}
	if err := w.Once(dying); err != nil {
		t.Fatal(err)
	}
	x.on.Store(false)
	calls := len(f.server.Calls())
	run := f.sync(db)
	for _, call := range f.server.Calls()[calls:] {
		for _, read := range []string{"/api/machines", "/api/deviceavinfo", "SoftwareInventory"} {
			if call.Path == read || strings.Contains(call.Path, read) && strings.HasPrefix(call.Path, "/blobs/") {
				t.Errorf("%s was fetched again", call.Path)
			}
		}
	}
	if d := run.Datasets[muster.Machines]; d.Read != 20 || d.New == 0 {
		t.Errorf("machines that the lost process has read: %+v", d)
	}
	if f.exports(db) != f.exports(clean) {
		t.Error("the data differ from a clean run's")
	}
}

// TestSyncsAtOnce: of syncs that begin together one gathers; the others are refused or go
// after it.
func TestSyncsAtOnce(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 10, Seed: 44})
	clean, db := tempDatabase(t), tempDatabase(t)
	f.sync(clean)
	var all sync.WaitGroup
	var done [3]bool
	for i := range done {
		all.Go(func() {
			code, out, errs := f.muster(append([]string{"sync", "--db", "sqlite:" + db, "--json"}, f.flags()...)...)
			var run runJSON
			oneObject(t, out, &run)
			done[i] = code == exitDone
			if !done[i] && (code != exitFailed || run.Error == nil || run.Error.Code != "connector_busy") {
				t.Errorf("exit code %d: %s%s", code, out, errs)
			}
		})
	}
	all.Wait()
	if done == [3]bool{} {
		t.Error("nobody gathered")
	}
	if f.exports(db) != f.exports(clean) {
		t.Error("the data differ from a clean run's")
	}
}

// TestInterruptedBeforeItBegan: a command that is interrupted at once is cancelled, and
// the next one works.
func TestInterruptedBeforeItBegan(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 3, Seed: 45})
	db := tempDatabase(t)
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	code, out, errs := f.musterContext(interrupted, append([]string{"sync", "--db", "sqlite:" + db, "--json"}, f.flags()...)...)
	var run runJSON
	oneObject(t, out, &run)
	if code != exitFailed || run.State != "cancelled" || run.Error != nil {
		t.Errorf("exit code %d: %s", code, out)
	}
	f.expectLine(badInput{code: "cancelled"}, errs)
	if code, _, errs = f.musterContext(interrupted, append([]string{"check"}, f.flags()...)...); code != exitFailed {
		t.Errorf("check ends with %d: %s", code, errs)
	}
	f.sync(db)
	if _, err := os.Stat(db); err != nil {
		t.Error(err)
	}
}
