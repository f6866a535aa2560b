package ingest

import (
	"context"
	"slices"

	"muster"
	"muster/internal/mapping"
	"muster/internal/store"
)

// listed is one machine of the staged list.
type listed struct {
	placement
	facts    machineFacts
	document []byte
	doubles  int64
}

// machines merges the machine list: attributes with their history, scope, device.
func (m *merge) machines(ctx context.Context, st store.StagedDataset) error {
	before, err := m.connectorScopes(ctx, m.run.Connector.ID)
	if err != nil {
		return err
	}
	elsewhere := map[int64]bool{}
	if err := m.stores.ScopedElsewhere(ctx, m.run.Connector.ID, func(id int64) { elsewhere[id] = true }); err != nil {
		return err
	}
	var batch []listed
	cursor := st.Cursor
	err = m.groups(ctx, muster.Machines, st.Cursor, func(key int64, rows []distinct, _ bool) error {
		p, ok := m.scope.find(key)
		if len(rows) == 0 || !ok {
			return nil
		}
		f, document, ok := decodeMachine(rows[0].payload)
		if !ok {
			return errRecord
		}
		batch = append(batch, listed{p, f, slices.Clone(document), rows[0].doubles})
		if cursor = key; len(batch) < block {
			return nil
		}
		err := m.applyMachines(ctx, cursor, batch, before, elsewhere)
		batch = batch[:0]
		return err
	})
	if err != nil {
		return err
	}
	if err := m.applyMachines(ctx, cursor, batch, before, elsewhere); err != nil {
		return err
	}
	if err := regroup(ctx, m.stores, m.lease, m.run.Tenant, m.scope.at, nil); err != nil {
		return err
	}
	return m.unlisted(ctx, st, before, cursor)
}

func (m *merge) applyMachines(ctx context.Context, cursor int64, batch []listed, before map[int64]store.ScopeRow, elsewhere map[int64]bool) error {
	if len(batch) == 0 {
		return nil
	}
	ids := make([]int64, len(batch))
	for i, l := range batch {
		ids[i] = l.id
	}
	known, err := m.stores.Machines(ctx, ids)
	if err != nil {
		return err
	}
	step := store.MachineStep{Step: m.step(muster.Machines, cursor), Connector: m.run.Connector.ID}
	for _, l := range batch {
		old := known[l.id]
		step.Counts.Duplicates += l.doubles
		m.place(&step, l.placement, before, elsewhere) // the scope is the connector's own
		if old.ListedAt.After(m.scope.at) {
			step.Counts.Unchanged++ // an older list changes nothing
			continue
		}
		changes := m.attributeChanges(old, l.document)
		switch {
		case l.reason != muster.InScope:
			step.Counts.OutOfScope++
		case old.Attributes == nil:
			step.Counts.New++
		case len(changes) > 0:
			step.Counts.Changed++
		default:
			step.Counts.Unchanged++
		}
		step.Changes = append(step.Changes, changes...)
		step.Machines = append(step.Machines, store.MachineRow{
			ID: l.id, Attributes: l.document, FirstSeen: earliest(old.FirstSeen, l.facts.FirstSeen), LastSeen: l.facts.LastSeen,
			Keys: orBefore(l.facts.Keys, old.Keys), MergedInto: l.facts.MergedInto, ListedAt: m.scope.at,
		})
	}
	return m.stores.MergeMachines(ctx, step)
}

// place records a scope that changed, and who came in.
func (m *merge) place(step *store.MachineStep, p placement, before map[int64]store.ScopeRow, elsewhere map[int64]bool) {
	old, have := before[p.id]
	if have && old.Reason == p.reason {
		return
	}
	row := store.ScopeRow{Machine: p.id, Reason: p.reason, Since: m.scope.at}
	if have && old.Reason != muster.InScope && p.reason != muster.InScope {
		row.Since = old.Since // out since then, for another reason
	}
	step.Scopes = append(step.Scopes, row)
	if p.reason == muster.InScope && !elsewhere[p.id] {
		step.Entered = append(step.Entered, p.id)
	}
}

