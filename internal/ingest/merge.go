package ingest

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"muster"
	"muster/internal/mapping"
	"muster/internal/store"
	"muster/internal/wire"
)

const (
	block    = 256  // machines whose state is read at a time
	stepRows = 5000 // rows of one transaction; a machine is never split
)

// merge is the work on one run after its reading.
type merge struct {
	*Sink
	lease      wire.Lease
	run        store.RunHead
	scope      *scope
	staged     map[muster.Dataset]store.StagedDataset
	dictionary *dictionary
	exposures  *exposures
	united     map[[2][16]byte][16]byte // two evidences → their union
}

// Merge applies everything that a run has staged, dataset by dataset, machine by machine,
// in bounded transactions. It can be repeated after a kill at any point. It returns the
// run's warnings, the same whichever lease ends it.
func (s *Sink) Merge(ctx context.Context, l wire.Lease) ([]muster.Notice, error) {
	defer s.forget(l.Run)
	d, err := s.desk(ctx, l)
	if err != nil {
		return nil, err
	}
	if err := s.loadScope(ctx, d); err != nil {
		return nil, err
	}
	staged, err := s.stores.StagedDatasets(ctx, l.Run)
	if err != nil {
		return nil, err
	}
	m := &merge{
		Sink: s, lease: l, run: d.run, scope: d.scope, staged: staged, dictionary: d.dictionary,
		exposures: &exposures{store: s.stores, keys: map[int64]store.ExposureKey{}}, united: map[[2][16]byte][16]byte{},
	}
	if err := s.stores.Recount(ctx, l, d.run.Tenant); err != nil {
		return nil, err
	}
	for _, dataset := range muster.Datasets {
		st, ok := staged[dataset]
		if !ok || st.Merged || st.Completeness.Mode == muster.ModeSkipped || st.Completeness.Mode == muster.ModeUnchanged {
			continue
		}
		if err := m.dataset(ctx, dataset, st); err != nil {
			return nil, fmt.Errorf("merge %s: %w", dataset, err)
		}
	}
	if err := m.stores.FoldTallies(ctx, l, d.run.Tenant); err != nil {
		return nil, err
	}
	if err := m.stores.DropStaged(ctx, l.Run); err != nil {
		return nil, err
	}
	return m.warnings(ctx)
}

func (m *merge) dataset(ctx context.Context, dataset muster.Dataset, st store.StagedDataset) error {
	switch dataset {
	case muster.Machines:
		return m.machines(ctx, st)
	case muster.Antivirus, muster.Information:
		return m.documents(ctx, dataset, st)
	case muster.Catalogue:
		return m.catalogue(ctx, st)
	default:
		return m.items(ctx, dataset, st)
	}
}

func (m *merge) step(dataset muster.Dataset, cursor int64) store.Step {
	return store.Step{Lease: m.lease, Dataset: dataset, Cursor: cursor}
}

// guard compares a complete read with the last one, before any filter, and decides whether
// it is held back. The returned state is what the end of the merge must save.
func (m *merge) guard(ctx context.Context, dataset muster.Dataset, st store.StagedDataset, now presence, doubles int64) (muster.Read, *store.DatasetState, error) {
	read := muster.Read{Completeness: st.Completeness.State, Snapshot: st.Snapshot}
	if read.Completeness != muster.Complete {
		return read, nil, nil
	}
	before, err := m.stores.DatasetState(ctx, m.run.Tenant, dataset)
	if err != nil {
		return read, nil, err
	}
	had, err := decodePresence(before.Present)
	if err != nil {
		return read, nil, err
	}
	had = slices.DeleteFunc(had, m.replaced)
	loss := muster.Loss{RowsBefore: before.RowsRead, RowsNow: st.Counts.Read - doubles, Had: int64(len(had)), Lost: had.without(now)}
	after := &store.DatasetState{Snapshot: st.Snapshot, RowsRead: st.Counts.Read, MappingVersion: mapping.Version(), Present: now.encode()}
	if st.Snapshot.Before(before.Snapshot) {
		read.Shrunken = loss.Shrunken()
		return read, nil, nil // an older snapshot leaves no state behind
	}
	if loss.Shrunken() && !before.Guard.Confirms(loss, m.scope.at, st.Snapshot) {
		read.Shrunken = true
		after.RowsRead, after.Present, after.Guard = before.RowsRead, before.Present, before.Guard
		if after.Guard.Since.IsZero() {
			after.Guard = muster.Guard{Since: m.scope.at, Snapshot: st.Snapshot}
		}
	}
	return read, after, nil
}

