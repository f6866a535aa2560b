package storetest

import (
	"context"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

var leaseTests = []test{
	{"a reading is lost by time alone", func(c *testCase) {
		l := c.reading("Contoso")
		_, err := c.Requeue(c.Context(), l.Run, after(leaseTime-time.Microsecond))
		c.fails(err, muster.ErrConflict)
		_, err = c.Renew(c.Context(), l, start, after(time.Minute), wire.Progress{})
		c.ok(err)
		c.equal("until", c.head(l.Run).LeaseUntil, after(time.Minute))
		_, err = c.Requeue(c.Context(), l.Run, after(leaseTime))
		c.fails(err, muster.ErrConflict)
		state, err := c.Requeue(c.Context(), l.Run, after(time.Minute))
		c.ok(err)
		c.equal("state", state, muster.Queued)
		h := c.head(l.Run)
		c.equal("head", []any{h.State, h.Lost, h.LeaseUntil.IsZero()}, []any{muster.Queued, 1, true})
		_, err = c.Requeue(c.Context(), l.Run, after(time.Hour))
		c.fails(err, muster.ErrConflict)
	}},
	{"an expired lease that nobody took goes on", func(c *testCase) {
		l := c.reading("Contoso")
		_, err := c.Renew(c.Context(), l, after(time.Hour), after(time.Hour+leaseTime), wire.Progress{})
		c.ok(err)
		c.ok(c.BeginDataset(c.Context(), l, muster.Machines, start))
	}},
	{"lost three times is abandoned", func(c *testCase) {
		contoso := c.connector("Contoso")
		run := c.queued(contoso)
		for n, want := range []muster.RunState{muster.Queued, muster.Queued, muster.Abandoned} {
			now := after(time.Duration(n) * time.Hour)
			l := c.claim(run, now)
			state, err := c.Requeue(c.Context(), run, l.Until)
			c.ok(err)
			c.equal("state", state, want)
		}
		r, err := c.Report(c.Context(), run)
		c.ok(err)
		c.equal("finished", r.FinishedAt, after(2*time.Hour+leaseTime))
		_, _, err = c.ClaimReading(c.Context(), run, start, after(leaseTime))
		c.fails(err, muster.ErrConflict)
		if next := c.queued(contoso); next == run {
			c.Fatal("an abandoned run was queued again")
		}
	}},
	{"a merge is taken over by time alone", func(c *testCase) {
		l := c.reading("Contoso")
		_, _, err := c.ClaimMerge(c.Context(), l.Run, after(time.Hour), after(2*time.Hour))
		c.fails(err, muster.ErrConflict) // it is still being read
		c.ok(c.BeginDataset(c.Context(), l, muster.Machines, start))
		m := c.endReading(l)
		_, _, err = c.ClaimMerge(c.Context(), l.Run, after(leaseTime-time.Microsecond), after(time.Hour))
		c.fails(err, muster.ErrConflict)
		_, err = c.Requeue(c.Context(), l.Run, after(time.Hour))
		c.fails(err, muster.ErrConflict) // a merge is never read again
		c.equal("lost", c.head(l.Run).Lost, 0)

		next, h, err := c.ClaimMerge(c.Context(), l.Run, after(leaseTime), after(time.Hour))
		c.ok(err)
		c.equal("head", []any{h.State, h.Lost, h.LeaseUntil, h.Fence}, []any{muster.Merging, 1, after(time.Hour), next.Fence})
		c.fails(c.EndMerge(c.Context(), step(m, muster.Machines, 5, muster.Counts{}), h.Tenant, nil), muster.ErrLeaseLost)
		c.ok(c.EndMerge(c.Context(), step(next, muster.Machines, 5, muster.Counts{}), h.Tenant, nil))
	}},
	{"dropping needs that nobody holds it", func(c *testCase) {
		l := c.reading("Contoso")
		c.stageOne(l)
		why := muster.Notice{Code: "internal", Message: "too old", Advice: "none"}
		c.fails(c.Drop(c.Context(), l.Run, muster.Abandoned, why, after(leaseTime-time.Microsecond)), muster.ErrConflict)
		c.fails(c.Drop(c.Context(), l.Run, muster.Queued, why, after(leaseTime)), muster.ErrInvalid)
		c.equal("segments", len(c.segments(l.Run)), 1)
		c.ok(c.Drop(c.Context(), l.Run, muster.Abandoned, why, after(leaseTime)))
		c.equal("segments", len(c.segments(l.Run)), 0)
		r, err := c.Report(c.Context(), l.Run)
		c.ok(err)
		c.equal("state", r.State, muster.Abandoned)
		c.equal("error", r.Error, &why)
		c.fails(c.Drop(c.Context(), l.Run, muster.Failed, why, after(time.Hour)), muster.ErrConflict)
		c.fails(c.BeginDataset(c.Context(), l, muster.Machines, start), muster.ErrLeaseLost)
	}},
	{"a stale lease writes nothing", staleLease},
	{"a lease ends with its reading", func(c *testCase) {
		l := c.reading("Contoso")
		c.stageOne(l)
		c.endReading(l)
		c.refuseAll(l)
		c.equal("segments", len(c.segments(l.Run)), 1)
	}},
	{"a lease ends with its run", func(c *testCase) {
		m := c.merging(muster.Machines)
		c.ok(c.EndRun(c.Context(), m, muster.Succeeded, nil, nil, start))
		c.refuseAll(m)
		c.equal("state", c.head(m.Run).State, muster.Succeeded)
	}},
	{"a cancelled call writes nothing", func(c *testCase) {
		l := c.reading("Contoso")
		ctx, cancel := context.WithCancel(c.Context())
		cancel()
		c.fails(c.BeginDataset(ctx, l, muster.Machines, start), context.Canceled)
		_, err := c.SoftwareIDs(ctx, []store.SoftwareKey{{Vendor: "v"}})
		c.fails(err, context.Canceled)
		all, err := c.StagedDatasets(c.Context(), l.Run)
		c.ok(err)
		c.equal("datasets", len(all), 0)
	}},
}

// stageOne stages one small segment of the machine list.
func (c *testCase) stageOne(l wire.Lease) {
	c.Helper()
	c.ok(c.BeginDataset(c.Context(), l, muster.Machines, start))
	c.ok(c.Stage(c.Context(), l, store.Staged{Dataset: muster.Machines, Sequence: 1, Records: 2, Chunks: [][]byte{[]byte("chunk")}, Parts: []string{"p"}, Counts: muster.Counts{Read: 2}}, start))
}

func (c *testCase) segments(run int64) []store.Segment {
	c.Helper()
	all, err := c.Segments(c.Context(), run, muster.Machines)
	c.ok(err)
	return all
}

func staleLease(c *testCase) {
	id := c.machines("m1")[0]
	zombie := c.reading("Contoso")
	c.stageOne(zombie)
	_, err := c.Requeue(c.Context(), zombie.Run, after(leaseTime))
	c.ok(err)
	c.refuseAll(zombie) // nobody holds it
	l := c.claim(zombie.Run, after(leaseTime))
	before := c.everything(l.Run, id)
	c.refuseAll(zombie) // somebody else does
	c.refuseAll(wire.Lease{Run: l.Run, Fence: l.Fence + 1, Until: l.Until})
	c.refuseAll(wire.Lease{Run: l.Run + 1000, Fence: l.Fence, Until: l.Until})
	c.equal("the database", c.everything(l.Run, id), before)

	m := c.endReading(l)
	before = c.everything(l.Run, id)
	c.refuseAll(zombie)
	c.refuseAll(l)
	c.equal("the database", c.everything(l.Run, id), before)
	c.ok(c.EndRun(c.Context(), m, muster.Succeeded, nil, nil, after(time.Hour)))
}

// refuseAll tries every write that carries a lease; none may be taken.
func (c *testCase) refuseAll(l wire.Lease) {
	c.Helper()
	id := c.machines("m1")[0]
	counts := muster.Counts{Read: 1, New: 1, Changed: 1, Unchanged: 1, Closed: 1, Reopened: 1, OutOfScope: 1, Rejected: 1, Duplicates: 1}
	st := step(l, muster.Machines, 99, counts)
	row := store.MachineRow{ID: id, Device: "d-zombie", Attributes: []byte(`{"z":1}`), ListedAt: start, MissingSince: start}
	scopes := []store.ScopeRow{{Machine: id, Reason: muster.OutTag, Since: start}}
	state := store.State{Machine: id, OpenRows: 1, Attributes: []byte(`{"z":1}`)}
	changes := []store.Change{{Machine: id, At: start, Attribute: "a", New: []byte(`1`)}}
	_, renewed := c.Renew(c.Context(), l, start, after(time.Hour), wire.Progress{Traffic: muster.Traffic{APICalls: 1000}})
	_, lengthened := c.RenewMerge(c.Context(), l, start, after(time.Hour))
	for name, err := range map[string]error{
		"Renew":          renewed,
		"RenewMerge":     lengthened,
		"BindTenant":     c.BindTenant(c.Context(), l, "ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee"),
		"BeginDataset":   c.BeginDataset(c.Context(), l, muster.Software, start),
		"Stage":          c.Stage(c.Context(), l, store.Staged{Dataset: muster.Machines, Sequence: 9, Records: 1, Chunks: [][]byte{{1}}, Parts: []string{"q"}, Counts: counts, Rejected: []wire.Rejected{{Machine: "m1"}}}, start),
		"EndDataset":     c.EndDataset(c.Context(), l, muster.Machines, wire.Completeness{Mode: muster.ModeFull, State: muster.Complete}),
		"RestartDataset": c.RestartDataset(c.Context(), l, muster.Machines),
		"SaveScope":      c.SaveScope(c.Context(), l, []byte("scope"), start),
		"MergeMachines":  c.MergeMachines(c.Context(), store.MachineStep{Step: st, Connector: 1, Machines: []store.MachineRow{row}, Scopes: scopes, Entered: []int64{id}, Changes: changes}),
		"MergeMissing":   c.MergeMissing(c.Context(), store.MachineStep{Step: st, Connector: 1, Machines: []store.MachineRow{row}, Scopes: scopes}),
		"MergeDocuments": c.MergeDocuments(c.Context(), store.DocumentStep{Step: st, States: []store.State{state}, Changes: changes}),
		"MergeItems":     c.MergeItems(c.Context(), store.ItemStep{Step: st, States: []store.State{state}, Items: map[store.ItemKind][]store.Item{store.Findings: {{Machine: id, ID: 1, Facts: 1}}}}),
		"MergeCatalogue": c.MergeCatalogue(c.Context(), st, []store.CatalogueRow{{CVE: 1, Attributes: []byte(`{}`)}}, start),
		"EndMerge":       c.EndMerge(c.Context(), st, 1, &store.DatasetState{Snapshot: start, RowsRead: 1}),
		"EndReading":     c.EndReading(c.Context(), l, wire.Outcome{Cancelled: true}, start),
		"EndRun":         c.EndRun(c.Context(), l, muster.Failed, nil, nil, start),
	} {
		if !errorIs(err, muster.ErrLeaseLost) {
			c.Fatalf("%s with a lost lease: %v", name, err)
		}
	}
}

// everything is what the writes of refuseAll could have changed.
func (c *testCase) everything(run, machine int64) []any {
	c.Helper()
	var all []any
	add := func(v any, err error) {
		c.ok(err)
		all = append(all, v)
	}
	add(c.Store.Run(c.Context(), run))
	add(c.Report(c.Context(), run))
	add(c.StagedDatasets(c.Context(), run))
	add(c.Segments(c.Context(), run, muster.Machines))
	add(c.RejectedRows(c.Context(), run, muster.Machines))
	scope, _, err := c.RunScope(c.Context(), run)
	add(scope, err)
	add(c.Machines(c.Context(), []int64{machine}))
	add(c.States(c.Context(), muster.Machines, []int64{machine}))
	add(c.scopedElsewhere(0))
	add(c.items(store.Findings, machine), nil)
	add(c.DatasetState(c.Context(), 1, muster.Machines))
	return all
}

// scopedElsewhere lists the machines that another connector than the given has in scope.
func (c *testCase) scopedElsewhere(connector int64) ([]int64, error) {
	var ids []int64
	err := c.ScopedElsewhere(c.Context(), connector, func(id int64) { ids = append(ids, id) })
	return ids, err
}

func (c *testCase) items(kind store.ItemKind, machines ...int64) []store.Item {
	c.Helper()
	var all []store.Item
	c.ok(c.Items(c.Context(), kind, machines, func(i store.Item) { all = append(all, i) }))
	return all
}