func (m *merge) attributeChanges(old store.MachineRow, document []byte) []store.Change {
	if old.Attributes == nil {
		return nil
	}
	return m.changes(old.ID, old.Attributes, document)
}

func (m *merge) changes(machine int64, before, after []byte) []store.Change {
	if before == nil || string(before) == string(after) {
		return nil
	}
	var all []store.Change
	for _, c := range mapping.Diff(before, after) {
		all = append(all, store.Change{Machine: machine, At: m.scope.at, Attribute: c.Attribute, Old: c.Old, New: c.New})
	}
	return all
}

// unlisted settles the known machines that a complete list lacks (SPEC §2.5).
func (m *merge) unlisted(ctx context.Context, st store.StagedDataset, before map[int64]store.ScopeRow, cursor int64) error {
	seen, err := m.rejected(ctx)
	if err != nil {
		return err
	}
	absent, err := m.absentMachines(ctx, seen)
	if err != nil {
		return err
	}
	read, state, err := m.guard(ctx, muster.Machines, st, nil, 0)
	if err != nil {
		return err
	}
	if state == nil || read.Shrunken {
		return m.end(ctx, muster.Machines, cursor, state)
	}
	if err := m.settle(ctx, absent, before, cursor); err != nil {
		return err
	}
	return m.end(ctx, muster.Machines, cursor, state)
}

// settle marks the absent machines, and takes those that are missing out of the scope.
func (m *merge) settle(ctx context.Context, absent []store.MachineRow, before map[int64]store.ScopeRow, cursor int64) error {
	notFound, err := m.notFound(ctx)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(absent, stepRows) {
		step := store.MachineStep{Step: m.step(muster.Machines, cursor), Connector: m.run.Connector.ID}
		for _, row := range some {
			was := row
			if row.UnseenSince.IsZero() {
				row.UnseenSince = m.scope.at
			}
			if row.MissingSince.IsZero() && (notFound[row.ID] || m.scope.at.Sub(row.UnseenSince) >= muster.MissingAfter) {
				row.MissingSince = m.scope.at
			}
			if row.UnseenSince != was.UnseenSince || row.MissingSince != was.MissingSince {
				step.Machines = append(step.Machines, row)
			}
			p, _ := m.scope.find(row.ID)
			if p.reason == muster.InScope { // neither merged nor superseded
				p.reason = muster.OutMissing
			}
			if _, scoped := before[row.ID]; scoped && (p.reason != muster.OutMissing || !row.MissingSince.IsZero()) {
				m.place(&step, p, before, nil)
			}
		}
		if len(step.Machines)+len(step.Scopes) == 0 {
			continue
		}
		if err := m.stores.MergeMissing(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// notFound are the unseen machines that answered 404 twice.
func (m *merge) notFound(ctx context.Context) (map[int64]bool, error) {
	found := map[int64]bool{}
	for r, err := range records(ctx, m.stores, m.run.ID, gone, 0) {
		if err != nil {
			return nil, err
		}
		found[int64(r.key)] = true
	}
	return found, nil
}

// rejected are the machines whose rows in the list could not be decoded: they were seen.
func (m *merge) rejected(ctx context.Context) (map[int64]bool, error) {
	seen := map[int64]bool{}
	for r, err := range records(ctx, m.stores, m.run.ID, muster.Machines, 0) {
		if err != nil {
			return nil, err
		}
		if r.item == rejectedItem {
			seen[int64(r.key)] = true
		}
	}
	return seen, nil
}

// absentMachines are those that were listed once and are not now. Those that are settled
// as missing are among them: this connector may not know it yet.
func (m *merge) absentMachines(ctx context.Context, seen map[int64]bool) ([]store.MachineRow, error) {
	var absent []store.MachineRow
	err := m.stores.TenantMachines(ctx, m.run.Tenant, func(row store.MachineRow) error {
		p, ok := m.scope.find(row.ID)
		if ok && !p.listed && !seen[row.ID] && !row.ListedAt.IsZero() {
			absent = append(absent, row)
		}
		return nil
	})
	return absent, err
}