// replaced tells whether a machine's rows are another's now: it has lost nothing.
func (m *merge) replaced(machine int64) bool {
	p, known := m.scope.find(machine)
	return known && (p.survivor != 0 || p.reason == muster.OutSuperseded)
}

// end closes a dataset's merge. Doubles are not counted for the next run's guard: a
// reading that was killed and resumed has some that the next will not have.
func (m *merge) end(ctx context.Context, dataset muster.Dataset, cursor int64, state *store.DatasetState) error {
	if state != nil && state.Guard.Since.IsZero() {
		staged, err := m.stores.StagedDatasets(ctx, m.run.ID)
		if err != nil {
			return err
		}
		state.RowsRead -= staged[dataset].Counts.Duplicates
	}
	return m.stores.EndMerge(ctx, m.step(dataset, cursor), m.run.Tenant, state)
}

// distinct is the record of a key and item that was seen last.
type distinct struct {
	record
	doubles int64
	others  [][]byte // payloads of the doubles that are not the same
}

// groups collects the records of one key at a time.
func (m *merge) groups(ctx context.Context, dataset muster.Dataset, above int64, each func(key int64, rows []distinct, rejected bool) error) error {
	var rows []distinct
	var key uint64
	var arena []byte
	rejected := false
	flush := func() error {
		if key == 0 {
			return nil
		}
		err := each(int64(key), rows, rejected)
		rows, rejected, arena = rows[:0], false, arena[:0]
		return err
	}
	for r, err := range records(ctx, m.stores, m.run.ID, dataset, uint64(above)) {
		if err != nil {
			return err
		}
		if r.key != key {
			if err := flush(); err != nil {
				return err
			}
			key = r.key
		}
		switch {
		case r.item == rejectedItem:
			rejected = true
		case r.item == presentItem:
		case len(rows) > 0 && rows[len(rows)-1].item == r.item:
			last := &rows[len(rows)-1]
			if last.doubles++; !bytes.Equal(last.payload, r.payload) {
				last.others = append(last.others, slices.Clone(r.payload))
			}
		default:
			from := len(arena)
			arena = append(arena, r.payload...)
			r.payload = arena[from:len(arena):len(arena)]
			rows = append(rows, distinct{record: r})
		}
	}
	return flush()
}

func (m *merge) catalogue(ctx context.Context, st store.StagedDataset) error {
	var batch []store.CatalogueRow
	var counts muster.Counts
	cursor := st.Cursor
	apply := func() error {
		if len(batch) == 0 {
			return nil
		}
		ids := make([]int64, len(batch))
		for i, r := range batch {
			ids[i] = r.CVE
		}
		before, err := m.stores.CatalogueRows(ctx, ids)
		if err != nil {
			return err
		}
		for i := range batch {
			if r := &batch[i]; len(r.Attributes) == 0 {
				r.Attributes = nil // asked for, not there
			} else {
				countDocument(&counts, before[r.CVE], r.Attributes)
			}
		}
		step := m.step(muster.Catalogue, cursor)
		step.Counts = counts
		err = m.stores.MergeCatalogue(ctx, step, batch, st.Snapshot)
		batch, counts = batch[:0], muster.Counts{}
		return err
	}
	err := m.groups(ctx, muster.Catalogue, st.Cursor, func(key int64, rows []distinct, _ bool) error {
		if len(rows) == 0 {
			return nil
		}
		batch = append(batch, store.CatalogueRow{CVE: key, Attributes: slices.Clone(rows[0].payload[8:])})
		counts.Duplicates += rows[0].doubles
		if cursor = key; len(batch) < block {
			return nil
		}
		return apply()
	})
	if err != nil {
		return err
	}
	if err := apply(); err != nil {
		return err
	}
	var state *store.DatasetState
	if st.Completeness.State == muster.Complete {
		state = &store.DatasetState{Snapshot: st.Snapshot, RowsRead: st.Counts.Read, MappingVersion: mapping.Version()}
	}
	return m.end(ctx, muster.Catalogue, cursor, state)
}

func countDocument(c *muster.Counts, before, after []byte) {
	switch {
	case before == nil:
		c.New++
	case string(before) != string(after):
		c.Changed++
	default:
		c.Unchanged++
	}
}
