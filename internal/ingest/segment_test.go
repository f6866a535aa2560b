package ingest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"muster"
	"muster/internal/store"
	"muster/internal/store/relational"
	"muster/internal/store/sqlite"
	"muster/internal/wire"
)

// staging is a run that is being read, in a database of its own.
type staging struct {
	*relational.Store
	ctx      context.Context
	path     string
	lease    wire.Lease
	sequence int64
}

func newStaging(t *testing.T) *staging {
	t.Helper()
	s := &staging{ctx: t.Context(), path: filepath.Join(t.TempDir(), "muster.db")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s.Store, err = sqlite.Open(s.ctx, s.path, true)
	must(err)
	t.Cleanup(func() { s.Close() })
	c, err := s.SaveConnector(s.ctx, "c", muster.Settings{}, day(1))
	must(err)
	run, err := s.QueueRun(s.ctx, c.ID, "sync", false, day(1))
	must(err)
	s.lease, _, err = s.ClaimReading(s.ctx, run, day(1), day(2))
	must(err)
	return s
}

// stage commits segments of a dataset that starts over; each is a list of chunks.
func (s *staging) stage(t interface{ Fatal(args ...any) }, segments ...[][]byte) {
	if err := s.RestartDataset(s.ctx, s.lease, muster.Software); err != nil {
		t.Fatal(err)
	}
	if err := s.BeginDataset(s.ctx, s.lease, muster.Software, day(1)); err != nil {
		t.Fatal(err)
	}
	for _, chunks := range segments {
		s.sequence++
		if err := s.Stage(s.ctx, s.lease, store.Staged{Dataset: muster.Software, Sequence: s.sequence, Chunks: chunks}, day(1)); err != nil {
			t.Fatal(err)
		}
	}
}

// read gives all records above a key, as copies.
func (s *staging) read(above uint64) (all []record, err error) {
	for r, err := range records(s.ctx, s, s.lease.Run, muster.Software, above) {
		if err != nil {
			return all, err
		}
		r.payload = slices.Clone(r.payload)
		all = append(all, r)
	}
	return all, nil
}

func anyRecord() *rapid.Generator[record] {
	return rapid.Custom(func(t *rapid.T) record {
		return record{
			key:     rapid.Uint64Range(1, 6).Draw(t, "key"),
			item:    rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Just(rejectedItem), rapid.Uint64()).Draw(t, "item"),
			payload: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "payload"),
		}
	})
}

// TestSegments writes records in any order into any number of segments and reads them
// back in one order, doubles and all.
func TestSegments(t *testing.T) {
	s := newStaging(t)
	rapid.Check(t, func(t *rapid.T) {
		var w segmentWriter
		var want []record
		var segments [][][]byte
		for range rapid.IntRange(0, 4).Draw(t, "segments") {
			some := rapid.SliceOfN(anyRecord(), 1, 20).Draw(t, "records")
			payload := make([]byte, 0, 32)
			for _, r := range some {
				payload = append(payload[:0], r.payload...) // the caller's buffer is its own again after add
				w.add(r.key, r.item, payload)
			}
			want = append(want, some...)
			chunks, n := w.chunks()
			if n != len(some) {
				t.Fatalf("%d records, want %d", n, len(some))
			}
			segments = append(segments, chunks)
		}
		s.stage(t, segments...)
		slices.SortFunc(want, compareRecords)
		above := rapid.Uint64Range(0, 7).Draw(t, "above")
		want = slices.DeleteFunc(want, func(r record) bool { return r.key <= above })
		got, err := s.read(above)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(want, got, func(a, b record) bool { return compareRecords(a, b) == 0 }) {
			t.Fatalf("read %v, want %v", got, want)
		}
	})
}

