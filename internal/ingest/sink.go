package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"muster"
	"muster/internal/mapping"
	"muster/internal/store"
	"muster/internal/wire"
)

// Stores is what ingest needs of the database.
type Stores interface {
	store.Runs
	store.Connectors
	store.Staging
	store.Dictionary
	store.Merge
}

// Sink takes what a worker reads. It holds the work of one lease at a time per run; a
// new lease finds the committed part of the old one's.
type Sink struct {
	stores Stores
	now    func() time.Time
	log    *slog.Logger

	mu    sync.Mutex
	desks map[int64]*desk // by run
}

// New returns a Sink over s.
func New(s Stores, now func() time.Time, log *slog.Logger) *Sink {
	return &Sink{stores: s, now: now, log: log, desks: map[int64]*desk{}}
}

// desk is the work on one run under one lease.
type desk struct {
	mu         sync.Mutex
	lease      wire.Lease
	run        store.RunHead
	dictionary *dictionary
	stagers    map[muster.Dataset]*stager
	scope      *scope
	byMachine  map[string]int // source's id → position in scope.placements
}

// gone holds the machines that answered 404 twice; it is staged like a dataset.
const gone muster.Dataset = "gone"

func (s *Sink) desk(ctx context.Context, l wire.Lease) (*desk, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.desks[l.Run]; d != nil && d.lease.Fence == l.Fence {
		return d, nil
	}
	run, err := s.stores.Run(ctx, l.Run)
	if err != nil {
		return nil, err
	}
	if run.Fence != l.Fence {
		return nil, muster.ErrLeaseLost
	}
	if run.Tenant == 0 {
		return nil, fmt.Errorf("run %d has no tenant yet: %w", l.Run, muster.ErrConflict)
	}
	dict, err := newDictionary(ctx, s.stores)
	if err != nil {
		return nil, err
	}
	d := &desk{lease: l, run: run, dictionary: dict, stagers: map[muster.Dataset]*stager{}}
	s.desks[l.Run] = d
	return d, nil
}

// SignedIn binds the run to the tenant that the token is for. A connector bound to
// another one is refused.
func (s *Sink) SignedIn(ctx context.Context, l wire.Lease, tenant string) error {
	run, err := s.stores.Run(ctx, l.Run)
	if err != nil {
		return err
	}
	if bound := run.Connector.Tenant; bound != "" && bound != tenant {
		return &muster.Error{
			Meaning: muster.ErrConflict, Code: "tenant_changed", Message: fmt.Sprintf("the token is for tenant %s, the connector belongs to %s", tenant, bound),
			Advice: "Gather another tenant with a connector of its own.",
		}
	}
	return s.stores.BindTenant(ctx, l, tenant)
}

// Begin starts a dataset. What an earlier lease left of another snapshot, or without a
// finished part, is forgotten.
func (s *Sink) Begin(ctx context.Context, l wire.Lease, dataset muster.Dataset, snapshot time.Time) error {
	d, err := s.desk(ctx, l)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	staged, err := s.stores.StagedDatasets(ctx, l.Run)
	if err != nil {
		return err
	}
	// Without a finished part there is nothing to go on with: a live list begins anew.
	if before, ok := staged[dataset]; ok && (len(before.Parts) == 0 || !before.Snapshot.Equal(snapshot)) {
		if err := s.stores.RestartDataset(ctx, l, dataset); err != nil {
			return err
		}
	}
	d.stagers[dataset] = newStager(d, dataset)
	return s.stores.BeginDataset(ctx, l, dataset, snapshot)
}

// Stage takes a batch. Its rows are durable once a segment with them is committed, which
// is when the parts it finishes are recorded too.
func (s *Sink) Stage(ctx context.Context, l wire.Lease, b *wire.Batch) error {
	d, err := s.desk(ctx, l)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.stagers[muster.Dataset(b.Dataset)]
	if st == nil {
		return fmt.Errorf("dataset %q was not begun: %w", b.Dataset, muster.ErrInvalid)
	}
	if b.Sequence <= st.sequence {
		return nil // it came again
	}
	if st.needsScope() {
		if err := s.loadScope(ctx, d); err != nil {
			return err
		}
	}
	if err := st.take(ctx, b); err != nil {
		return err
	}
	if st.writer.full() {
		return s.commit(ctx, d, st)
	}
	return nil
}

