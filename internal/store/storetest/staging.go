package storetest

import (
	"bytes"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

var stagingTests = []test{
	{"what is staged comes back", stageRoundTrip},
	{"a step that comes again changes nothing", stageAgain},
	{"a dataset must be begun", func(c *testCase) {
		l := c.reading("Contoso")
		if err := c.Stage(c.Context(), l, store.Staged{Dataset: muster.Software, Sequence: 1, Records: 1, Chunks: [][]byte{{1}}, Parts: []string{"p"}}, start); err == nil {
			c.Fatal("a dataset that was not begun took a step")
		}
		all, err := c.StagedDatasets(c.Context(), l.Run)
		c.ok(err)
		c.equal("datasets", len(all), 0)
		segments, err := c.Segments(c.Context(), l.Run, muster.Software)
		c.ok(err)
		c.equal("segments", len(segments), 0)
	}},
	{"a new lease finds what the old one left", func(c *testCase) {
		l := c.reading("Contoso")
		c.stageOne(l)
		_, err := c.Requeue(c.Context(), l.Run, after(leaseTime))
		c.ok(err)
		l = c.claim(l.Run, after(leaseTime))
		st := c.staged(l.Run, muster.Machines)
		c.equal("parts", st.Parts, []string{"p"})
		c.equal("state", st.Completeness.State, muster.Completeness(""))
		c.ok(c.BeginDataset(c.Context(), l, muster.Machines, start))
		// Sequences start over with the lease, and with the dataset.
		for n := range int64(2) {
			c.ok(c.BeginDataset(c.Context(), l, muster.Machines, start))
			c.ok(c.Stage(c.Context(), l, store.Staged{Dataset: muster.Machines, Sequence: 1, Records: 1, Chunks: [][]byte{{2}}, Counts: muster.Counts{Read: 1}}, start))
			c.equal("read", c.staged(l.Run, muster.Machines).Counts.Read, 3+n)
		}
		c.equal("segments", len(c.segments(l.Run)), 3)
	}},
	{"restarting forgets one dataset", func(c *testCase) {
		l := c.reading("Contoso")
		c.stageOne(l)
		c.ok(c.BeginDataset(c.Context(), l, muster.Software, start))
		c.ok(c.Stage(c.Context(), l, store.Staged{Dataset: muster.Software, Sequence: 1, Parts: []string{"s"}, Rejected: []wire.Rejected{{Reason: "r"}}}, start))
		segment := c.segments(l.Run)[0].ID
		c.ok(c.RestartDataset(c.Context(), l, muster.Machines))
		all, err := c.StagedDatasets(c.Context(), l.Run)
		c.ok(err)
		if _, still := all[muster.Machines]; still || len(all) != 1 {
			c.Fatalf("datasets after a restart: %v", all)
		}
		c.equal("parts of the other", all[muster.Software].Parts, []string{"s"})
		c.equal("segments", len(c.segments(l.Run)), 0)
		_, err = c.ReadChunk(c.Context(), segment, 0)
		c.fails(err, store.ErrDamaged)
		c.ok(c.RestartDataset(c.Context(), l, muster.Machines))
		c.stageOne(l)
		c.equal("read", c.staged(l.Run, muster.Machines).Counts.Read, int64(2))
	}},
	{"the first rejected rows are kept", func(c *testCase) {
		l := c.reading("Contoso")
		c.ok(c.BeginDataset(c.Context(), l, muster.Software, start))
		var want []wire.Rejected
		for n := range int64(5) {
			var some []wire.Rejected
			for i := range 6 {
				some = append(some, wire.Rejected{Machine: fmt.Sprintf("m%d", n), Reason: fmt.Sprintf("reason %d", i)})
			}
			c.ok(c.Stage(c.Context(), l, store.Staged{Dataset: muster.Software, Sequence: n + 1, Rejected: some, Counts: muster.Counts{Read: 6, Rejected: 6}}, start))
			want = append(want, some...)
		}
		got, err := c.RejectedRows(c.Context(), l.Run, muster.Software)
		c.ok(err)
		c.equal("rejected", got, want[:20])
		c.equal("counted", c.staged(l.Run, muster.Software).Counts.Rejected, int64(30))
		other, err := c.RejectedRows(c.Context(), l.Run, muster.Machines)
		c.ok(err)
		c.equal("of another dataset", len(other), 0)
	}},
	{"how a dataset ends", func(c *testCase) {
		l := c.reading("Contoso")
		c.ok(c.BeginDataset(c.Context(), l, muster.Machines, start))
		c.ok(c.EndDataset(c.Context(), l, muster.Machines, wire.Completeness{Mode: muster.ModeFull, State: muster.Complete}))
		c.ok(c.EndDataset(c.Context(), l, muster.Software, wire.Completeness{Mode: muster.ModeUnchanged, State: muster.Complete, SourceTime: after(-time.Hour)}))
		c.ok(c.EndDataset(c.Context(), l, muster.Antivirus, wire.Completeness{Mode: muster.ModeSkipped, State: muster.Partial, Reason: "no role"}))
		all, err := c.StagedDatasets(c.Context(), l.Run)
		c.ok(err)
		c.equal("datasets", all, map[muster.Dataset]store.StagedDataset{
			muster.Machines:  {Snapshot: start, Completeness: wire.Completeness{Mode: muster.ModeFull, State: muster.Complete, SourceTime: start}},
			muster.Software:  {Snapshot: after(-time.Hour), Completeness: wire.Completeness{Mode: muster.ModeUnchanged, State: muster.Complete, SourceTime: after(-time.Hour)}},
			muster.Antivirus: {Completeness: wire.Completeness{Mode: muster.ModeSkipped, State: muster.Partial, Reason: "no role"}},
		})
	}},
	{"the scope is decided once it is saved", func(c *testCase) {
		l := c.reading("Contoso")
		scope, at, err := c.RunScope(c.Context(), l.Run)
		c.ok(err)
		c.equal("before", []any{scope == nil, at.IsZero()}, []any{true, true})
		for _, want := range [][]byte{nil, {}, {0}, bytes.Repeat([]byte{0, 1, 255}, 100_000)} {
			c.ok(c.SaveScope(c.Context(), l, want, after(-time.Minute)))
			scope, at, err = c.RunScope(c.Context(), l.Run)
			c.ok(err)
			if scope == nil || !bytes.Equal(scope, want) || !at.Equal(after(-time.Minute)) {
				c.Fatalf("a scope of %d bytes came back as %d bytes at %s, nil: %t", len(want), len(scope), at, scope == nil)
			}
		}
		c.ok(c.DropStaged(c.Context(), l.Run))
		scope, _, err = c.RunScope(c.Context(), l.Run)
		c.ok(err)
		c.equal("dropped", scope == nil, true)
	}},
	{"dropping takes what is staged and leaves the record", dropTest},
	{"what is left of runs that are over", leftovers},
}

func stageRoundTrip(c *testCase) {
	l := c.reading("Contoso")
	c.ok(c.BeginDataset(c.Context(), l, muster.Software, after(-time.Hour)))
	big := bytes.Repeat([]byte{0, 0xff, '\'', '\n'}, 64<<10)
	counts := muster.Counts{Read: 5, OutOfScope: 1, Rejected: 1}
	c.ok(c.Stage(c.Context(), l, store.Staged{Dataset: muster.Software, Sequence: 3, Records: 3, Chunks: [][]byte{{1, 2}, {}, big}, Parts: []string{"b", "a"}, Counts: counts}, start))
	c.ok(c.Stage(c.Context(), l, store.Staged{Dataset: muster.Software, Sequence: 4, Parts: []string{"a", "ä/?"}, Counts: counts}, start)) // parts alone
	c.ok(c.Stage(c.Context(), l, store.Staged{Dataset: muster.Software, Sequence: 5, Records: 1, Chunks: [][]byte{{9}}}, start))
	segments, err := c.Segments(c.Context(), l.Run, muster.Software)
	c.ok(err)
	c.equal("number of segments", len(segments), 2)
	c.equal("first", segments[0], store.Segment{ID: segments[0].ID, Records: 3, Chunks: 3})
	c.equal("second", segments[1], store.Segment{ID: segments[1].ID, Records: 1, Chunks: 1})
	for n, want := range [][]byte{{1, 2}, {}, big} {
		got, err := c.ReadChunk(c.Context(), segments[0].ID, n)
		c.ok(err)
		c.equal("chunk", bytes.Equal(got, want), true)
	}
	_, err = c.ReadChunk(c.Context(), segments[0].ID, 3)
	c.fails(err, store.ErrDamaged)
	st := c.staged(l.Run, muster.Software)
	counts.Add(counts)
	c.equal("dataset", st, store.StagedDataset{
		Completeness: wire.Completeness{Mode: muster.ModeFull, SourceTime: after(-time.Hour)}, Snapshot: after(-time.Hour),
		Parts: st.Parts, Counts: counts,
	})
	parts := map[string]bool{}
	for _, p := range st.Parts {
		parts[p] = true
	}
	c.equal("parts", parts, map[string]bool{"a": true, "b": true, "ä/?": true})
	c.equal("number of parts", len(st.Parts), 3)
}

func stageAgain(c *testCase) {
	l := c.reading("Contoso")
	c.ok(c.BeginDataset(c.Context(), l, muster.Machines, start))
	step := func(sequence int64) store.Staged {
		return store.Staged{
			Dataset: muster.Machines, Sequence: sequence, Records: 1, Chunks: [][]byte{{byte(sequence)}}, Parts: []string{fmt.Sprint(sequence)},
			Counts: muster.Counts{Read: 1, Rejected: 1}, Rejected: []wire.Rejected{{Reason: "r"}},
		}
	}
	for _, sequence := range []int64{1, 1, 4, 3, 4, 1, 5} {
		c.ok(c.Stage(c.Context(), l, step(sequence), start))
	}
	c.equal("segments", len(c.segments(l.Run)), 3)
	c.equal("counts", c.staged(l.Run, muster.Machines).Counts, muster.Counts{Read: 3, Rejected: 3})
	rejected, err := c.RejectedRows(c.Context(), l.Run, muster.Machines)
	c.ok(err)
	c.equal("rejected", len(rejected), 3)
}

func dropTest(c *testCase) {
	l, other := c.reading("Contoso"), c.reading("Fabrikam")
	for _, lease := range []wire.Lease{l, other} {
		c.stageOne(lease)
		c.stageTwo(lease)
	}
	c.ok(c.DropStaged(c.Context(), l.Run))
	c.equal("of this run", len(c.segments(l.Run)), 0)
	c.equal("of another", len(c.segments(other.Run)), 2)
	st := c.staged(l.Run, muster.Machines)
	c.equal("parts", len(st.Parts), 0)
	c.equal("counts", st.Counts, muster.Counts{Read: 3, Rejected: 1})
	rejected, err := c.RejectedRows(c.Context(), l.Run, muster.Machines)
	c.ok(err)
	c.equal("rejected", rejected, []wire.Rejected{{Machine: "m", Reason: "r"}})
	c.ok(c.DropStaged(c.Context(), l.Run))
}

// leftovers are what a killed program left of runs that are over, whatever it is.
func leftovers(c *testCase) {
	check := func(want ...int64) {
		c.Helper()
		got, err := c.Leftovers(c.Context())
		c.ok(err)
		c.equal("leftovers", got, want)
	}
	alive, none := c.reading("Alive"), c.reading("None")
	c.stageOne(alive)
	rows, parts, scope := c.reading("Rows"), c.reading("Parts"), c.reading("Scope")
	for _, l := range []wire.Lease{rows, parts} {
		c.ok(c.BeginDataset(c.Context(), l, muster.Software, start))
	}
	c.ok(c.Stage(c.Context(), rows, store.Staged{Dataset: muster.Software, Sequence: 1, Records: 1, Chunks: [][]byte{{1}}}, start))
	c.ok(c.Stage(c.Context(), parts, store.Staged{Dataset: muster.Software, Sequence: 1, Parts: []string{"p"}}, start))
	c.ok(c.SaveScope(c.Context(), scope, []byte{1}, start))
	check()
	for _, l := range []wire.Lease{none, rows, parts, scope} {
		c.ok(c.EndReading(c.Context(), l, wire.Outcome{Cancelled: true}, start))
	}
	check(rows.Run, parts.Run, scope.Run)
	for _, l := range []wire.Lease{rows, parts, scope} {
		c.ok(c.DropStaged(c.Context(), l.Run))
	}
	check()
}

func (c *testCase) stageTwo(l wire.Lease) {
	c.Helper()
	c.ok(c.Stage(c.Context(), l, store.Staged{
		Dataset: muster.Machines, Sequence: 2, Records: 1, Chunks: [][]byte{{1}, {2}}, Parts: []string{"q"},
		Counts: muster.Counts{Read: 1, Rejected: 1}, Rejected: []wire.Rejected{{Machine: "m", Reason: "r"}},
	}, start))
}

// Damage tries that a damaged chunk is found and its neighbours still read. It needs the
// database beside the store; the table is the same on every engine.
func Damage(t *testing.T, open func(*testing.T) (Store, *sql.DB)) {
	t.Helper()
	for name, query := range map[string]string{
		"changed":   `UPDATE segment_chunk SET data = (SELECT data FROM segment_chunk WHERE n = 0) WHERE n = 1`,
		"cut":       `DELETE FROM segment_chunk WHERE n = 1`,
		"wrong sum": `UPDATE segment_chunk SET checksum = checksum + 1 WHERE n = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			s, db := open(t)
			c := newCase(t, s)
			l := c.reading("Contoso")
			c.ok(c.BeginDataset(c.Context(), l, muster.Machines, start))
			chunks := [][]byte{[]byte("first"), []byte("second"), []byte("third")}
			c.ok(c.Stage(c.Context(), l, store.Staged{Dataset: muster.Machines, Sequence: 1, Records: 3, Chunks: chunks}, start))
			result, err := db.ExecContext(c.Context(), query)
			c.ok(err)
			n, err := result.RowsAffected()
			c.ok(err)
			c.equal("damaged chunks", n, int64(1))
			segment := c.segments(l.Run)[0].ID
			_, err = c.ReadChunk(c.Context(), segment, 1)
			c.fails(err, store.ErrDamaged)
			for _, whole := range []int{0, 2} {
				got, err := c.ReadChunk(c.Context(), segment, whole)
				c.ok(err)
				c.equal("chunk", got, chunks[whole])
			}
		})
	}
}
