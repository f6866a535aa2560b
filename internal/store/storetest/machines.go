package storetest

import (
	"cmp"
	"fmt"
	"time"

	"muster"
	"muster/internal/store"
)

var machineTests = []test{
	{"a machine comes back whole", machineRoundTrip},
	{"counts and cursor move with the data", func(c *testCase) {
		ids := c.machines("m1", "m2")
		l := c.merging(muster.Machines)
		for n, id := range ids {
			c.ok(c.MergeMachines(c.Context(), store.MachineStep{Step: step(l, muster.Machines, id, muster.Counts{New: 1, Duplicates: int64(n)}), Machines: []store.MachineRow{{ID: id, Device: "d"}}}))
			c.equal("cursor", c.staged(l.Run, muster.Machines).Cursor, id)
		}
		st := c.staged(l.Run, muster.Machines)
		c.equal("counts", st.Counts, muster.Counts{New: 2, Duplicates: 1})
		c.equal("merged", st.Merged, false)
	}},
	{"a step that fails leaves nothing", func(c *testCase) {
		id := c.machines("m1")[0]
		l := c.merging(muster.Machines)
		// The counts of a dataset that was not begun have nowhere to go, after all else was written.
		bad := step(l, muster.Software, 7, muster.Counts{New: 1})
		if err := c.MergeMachines(c.Context(), store.MachineStep{
			Step: bad, Connector: 1, Machines: []store.MachineRow{{ID: id, Device: "d", Attributes: []byte(`{}`)}},
			Scopes: []store.ScopeRow{{Machine: id, Since: start}},
		}); err == nil {
			c.Fatal("the step was taken")
		}
		if err := c.MergeItems(c.Context(), store.ItemStep{Step: bad, States: []store.State{{Machine: id, OpenRows: 1}}, Items: map[store.ItemKind][]store.Item{store.Findings: {{Machine: id, ID: 1, Facts: 1}}}}); err == nil {
			c.Fatal("the step was taken")
		}
		rows, err := c.Machines(c.Context(), []int64{id})
		c.ok(err)
		c.equal("machine", rows[id], store.MachineRow{ID: id, MachineID: "m1"})
		c.equal("scopes", len(c.scopes(1)), 0)
		states, err := c.States(c.Context(), muster.Software, []int64{id})
		c.ok(err)
		c.equal("states", len(states), 0)
		c.equal("items", len(c.items(store.Findings, id)), 0)
	}},
	{"machines share a device", func(c *testCase) {
		ids := c.machines("m1", "m2", "m3")
		l := c.merging(muster.Machines)
		for _, device := range []string{"d-1", "d-2", "d-1", ""} { // moved there and back; no device leaves it
			rows := []store.MachineRow{{ID: ids[0], Device: device}, {ID: ids[1], Device: "d-1"}, {ID: ids[2]}}
			device = cmp.Or(device, "d-1")
			c.ok(c.MergeMachines(c.Context(), store.MachineStep{Step: step(l, muster.Machines, 1, muster.Counts{}), Machines: rows}))
			found, err := c.Machines(c.Context(), ids)
			c.ok(err)
			c.equal("devices", []string{found[ids[0]].Device, found[ids[1]].Device, found[ids[2]].Device}, []string{device, "d-1", ""})
		}
	}},
	{"missing machines keep what they were", missingTest},
	{"scopes are each connector's own", scopeTest},
	{"who enters is not assessed", enteredTest},
	{"a tenant's machines in order", func(c *testCase) {
		names := make([]string, 300)
		for i := range names {
			names[i] = fmt.Sprintf("m%03d", (i*7)%len(names))
		}
		c.machines(names...)
		tenant, err := c.TenantID(c.Context(), tenantGUID)
		c.ok(err)
		other, err := c.TenantID(c.Context(), "other")
		c.ok(err)
		_, err = c.MachineIDs(c.Context(), other, []string{"foreign"})
		c.ok(err)
		var last int64
		seen := map[string]bool{}
		c.ok(c.TenantMachines(c.Context(), tenant, func(m store.MachineRow) error {
			if m.ID <= last {
				c.Errorf("machine %d after %d", m.ID, last)
			}
			last, seen[m.MachineID] = m.ID, true
			return nil
		}))
		c.equal("number", len(seen), len(names))
		c.equal("the other tenant's", seen["foreign"], false)
		calls := 0
		c.fails(c.TenantMachines(c.Context(), tenant, func(store.MachineRow) error { calls++; return store.ErrDamaged }), store.ErrDamaged)
		c.equal("calls after an error", calls, 1)
	}},
}