func (s *Sink) commit(ctx context.Context, d *desk, st *stager) error {
	chunks, n := st.writer.chunks()
	if st.nameless {
		st.parts = nil // a resumed reading must meet that row again, not pass for whole
	}
	staged := store.Staged{Dataset: st.dataset, Sequence: st.sequence, Records: n, Chunks: chunks, Parts: st.parts, Counts: st.counts, Rejected: st.rejected}
	if err := s.stores.Stage(ctx, d.lease, staged, s.now()); err != nil {
		delete(d.stagers, st.dataset) // its rows are gone: what comes now must begin anew
		return err
	}
	st.parts, st.counts, st.rejected = nil, muster.Counts{}, nil
	return nil
}

// Done ends a dataset's reading. It records and returns; a read with a rejected row
// whose machine cannot be told is partial, whatever the reader thinks.
func (s *Sink) Done(ctx context.Context, l wire.Lease, dataset muster.Dataset, c wire.Completeness) error {
	d, err := s.desk(ctx, l)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if st := d.stagers[dataset]; st != nil {
		if dataset == muster.Catalogue && c.State == muster.Complete {
			gaps, _, err := s.stores.CatalogueGaps(ctx, math.MaxInt)
			if err != nil {
				return err
			}
			st.addUndescribed(gaps)
		}
		if err := s.commit(ctx, d, st); err != nil {
			return err
		}
		if st.nameless && c.State == muster.Complete {
			c.State, c.Reason = muster.Partial, "a row could not be decoded and its machine could not be told"
		}
		delete(d.stagers, dataset)
	}
	return s.stores.EndDataset(ctx, l, dataset, c)
}

// Gone takes the ids of unseen machines that answered 404 twice.
func (s *Sink) Gone(ctx context.Context, l wire.Lease, machines []string) error {
	d, err := s.desk(ctx, l)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	ids, err := s.stores.MachineIDs(ctx, d.run.Tenant, machines)
	if err != nil {
		return err
	}
	if err := s.stores.RestartDataset(ctx, l, gone); err != nil {
		return err
	}
	if err := s.stores.BeginDataset(ctx, l, gone, time.Time{}); err != nil {
		return err
	}
	st := newStager(d, gone)
	for _, id := range ids {
		st.writer.add(uint64(id), 0, nil)
	}
	return s.commit(ctx, d, st)
}

// maxProbes is how many unseen machines one run asks for by id (SPEC §2.5).
const maxProbes = 200

