package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/store/postgres/pgtest"
	"muster/internal/store/relational"
	"muster/internal/wire"
)

var start = time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reading gives a run of a connector that is being read.
func reading(t *testing.T, s *relational.Store, name string) wire.Lease {
	t.Helper()
	c, err := s.SaveConnector(t.Context(), name, muster.Settings{}, start)
	ok(t, err)
	run, err := s.QueueRun(t.Context(), c.ID, "sync", false, start)
	ok(t, err)
	l, _, err := s.ClaimReading(t.Context(), run, start, start.Add(time.Hour))
	ok(t, err)
	ok(t, s.BeginDataset(t.Context(), l, muster.Software, start))
	return l
}

// merging gives a run of a connector that is being merged.
func merging(t *testing.T, s *relational.Store, name string) wire.Lease {
	t.Helper()
	l := reading(t, s, name)
	ok(t, s.EndReading(t.Context(), l, wire.Outcome{}, start))
	l, _, err := s.ClaimMerge(t.Context(), l.Run, start, start.Add(time.Hour))
	ok(t, err)
	return l
}

func machines(t *testing.T, s *relational.Store, n int) []int64 {
	t.Helper()
	tenant, err := s.TenantID(t.Context(), "tenant")
	ok(t, err)
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("m%d", i)
	}
	ids, err := s.MachineIDs(t.Context(), tenant, names)
	ok(t, err)
	return ids
}

func checkUnreachable(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, muster.ErrUnavailable) {
		t.Errorf("%v is not %v", err, muster.ErrUnavailable)
	}
	checkError(t, err, "database_unreachable")
}

