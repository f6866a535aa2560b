package ingest

import (
	"context"
	"slices"

	"muster"
	"muster/internal/store"
)

// document is the one row of a machine in a dataset like antivirus health.
type document struct {
	machine int64
	seen    int64
	text    []byte
	doubles int64
}

// documents merges a dataset of one row a machine. A machine without a row keeps what it
// had: what the source does not supply blanks nothing.
func (m *merge) documents(ctx context.Context, dataset muster.Dataset, st store.StagedDataset) error {
	read, state, err := m.guard(ctx, dataset, st, nil, 0)
	if err != nil {
		return err
	}
	var batch []document
	cursor := st.Cursor
	apply := func() error {
		err := m.applyDocuments(ctx, m.step(dataset, cursor), read, batch)
		batch = batch[:0]
		return err
	}
	err = m.groups(ctx, dataset, st.Cursor, func(key int64, rows []distinct, _ bool) error {
		if len(rows) == 0 {
			return nil
		}
		batch = append(batch, document{key, orderTime(rows[0].payload), slices.Clone(rows[0].payload[8:]), rows[0].doubles})
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
	return m.end(ctx, dataset, cursor, state)
}

func (m *merge) applyDocuments(ctx context.Context, base store.Step, read muster.Read, batch []document) error {
	if len(batch) == 0 {
		return nil
	}
	ids := make([]int64, len(batch))
	for i, d := range batch {
		ids[i] = d.machine
	}
	states, err := m.stores.States(ctx, base.Dataset, ids)
	if err != nil {
		return err
	}
	step := store.DocumentStep{Step: base}
	for _, d := range batch {
		old := states[d.machine]
		step.Counts.Duplicates += d.doubles
		p, _ := m.scope.find(d.machine)
		j := muster.Judge(read, old.Known, muster.Sighting{Rows: 1, LastSeen: p.lastSeen})
		if !j.Apply {
			step.Counts.Unchanged++
			continue
		}
		changes := m.changes(d.machine, old.Attributes, d.text)
		switch {
		case old.Attributes == nil:
			step.Counts.New++
		case len(changes) > 0:
			step.Counts.Changed++
		default:
			step.Counts.Unchanged++
		}
		step.Changes = append(step.Changes, changes...)
		step.States = append(step.States, store.State{Machine: d.machine, Known: j.Known, LastConfirmed: numberTime(d.seen), OpenRows: 1, Attributes: d.text})
	}
	return m.stores.MergeDocuments(ctx, step)
}