func machineRoundTrip(c *testCase) {
	ids := c.machines("m1", "m2")
	l := c.merging(muster.Machines)
	full := store.MachineRow{
		ID: ids[0], MachineID: "m1", Device: "d-1", Attributes: []byte(`{"a":"ä'","n":1.50}`), FirstSeen: after(-time.Hour), LastSeen: start,
		Keys: store.MatchKeys{EntraID: "aad", VMID: "vm", HostName: "h", FQDN: "h.d", MACs: []string{"00:00:5E:00:53:01", "00:00:5E:00:53:02"}}, MergedInto: "m2", Superseded: true, ListedAt: after(time.Second), UnseenSince: after(time.Minute), MissingSince: after(time.Hour),
	}
	bare := store.MachineRow{ID: ids[1], MachineID: "m2", Device: "d-2", Attributes: []byte(`{}`), FirstSeen: time.Unix(0, 0).UTC()} // a time of 0 is a time
	changes := []store.Change{
		{Machine: ids[0], At: start, Attribute: "a", Old: []byte(`"x"`), New: []byte(`"ä'"`)},
		{Machine: ids[0], At: start, Attribute: "b", Old: []byte(`1`)},
		{Machine: ids[0], At: start, Attribute: "c", New: []byte(`[]`)},
	}
	for range 2 { // applying the same again changes nothing
		c.ok(c.MergeMachines(c.Context(), store.MachineStep{Step: step(l, muster.Machines, ids[1], muster.Counts{}), Machines: []store.MachineRow{full, bare}, Changes: changes}))
		got, err := c.Machines(c.Context(), append(ids, 1<<40))
		c.ok(err)
		c.equal("machines", got, map[int64]store.MachineRow{ids[0]: full, ids[1]: bare})
	}
	tenant, err := c.TenantID(c.Context(), tenantGUID)
	c.ok(err)
	listed := map[int64]store.MachineRow{}
	c.ok(c.TenantMachines(c.Context(), tenant, func(m store.MachineRow) error { listed[m.ID] = m; return nil }))
	full.Attributes, bare.Attributes = nil, nil
	c.equal("the tenant's machines", listed, map[int64]store.MachineRow{ids[0]: full, ids[1]: bare})

	empty := store.MachineRow{ID: ids[0], MachineID: "m1"}
	c.ok(c.MergeMachines(c.Context(), store.MachineStep{Step: step(l, muster.Machines, ids[1], muster.Counts{}), Machines: []store.MachineRow{empty}}))
	got, err := c.Machines(c.Context(), ids[:1])
	c.ok(err)
	empty.Device, empty.Superseded = full.Device, full.Superseded
	c.equal("emptied", got[ids[0]], empty)
}

