package ingest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"muster"
	"muster/internal/mapping"
	"muster/internal/store"
)

// itemMerge merges one dataset with many rows a machine: it judges every machine in
// scope, compares those whose digest moved, and writes the difference.
type itemMerge struct {
	*merge
	dataset  muster.Dataset
	kind     store.ItemKind
	read     muster.Read
	reported *reported // nil where the rows make no software
	step     store.ItemStep
	pending  int // rows in step
	standings
}

var itemKinds = map[muster.Dataset]store.ItemKind{
	muster.Software:        store.InstalledSoftware,
	muster.Vulnerabilities: store.Findings,
	muster.Configuration:   store.Configurations,
}

// subject is one machine in scope with what the read had of it.
type subject struct {
	placement
	rows      []row // distinct, by item
	doubles   int64
	rejected  bool
	confirmed int64 // greatest last seen of its rows; store.Null = none
}

func (m *merge) items(ctx context.Context, dataset muster.Dataset, st store.StagedDataset) error {
	now, doubles, err := m.present(ctx, dataset)
	if err != nil {
		return err
	}
	read, state, err := m.guard(ctx, dataset, st, now, doubles)
	if err != nil {
		return err
	}
	w := &itemMerge{merge: m, dataset: dataset, kind: itemKinds[dataset], read: read}
	w.begin(st.Cursor)
	if dataset == muster.Vulnerabilities {
		if w.reported, err = m.newReported(ctx); err != nil {
			return err
		}
	}
	if err := w.subjects(ctx, st.Cursor); err != nil {
		return err
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	return m.end(ctx, dataset, w.step.Cursor, state)
}

// subjects walks the machines in scope and the staged rows side by side, in id order.
func (w *itemMerge) subjects(ctx context.Context, cursor int64) error {
	in := w.scope.inScope()
	next, _ := slices.BinarySearchFunc(in, cursor+1, func(p placement, id int64) int { return cmp.Compare(p.id, id) })
	var batch []subject
	add := func(s subject) error {
		if batch = append(batch, s); len(batch) < block {
			return nil
		}
		err := w.apply(ctx, batch)
		batch = batch[:0]
		return err
	}
	err := w.groups(ctx, w.dataset, cursor, func(key int64, rows []distinct, rejected bool) error {
		for ; next < len(in) && in[next].id < key; next++ {
			if err := add(subject{placement: in[next], confirmed: store.Null}); err != nil {
				return err
			}
		}
		if next == len(in) || in[next].id != key {
			return nil // a rejected row of a machine that is not looked for
		}
		s, err := w.subject(ctx, in[next], rows, rejected)
		if err != nil {
			return err
		}
		next++
		return add(s)
	})
	if err != nil {
		return err
	}
	for ; next < len(in); next++ {
		if err := add(subject{placement: in[next], confirmed: store.Null}); err != nil {
			return err
		}
	}
	return w.apply(ctx, batch)
}

func (w *itemMerge) subject(ctx context.Context, p placement, rows []distinct, rejected bool) (subject, error) {
	s := subject{placement: p, rejected: rejected, confirmed: store.Null, rows: make([]row, len(rows))}
	for i, d := range rows {
		r, ok := decodeRow(d.item, d.payload)
		if !ok {
			return s, errRecord
		}
		var doubles []row
		for _, payload := range d.others {
			double, ok := decodeRow(d.item, payload)
			if !ok {
				return s, errRecord
			}
			doubles = append(doubles, double)
		}
		if err := w.fold(ctx, &r, doubles); err != nil {
			return s, err
		}
		s.rows[i] = r
		s.doubles += d.doubles
		s.confirmed = max(s.confirmed, r.seen)
	}
	return s, nil
}

// lag keeps each row's own time as its distance from the machine's: rows of one machine
// share their time but for a few, and a day on which nothing else moved must not be a
// change of every row.
func (s *subject) lag(confirmed time.Time) {
	for i := range s.rows {
		if s.rows[i].number = store.Null; s.rows[i].seen != store.Null {
			s.rows[i].number = confirmed.UnixMicro() - s.rows[i].seen
		}
	}
}

// digest is what a complete merge of these rows leaves behind.
func (w *itemMerge) digest(s *subject) []byte {
	version := mapping.Version()
	if w.reported != nil {
		version += " with software"
	}
	d := newDigest(version)
	for i := range s.rows {
		d.add(&s.rows[i])
	}
	return d.sum()
}

// judged is a subject whose rows must be compared with the stored ones.
type judged struct {
	*subject
	old    store.State
	next   store.State
	close  bool
	gone   time.Time // when rows not seen have gone
	digest []byte
	beside *remainder // of the digest
}

func (w *itemMerge) apply(ctx context.Context, batch []subject) error {
	if len(batch) == 0 {
		return nil
	}
	ids := make([]int64, len(batch))
	for i := range batch {
		ids[i] = batch[i].id
	}
	states, err := w.stores.States(ctx, w.dataset, ids)
	if err != nil {
		return err
	}
	work := make([]judged, len(batch))
	var compare []int64
	for i := range batch {
		work[i] = w.judge(&batch[i], states[batch[i].id])
		if work[i].differs() {
			compare = append(compare, batch[i].id)
		}
	}
	stored, err := w.stored(ctx, w.kind, compare)
	if err != nil {
		return err
	}
	var software map[int64][]store.Item
	if w.reported != nil {
		if software, err = w.stored(ctx, store.ReportedSoftware, compare); err != nil {
			return err
		}
	}
	for i := range work {
		if err := w.settle(ctx, &work[i], stored, software); err != nil {
			return err
		}
	}
	return nil
}

// judge applies SPEC §2 and sees by the digest whether anything differs at all.
func (w *itemMerge) judge(s *subject, old store.State) judged {
	sighting := muster.Sighting{Rows: len(s.rows), Rejected: s.rejected, LastSeen: s.lastSeen}
	j := muster.Judge(w.read, old.Known, sighting)
	out := judged{subject: s, old: old, next: old, close: j.Close, gone: w.read.Snapshot}
	out.next.Machine, out.next.Known = s.id, j.Known
	if !j.Apply {
		w.step.Counts.Unchanged += int64(len(s.rows))
		s.rows = nil // an older snapshot changes nothing
		return out
	}
	if len(s.rows) == 0 {
		if j.Close && !old.Known.EmptyAt.IsZero() {
			out.gone = old.Known.EmptyAt // the first of the two witnesses
		}
		return out
	}
	out.next.LastConfirmed = w.confirmed(s, old, j.Close)
	if w.dataset == muster.Configuration {
		s.lag(out.next.LastConfirmed)
	}
	if digest := w.digest(s); !bytes.HasPrefix(old.Digest, digest) {
		out.digest = digest
	}
	return out
}

// confirmed is the greatest last seen of the machine's rows; where the source gives
// none, the read's own time.
func (w *itemMerge) confirmed(s *subject, old store.State, whole bool) time.Time {
	at := numberTime(s.confirmed)
	if at.IsZero() {
		at = w.read.Snapshot
	}
	if !whole && at.Before(old.LastConfirmed) {
		return old.LastConfirmed
	}
	return at
}

// differs tells whether the stored rows must be looked at.
func (j *judged) differs() bool {
	return j.digest != nil || len(j.rows) == 0 && j.close && j.old.OpenRows > 0
}

// shift is how far the machine's last confirmed time moves, in microseconds.
func (j *judged) shift() int64 {
	if j.old.LastConfirmed.IsZero() {
		return 0
	}
	return j.next.LastConfirmed.Sub(j.old.LastConfirmed).Microseconds()
}

func (w *itemMerge) stored(ctx context.Context, kind store.ItemKind, machines []int64) (map[int64][]store.Item, error) {
	found := map[int64][]store.Item{}
	if len(machines) == 0 {
		return found, nil
	}
	err := w.stores.Items(ctx, kind, machines, func(i store.Item) { found[i.Machine] = append(found[i.Machine], i) })
	return found, err
}

// settle puts one machine into the step.
func (w *itemMerge) settle(ctx context.Context, j *judged, stored, software map[int64][]store.Item) error {
	w.step.Counts.Duplicates += j.doubles
	if !j.differs() {
		w.step.Counts.Unchanged += int64(len(j.rows))
		if len(j.rows) == 0 && j.close {
			j.next.OpenRows = 0
		}
	} else if err := w.write(ctx, j, stored[j.id], software[j.id]); err != nil {
		return err
	}
	if !sameState(&j.next, &j.old) {
		w.step.States = append(w.step.States, j.next)
		w.pending++
	}
	if w.step.Cursor = j.id; w.pending < stepRows {
		return nil
	}
	return w.flush(ctx)
}

func sameState(a, b *store.State) bool {
	return a.Machine == b.Machine && a.Known == b.Known && a.LastConfirmed.Equal(b.LastConfirmed) && a.OpenRows == b.OpenRows && bytes.Equal(a.Digest, b.Digest)
}

func (w *itemMerge) write(ctx context.Context, j *judged, stored, software []store.Item) error {
	rows := j.rows
	var reported int64
	j.beside = newRemainder(j.digest)
	if w.reported != nil {
		found, bare, err := w.reported.software(ctx, rows)
		if err != nil {
			return err
		}
		var aside muster.Counts // the dataset's unit is the row, not the software that rows with a CVE make
		reported, err = w.difference(ctx, j, store.ReportedSoftware, software, found, func(item int64) *muster.Counts {
			if bare[item] {
				return &w.step.Counts
			}
			return &aside
		})
		if err != nil {
			return err
		}
	}
	if w.dataset == muster.Vulnerabilities {
		var err error
		if rows, err = w.withCVE(ctx, j); err != nil {
			return err
		}
		if w.reported == nil {
			w.step.Counts.Unchanged += int64(len(j.rows) - len(rows)) // rows without a CVE say nothing new
		}
	}
	open, err := w.difference(ctx, j, w.kind, stored, rows, func(int64) *muster.Counts { return &w.step.Counts })
	if err != nil {
		return err
	}
	j.next.OpenRows = open + reported
	if j.next.Digest = nil; j.close && j.digest != nil {
		j.next.Digest = j.beside.after(j.digest)
	}
	return nil
}

// difference compares the rows read with the stored ones, both by item, and returns how
// many stand afterwards.
func (w *itemMerge) difference(ctx context.Context, j *judged, kind store.ItemKind, stored []store.Item, rows []row, counts func(item int64) *muster.Counts) (open int64, err error) {
	w.standings.begin()
	for len(stored) > 0 || len(rows) > 0 {
		switch {
		case len(stored) == 0 || len(rows) > 0 && rows[0].item < stored[0].ID:
			r := &rows[0]
			w.put(kind, store.Item{Machine: j.id, ID: r.item, Facts: r.facts, Evidence: r.evidence, Number: r.number})
			counts(r.item).New++
			w.stands(r.item, r.facts, false)
			w.moved = true
			open++
			rows = rows[1:]
		case len(rows) == 0 || stored[0].ID < rows[0].item:
			if i := stored[0]; i.Open() {
				w.stood(i.ID, i.Facts)
				open++
				if shift := j.shift(); !j.close && kind == store.Configurations && shift != 0 && i.Number != store.Null {
					i.Number += shift // its own time stays while the machine's moves
					w.put(kind, i)
				}
				if j.close {
					i.ClosedAt, i.Confirmed = j.gone, j.old.LastConfirmed
					w.put(kind, i)
					w.event(kind, i, "closed", 0)
					counts(i.ID).Closed++
					w.moved = true
					open--
				} else {
					w.stands(i.ID, i.Facts, false)
				}
			}
			stored = stored[1:]
		default:
			r, i := &rows[0], w.same(kind, stored[0], &rows[0], counts(rows[0].item))
			if kept := *r; kind == w.kind && i.Number != r.number {
				kept.number = i.Number
				j.beside.add(r)
				j.beside.remove(&kept)
			}
			w.stands(i.ID, i.Facts, !stored[0].Open())
			if stored[0].Open() {
				w.stood(i.ID, stored[0].Facts)
			}
			w.moved = w.moved || !stored[0].Open() || i.Facts != stored[0].Facts
			open++
			stored, rows = stored[1:], rows[1:]
		}
	}
	return open, w.count(ctx, j.id, kind)
}

// same settles a row that is stored and was read, and gives what is stored of it now.
func (w *itemMerge) same(kind store.ItemKind, i store.Item, r *row, c *muster.Counts) store.Item {
	before := i
	if i.Facts, i.Evidence = r.facts, r.evidence; kind == store.Configurations || i.Number == store.Null || r.number != store.Null && r.number < i.Number {
		i.Number = r.number
	}
	switch {
	case !before.Open():
		i.ClosedAt, i.Confirmed = time.Time{}, time.Time{}
		i.Reopened++
		w.put(kind, i)
		w.event(kind, i, "reopened", 0)
		c.Changed++
		c.Reopened++
	case i == before:
		c.Unchanged++
	default:
		w.put(kind, i)
		if i.Facts != before.Facts {
			w.event(kind, i, "changed", before.Facts)
		}
		c.Changed++
	}
	return i
}

func (w *itemMerge) put(kind store.ItemKind, i store.Item) {
	w.step.Items[kind] = append(w.step.Items[kind], i)
	w.pending++
}

func (w *itemMerge) event(kind store.ItemKind, i store.Item, event string, facts int64) {
	at := w.read.Snapshot
	if !i.Open() {
		at = i.ClosedAt
	}
	w.step.Events = append(w.step.Events, store.Event{Kind: kind, Machine: i.Machine, ID: i.ID, At: at, Event: event, Facts: facts})
	w.pending++
}

func (w *itemMerge) begin(cursor int64) {
	w.step = store.ItemStep{Step: w.merge.step(w.dataset, cursor), Items: map[store.ItemKind][]store.Item{}}
	w.pending = 0
	w.standings.clear()
}

func (w *itemMerge) flush(ctx context.Context) error {
	if w.step.Counts == (muster.Counts{}) && w.pending == 0 {
		return nil
	}
	err := w.stores.MergeItems(ctx, w.step)
	w.begin(w.step.Cursor)
	return err
}