// TestConnectionsCut cuts the store's connections in every step of a reading, at any moment
// of it. Nobody notices: what is lost is done again, and a step is known by its number.
func TestConnectionsCut(t *testing.T) {
	url := pgtest.Database(t)
	s, db := open(t, url), raw(t, url)
	l := reading(t, s, "c")
	stepping := make(chan struct{})
	var cutter sync.WaitGroup
	cuts := 0
	cutter.Go(func() {
		for range stepping {
			<-time.After(rand.N(10 * time.Millisecond))
			var n int
			if err := db.QueryRowContext(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'muster'`).Scan(&n); err != nil {
				t.Error(err)
			}
			cuts += n
		}
	})
	const steps = 100
	for n := range int64(steps) {
		stepping <- struct{}{}
		// Some rows, so that there are moments to be cut at.
		chunks := make([][]byte, 50)
		for i := range chunks {
			chunks[i] = bytes.Repeat([]byte{byte(n), byte(i)}, 2000)
		}
		ok(t, s.Stage(t.Context(), l, store.Staged{Dataset: muster.Software, Sequence: n + 1, Records: 1, Chunks: chunks, Parts: []string{fmt.Sprint(n)}, Counts: muster.Counts{Read: 1}}, start))
	}
	close(stepping)
	cutter.Wait()
	if t.Logf("%d connections cut", cuts); cuts == 0 {
		t.Error("no connection was cut")
	}
	all, err := s.StagedDatasets(t.Context(), l.Run)
	ok(t, err)
	if d := all[muster.Software]; d.Counts.Read != steps || len(d.Parts) != steps {
		t.Errorf("staged %d rows, %d parts; want %d", d.Counts.Read, len(d.Parts), steps)
	}
	segments, err := s.Segments(t.Context(), l.Run, muster.Software)
	ok(t, err)
	if len(segments) != steps {
		t.Errorf("%d segments, want %d", len(segments), steps)
	}
}

// TestRestart stops the server under an open store. What comes meanwhile waits for it.
func TestRestart(t *testing.T) {
	server := pgtest.Own(t)
	s := open(t, server.URL("postgres"))
	l := reading(t, s, "c")
	ok(t, server.Stop())
	done := make(chan error, 2)
	go func() {
		done <- s.EndDataset(t.Context(), l, muster.Software, wire.Completeness{State: muster.Complete})
	}()
	go func() {
		_, err := s.Run(t.Context(), l.Run)
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	ok(t, server.Start(t.Context()))
	ok(t, <-done)
	ok(t, <-done)

	// A stream that was begun is not begun again behind its reader's back.
	machines(t, s, 20_000)
	calls := 0
	err := s.TenantMachines(t.Context(), 1, func(store.MachineRow) error {
		if calls++; calls == 1 {
			return server.Stop()
		}
		return nil
	})
	checkUnreachable(t, err)
}

// TestDeadlock lets another session take the same rows in the other order: the store's
// transaction gives way and is done again.
func TestDeadlock(t *testing.T) {
	url := pgtest.Database(t)
	s, db := open(t, url), raw(t, url)
	l, ids := merging(t, s, "c"), machines(t, s, 2)
	other, err := db.BeginTx(t.Context(), nil)
	ok(t, err)
	defer other.Rollback()
	_, err = other.ExecContext(t.Context(), `SET LOCAL deadlock_timeout = '1min'`)
	ok(t, err)
	// A claim is on the machine, and then wants the run's row, which the step holds.
	_, err = other.ExecContext(t.Context(), `UPDATE machine SET superseded = 0 WHERE id = $1`, ids[1])
	ok(t, err)
	done := make(chan error, 1)
	go func() {
		done <- s.MergeMissing(t.Context(), store.MachineStep{
			Step: store.Step{Lease: l, Dataset: muster.Software, Cursor: 1}, Machines: []store.MachineRow{{ID: ids[0], MissingSince: start}, {ID: ids[1], MissingSince: start}},
		})
	}()
	for waiting := 0; waiting == 0; {
		ok(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted`).Scan(&waiting))
	}
	_, err = other.ExecContext(t.Context(), `UPDATE run SET lost = lost WHERE id = $1`, l.Run)
	ok(t, err)
	ok(t, other.Commit())
	ok(t, <-done)
	rows, err := s.Machines(t.Context(), ids)
	ok(t, err)
	for _, id := range ids {
		if !rows[id].MissingSince.Equal(start) {
			t.Errorf("machine %d was not marked", id)
		}
	}
}

// TestSameRowsAtOnce merges the same new rows from two runs at once: both end, and the
// rows are there once.
func TestSameRowsAtOnce(t *testing.T) {
	url := pgtest.Database(t)
	one, two := open(t, url), open(t, url)
	ids := machines(t, one, 20)
	leases := []wire.Lease{merging(t, one, "one"), merging(t, two, "two")}
	var all sync.WaitGroup
	errs := make([]error, len(leases))
	for i, s := range []*relational.Store{one, two} {
		var items []store.Item
		for _, id := range ids {
			for item := range int64(50) {
				items = append(items, store.Item{Machine: id, ID: item, Facts: int64(i + 1), Number: store.Null})
			}
		}
		all.Go(func() {
			errs[i] = s.MergeItems(t.Context(), store.ItemStep{
				Step: store.Step{Lease: leases[i], Dataset: muster.Software, Counts: muster.Counts{New: 1}}, Items: map[store.ItemKind][]store.Item{store.InstalledSoftware: items},
			})
		})
	}
	all.Wait()
	ok(t, errors.Join(errs...))
	n := 0
	facts := map[int64]bool{}
	ok(t, one.Items(t.Context(), store.InstalledSoftware, ids, func(i store.Item) {
		n++
		facts[i.Facts] = true
	}))
	if n != 1000 || len(facts) != 1 {
		t.Errorf("%d rows of %d runs, want 1000 of the later one", n, len(facts))
	}
	for i, s := range []*relational.Store{one, two} {
		staged, err := s.StagedDatasets(t.Context(), leases[i].Run)
		ok(t, err)
		if got := staged[muster.Software].Counts.New; got != 1 {
			t.Errorf("counted %d times", got)
		}
	}
}

// TestDiskFull has the server say that its disk is full.
func TestDiskFull(t *testing.T) {
	url := pgtest.Database(t)
	s := open(t, url)
	l := reading(t, s, "c")
	pgtest.Shared(t).Exec(t, url, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = 'disk_full'; END $$`,
		`CREATE TRIGGER full_disk BEFORE INSERT ON segment_chunk EXECUTE FUNCTION full_disk()`)
	step := store.Staged{Dataset: muster.Software, Sequence: 1, Records: 1, Chunks: [][]byte{{1}}, Counts: muster.Counts{Read: 1}}
	err := s.Stage(t.Context(), l, step, start)
	if !errors.Is(err, muster.ErrUnavailable) {
		t.Errorf("%v is not %v", err, muster.ErrUnavailable)
	}
	checkError(t, err, "disk_full")
	pgtest.Shared(t).Exec(t, url, `DROP TRIGGER full_disk ON segment_chunk`)
	ok(t, s.Stage(t.Context(), l, step, start))
	staged, err := s.StagedDatasets(t.Context(), l.Run)
	ok(t, err)
	if got := staged[muster.Software].Counts.Read; got != 1 {
		t.Errorf("counted %d times", got)
	}
}