// Scope decides the scope once the machine list is whole, or gives the one decided
// under an earlier lease.
func (s *Sink) Scope(ctx context.Context, l wire.Lease) (wire.Scope, error) {
	d, err := s.desk(ctx, l)
	if err != nil {
		return wire.Scope{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := s.loadScope(ctx, d); err != nil {
		return wire.Scope{}, err
	}
	out := wire.Scope{Applied: map[muster.Dataset]time.Time{}}
	in := d.scope.inScope()
	out.InScope = len(in)
	for _, p := range d.scope.placements {
		if p.listed {
			out.Listed++
		}
	}
	if out.Unseen, err = s.unseen(ctx, d); err != nil {
		return out, err
	}
	before, err := s.connectorScopes(ctx, d.run.Connector.ID)
	if err != nil {
		return out, err
	}
	for _, dataset := range []muster.Dataset{muster.Information, muster.Software, muster.Vulnerabilities, muster.Configuration} {
		at, covered, err := s.covered(ctx, d, dataset, in, before)
		if err != nil {
			return out, err
		}
		if covered {
			out.Applied[dataset] = at
		}
	}
	return out, nil
}

// unseen lists known machines that the list lacks and that are not settled as missing.
func (s *Sink) unseen(ctx context.Context, d *desk) ([]string, error) {
	var ids []string
	err := s.stores.TenantMachines(ctx, d.run.Tenant, func(m store.MachineRow) error {
		p, _ := d.scope.find(m.ID)
		if !p.listed && !m.ListedAt.IsZero() && m.MissingSince.IsZero() && len(ids) < maxProbes {
			ids = append(ids, m.MachineID)
		}
		return nil
	})
	return ids, err
}

// covered tells whether the last applied snapshot of a dataset holds every machine that
// is in scope now, by this mapping. A machine that comes into the scope is not covered.
func (s *Sink) covered(ctx context.Context, d *desk, dataset muster.Dataset, in []placement, before map[int64]store.ScopeRow) (time.Time, bool, error) {
	state, err := s.stores.DatasetState(ctx, d.run.Tenant, dataset)
	if err != nil || state.Snapshot.IsZero() || state.MappingVersion != mapping.Version() || !state.Guard.Since.IsZero() {
		return time.Time{}, false, err
	}
	for piece := range slices.Chunk(in, block) {
		known, err := s.stores.States(ctx, dataset, placementIDs(piece))
		if err != nil {
			return time.Time{}, false, err
		}
		for _, p := range piece {
			scoped, have := before[p.id]
			if entering := !have || scoped.Reason != muster.InScope; entering || !known[p.id].Known.LookedAt.Equal(state.Snapshot) {
				return time.Time{}, false, nil
			}
		}
	}
	return state.Snapshot, true, nil
}

func placementIDs(all []placement) []int64 {
	ids := make([]int64, len(all))
	for i, p := range all {
		ids[i] = p.id
	}
	return ids
}

func (s *Sink) connectorScopes(ctx context.Context, connector int64) (map[int64]store.ScopeRow, error) {
	scopes := map[int64]store.ScopeRow{}
	err := s.stores.ConnectorScopes(ctx, connector, func(r store.ScopeRow) { scopes[r.Machine] = r })
	return scopes, err
}

func (s *Sink) loadScope(ctx context.Context, d *desk) error {
	if d.scope != nil {
		return nil
	}
	data, at, err := s.stores.RunScope(ctx, d.run.ID)
	if err != nil {
		return err
	}
	if data != nil {
		if d.scope, err = decodeScope(data, at); err != nil {
			return err
		}
		return s.nameMachines(ctx, d)
	}
	staged, err := s.stores.StagedDatasets(ctx, d.run.ID)
	if err != nil {
		return err
	}
	list := staged[muster.Machines]
	if list.Completeness.State != muster.Complete {
		return &muster.Error{
			Meaning: muster.ErrUnavailable, Code: "bad_answer", Dataset: string(muster.Machines),
			Message: "the machine list was not read whole: " + list.Completeness.Reason, Advice: "Nothing was changed. Run it again; if it stays, report it with the log.",
		}
	}
	if d.scope, err = s.decideScope(ctx, d.run, list.Snapshot); err != nil {
		return err
	}
	if err := s.stores.SaveScope(ctx, d.lease, d.scope.encode(), list.Snapshot); err != nil {
		return err
	}
	return s.nameMachines(ctx, d)
}

func (s *Sink) nameMachines(ctx context.Context, d *desk) error {
	d.byMachine = make(map[string]int, len(d.scope.placements))
	at := 0
	return s.stores.TenantMachines(ctx, d.run.Tenant, func(m store.MachineRow) error {
		for at < len(d.scope.placements) && d.scope.placements[at].id < m.ID {
			at++
		}
		if at < len(d.scope.placements) && d.scope.placements[at].id == m.ID {
			d.byMachine[m.MachineID] = at
		}
		return nil
	})
}

// Catalogue says which descriptions are wanted: everything the first time, then what
// changed since, and CVEs newly met one by one while they are few.
func (s *Sink) Catalogue(ctx context.Context, l wire.Lease) (wire.CatalogueNeed, error) {
	d, err := s.desk(ctx, l)
	if err != nil {
		return wire.CatalogueNeed{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dictionary.met, err = s.stores.MetCVEs(ctx); err != nil {
		return wire.CatalogueNeed{}, err
	}
	state, err := s.stores.DatasetState(ctx, d.run.Tenant, muster.Catalogue)
	if err != nil {
		return wire.CatalogueNeed{}, err
	}
	cves, total, err := s.stores.CatalogueGaps(ctx, maxProbes)
	if err != nil {
		return wire.CatalogueNeed{}, err
	}
	if d.run.Full || state.Snapshot.IsZero() || state.MappingVersion != mapping.Version() || total > maxProbes {
		return wire.CatalogueNeed{Whole: true}, nil
	}
	return wire.CatalogueNeed{Since: state.Snapshot, CVEs: cves}, nil
}

func (s *Sink) forget(run int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.desks, run)
}