// TestSegmentOfManyChunks goes over the size of a chunk and of the writer's blocks.
func TestSegmentOfManyChunks(t *testing.T) {
	s := newStaging(t)
	var w segmentWriter
	var want []record
	for i := range uint64(3000) {
		payload := binary.BigEndian.AppendUint64(nil, i)
		if i%1000 == 7 {
			payload = bytes.Repeat(payload, 200_000) // more than a block
		}
		r := record{key: 1 + i%17, item: i << 40, payload: payload}
		want = append(want, r)
		w.add(r.key, r.item, r.payload)
	}
	chunks, n := w.chunks()
	if n != len(want) || len(chunks) < 4 {
		t.Fatalf("%d records in %d chunks", n, len(chunks))
	}
	if again, left := w.chunks(); left != 0 || len(again) != 0 {
		t.Fatal("the writer did not start anew")
	}
	s.stage(t, chunks)
	slices.SortFunc(want, compareRecords)
	got, err := s.read(0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(want, got, func(a, b record) bool { return compareRecords(a, b) == 0 }) {
		t.Fatal("records came back otherwise")
	}
}

func TestSegmentWriterFull(t *testing.T) {
	var w segmentWriter
	for range segmentRecords - 1 {
		w.add(1, 1, nil)
	}
	if w.full() {
		t.Error("full before its last record")
	}
	if w.add(1, 1, nil); !w.full() {
		t.Error("not full by number")
	}
	w = segmentWriter{}
	if w.add(1, 1, make([]byte, segmentBytes)); !w.full() {
		t.Error("not full by size")
	}
}

// TestSegmentDamage: whatever happened to a chunk, the read ends with ErrDamaged and
// what came before it is right.
func TestSegmentDamage(t *testing.T) {
	var w segmentWriter
	for i := range uint64(20) {
		w.add(1+i, 5, bytes.Repeat([]byte{byte(i)}, chunkBytes/4))
	}
	chunks, _ := w.chunks()
	raw := func(parts ...uint64) []byte {
		var b []byte
		for _, p := range parts {
			b = binary.AppendUvarint(b, p)
		}
		return encoder.EncodeAll(b, nil)
	}
	for name, bad := range map[string][]byte{
		"no frame":                  []byte("not compressed"),
		"a frame cut short":         chunks[1][:len(chunks[1])-3],
		"a payload beyond the end":  raw(1, 1, 5),
		"a number cut short":        encoder.EncodeAll([]byte{1, 0x80}, nil),
		"a record without a length": raw(1, 1),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStaging(t)
			damaged := slices.Clone(chunks)
			damaged[1] = bad
			s.stage(t, damaged)
			checkDamage(t, s)
		})
	}
	t.Run("bytes changed on the disk", func(t *testing.T) {
		s := newStaging(t)
		s.stage(t, chunks)
		db, err := sql.Open("sqlite", s.path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(s.ctx, `UPDATE segment_chunk SET data = (SELECT data FROM segment_chunk WHERE n = 2) WHERE n = 1`); err != nil {
			t.Fatal(err)
		}
		checkDamage(t, s)
	})
}

func checkDamage(t *testing.T, s *staging) {
	t.Helper()
	got, err := s.read(0)
	if !errors.Is(err, store.ErrDamaged) {
		t.Fatalf("error = %v after %d records, want %v", err, len(got), store.ErrDamaged)
	}
	for i, r := range got {
		if r.key != uint64(i+1) || r.item != 5 || !bytes.Equal(r.payload, bytes.Repeat([]byte{byte(i)}, chunkBytes/4)) {
			t.Fatalf("record %d before the damage is %d/%d", i, r.key, r.item)
		}
	}
	if len(got) == 0 || len(got) >= 20 {
		t.Fatalf("%d records were read", len(got))
	}
}

// TestGroups: of doubles the one seen last wins, whatever segment it is in; rejected rows
// mark their machine; a merge goes on above its cursor.
func TestGroups(t *testing.T) {
	s := newStaging(t)
	var segments [][][]byte
	put := func(rows ...func(*segmentWriter)) {
		var w segmentWriter
		for _, add := range rows {
			add(&w)
		}
		chunks, _ := w.chunks()
		segments = append(segments, chunks)
	}
	seen := func(machine uint64, item int64, at time.Time, facts int64) func(*segmentWriter) {
		return func(w *segmentWriter) {
			r := row{item: item, facts: facts, number: store.Null, seen: timeNumber(at)}
			w.add(machine, uint64(item), r.append(nil))
		}
	}
	rejected := func(machine uint64) func(*segmentWriter) {
		return func(w *segmentWriter) { w.add(machine, rejectedItem, nil) }
	}
	put(seen(1, 7, day(1), 1), seen(2, 7, day(1), 2), rejected(3), seen(1, 8, time.Time{}, 3))
	put(seen(1, 7, day(3), 4), seen(1, 7, day(2), 5), rejected(2), seen(1, 8, day(1), 6), rejected(2))
	put(seen(1, 7, day(3), 4))
	s.stage(t, segments...)
	m := &merge{Sink: &Sink{stores: s}, run: store.RunHead{ID: s.lease.Run}}
	type group struct {
		Machine  int64
		Facts    []int64
		Doubles  []int64
		Rejected bool
	}
	collect := func(above int64) (all []group) {
		err := m.groups(s.ctx, muster.Software, above, func(machine int64, rows []distinct, rejected bool) error {
			g := group{Machine: machine, Rejected: rejected}
			for _, d := range rows {
				r, ok := decodeRow(d.item, d.payload)
				if !ok {
					t.Errorf("a row of machine %d does not decode", machine)
				}
				g.Facts, g.Doubles = append(g.Facts, r.facts), append(g.Doubles, d.doubles)
			}
			all = append(all, g)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := []group{
		{Machine: 1, Facts: []int64{4, 6}, Doubles: []int64{3, 1}},
		{Machine: 2, Facts: []int64{2}, Doubles: []int64{0}, Rejected: true},
		{Machine: 3, Rejected: true},
	}
	if diff := cmp.Diff(want, collect(0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[2:], collect(2)); diff != "" {
		t.Errorf("above the cursor (-want +got):\n%s", diff)
	}
	stop := errors.New("stop")
	if err := m.groups(s.ctx, muster.Software, 0, func(int64, []distinct, bool) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error = %v, want the caller's", err)
	}
}