func missingTest(c *testCase) {
	id := c.machines("m1")[0]
	l := c.merging(muster.Machines)
	row := store.MachineRow{ID: id, MachineID: "m1", Device: "d-1", Attributes: []byte(`{"a":1}`), LastSeen: start, ListedAt: start}
	c.ok(c.MergeMachines(c.Context(), store.MachineStep{Step: step(l, muster.Machines, id, muster.Counts{}), Machines: []store.MachineRow{row}}))
	gone := store.MachineRow{ID: id, UnseenSince: after(time.Hour), MissingSince: after(7 * time.Hour)}
	scopes := []store.ScopeRow{{Machine: id, Reason: muster.OutMissing, Since: after(7 * time.Hour)}}
	c.ok(c.MergeMissing(c.Context(), store.MachineStep{Step: step(l, muster.Machines, id, muster.Counts{Closed: 1}), Connector: 3, Machines: []store.MachineRow{gone}, Scopes: scopes}))
	row.UnseenSince, row.MissingSince = gone.UnseenSince, gone.MissingSince
	got, err := c.Machines(c.Context(), []int64{id})
	c.ok(err)
	c.equal("machine", got[id], row)
	c.equal("scopes", c.scopes(3), map[int64]store.ScopeRow{id: scopes[0]})
	c.equal("counts", c.staged(l.Run, muster.Machines).Counts, muster.Counts{Closed: 1})
}

func (c *testCase) scopes(connector int64) map[int64]store.ScopeRow {
	c.Helper()
	found := map[int64]store.ScopeRow{}
	c.ok(c.ConnectorScopes(c.Context(), connector, func(r store.ScopeRow) { found[r.Machine] = r }))
	return found
}

func scopeTest(c *testCase) {
	ids := c.machines("m1", "m2", "m3")
	l := c.merging(muster.Machines)
	save := func(connector int64, rows ...store.ScopeRow) {
		c.ok(c.MergeMachines(c.Context(), store.MachineStep{Step: step(l, muster.Machines, 1, muster.Counts{}), Connector: connector, Scopes: rows}))
	}
	save(1, store.ScopeRow{Machine: ids[0], Since: start}, store.ScopeRow{Machine: ids[1], Reason: muster.OutStale, Since: start})
	save(2, store.ScopeRow{Machine: ids[1], Since: start}, store.ScopeRow{Machine: ids[2], Since: start})
	save(1, store.ScopeRow{Machine: ids[0], Reason: muster.OutTag, Since: after(time.Hour)})
	c.equal("of the first", c.scopes(1), map[int64]store.ScopeRow{
		ids[0]: {Machine: ids[0], Reason: muster.OutTag, Since: after(time.Hour)},
		ids[1]: {Machine: ids[1], Reason: muster.OutStale, Since: start},
	})
	c.equal("of a third", len(c.scopes(3)), 0)
	for connector, want := range map[int64][]int64{1: {ids[1], ids[2]}, 2: nil, 3: {ids[1], ids[2]}} {
		got, err := c.scopedElsewhere(connector)
		c.ok(err)
		c.equal("elsewhere", distinct(got), distinct(want))
		c.equal("each once", len(got), len(want))
	}
}

func enteredTest(c *testCase) {
	ids := c.machines("m1", "m2")
	l := c.merging(muster.Machines, muster.Antivirus, muster.Software)
	known := muster.Known{AppliedAt: start, LookedAt: start, AssessedAt: start, EmptyAt: start}
	for _, d := range []muster.Dataset{muster.Antivirus, muster.Software} {
		var states []store.State
		for _, id := range ids {
			states = append(states, store.State{Machine: id, Known: known, LastConfirmed: start, Digest: []byte{1}, OpenRows: 1, Attributes: []byte(`{}`)})
		}
		c.ok(c.MergeDocuments(c.Context(), store.DocumentStep{Step: step(l, d, 1, muster.Counts{}), States: states}))
	}
	c.ok(c.MergeMachines(c.Context(), store.MachineStep{Step: step(l, muster.Machines, 1, muster.Counts{}), Entered: ids[:1]}))
	for _, d := range []muster.Dataset{muster.Antivirus, muster.Software} {
		got, err := c.States(c.Context(), d, ids)
		c.ok(err)
		c.equal("states", got, map[int64]store.State{
			ids[0]: {Machine: ids[0], Known: muster.Known{AppliedAt: start}, LastConfirmed: start, OpenRows: 1, Attributes: []byte(`{}`)},
			ids[1]: {Machine: ids[1], Known: known, LastConfirmed: start, Digest: []byte{1}, OpenRows: 1, Attributes: []byte(`{}`)},
		})
	}
}
