package storetest

import (
	"strings"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

var deviceTests = []test{
	{"what reconciliation found comes back", groupingRoundTrip},
	{"a piece made of what is not so any more is refused", func(c *testCase) {
		ids := c.machines("m1")
		tenants := c.grouping().Tenants
		c.ok(c.Regroup(c.Context(), store.Regrouping{Tenants: tenants, Machines: []store.Grouped{{Machine: ids[0], Device: "d-1"}}}))
		late := store.Regrouping{Tenants: tenants, Machines: []store.Grouped{{Machine: ids[0], Device: "d-2"}}, Decisions: []store.Decision{{A: 1, B: 2, At: start}}}
		c.fails(c.Regroup(c.Context(), late), muster.ErrConflict)
		c.equal("devices", c.devicesOf(ids...), []string{"d-1"})
		c.equal("decisions", len(c.grouping().Decisions), 0)
		c.equal("regroups", c.grouping().Tenants[0].Regroups, tenants[0].Regroups+1)
	}},
	{"a lost lease regroups nothing", func(c *testCase) {
		ids := c.machines("m1")
		l := c.merging(muster.Machines)
		c.fails(c.Regroup(c.Context(), store.Regrouping{Lease: wire.Lease{Run: l.Run, Fence: l.Fence - 1}, Machines: []store.Grouped{{Machine: ids[0], Device: "d-1"}}}), muster.ErrLeaseLost)
		c.equal("devices", c.devicesOf(ids...), []string{""})
		c.ok(c.Regroup(c.Context(), store.Regrouping{Lease: l, Machines: []store.Grouped{{Machine: ids[0], Device: "d-1"}}}))
		c.equal("devices", c.devicesOf(ids...), []string{"d-1"})
	}},
	{"an id goes on answering", deviceAnswers},
	{"groups of tenants", tenantGroups},
	{"a device's machines, and why", func(c *testCase) {
		ids := c.machines("m1", "m2", "m3")
		l := c.merging(muster.Machines)
		c.ok(c.MergeMachines(c.Context(), store.MachineStep{Step: step(l, muster.Machines, 1, muster.Counts{}), Machines: []store.MachineRow{
			{ID: ids[0], FirstSeen: start, LastSeen: after(time.Hour), ListedAt: start}, {ID: ids[1], MergedInto: "m1", ListedAt: start}, {ID: ids[2], ListedAt: start},
		}}))
		link := store.Link{Machine: ids[1], Partner: ids[0], Reason: muster.JoinedByMerge, Since: start}
		c.ok(c.Regroup(c.Context(), store.Regrouping{Machines: []store.Grouped{{Machine: ids[0], Device: "d-1", Superseded: true}, {Machine: ids[1], Device: "d-1"}, {Machine: ids[2], Device: "d-3"}}, Links: []store.Link{link}}))
		got, err := c.DeviceMachines(c.Context(), "d-1")
		c.ok(err)
		tenant, err := c.TenantID(c.Context(), tenantGUID)
		c.ok(err)
		c.equal("machines", got, []store.DeviceMachine{
			{Machine: ids[0], Tenant: tenant, MachineID: "m1", FirstSeen: start, LastSeen: after(time.Hour), Superseded: true},
			{Machine: ids[1], Tenant: tenant, MachineID: "m2", MergedInto: "m1", Links: []store.Link{link}},
		})
		got, err = c.DeviceMachines(c.Context(), "d-2")
		c.ok(err)
		c.equal("of nobody", len(got), 0)
	}},
}

func (c *testCase) grouping() store.Grouping {
	c.Helper()
	tenant, err := c.TenantID(c.Context(), tenantGUID)
	c.ok(err)
	g, err := c.Grouping(c.Context(), tenant)
	c.ok(err)
	return g
}

func (c *testCase) devicesOf(ids ...int64) []string {
	c.Helper()
	rows, err := c.Machines(c.Context(), ids)
	c.ok(err)
	devices := make([]string, len(ids))
	for i, id := range ids {
		devices[i] = rows[id].Device
	}
	return devices
}

func groupingRoundTrip(c *testCase) {
	ids := c.machines("m1", "m2", "m3")
	other, err := c.TenantID(c.Context(), "other")
	c.ok(err)
	foreign, err := c.MachineIDs(c.Context(), other, []string{"m1"})
	c.ok(err)
	empty := c.grouping()
	c.equal("nothing yet", empty, store.Grouping{Tenants: empty.Tenants, Orphans: map[string]bool{}})
	keys := []store.GroupKey{
		{Machine: ids[0], Kind: muster.JoinedByEntraID, Value: "x", Until: start},
		{Machine: ids[0], Kind: muster.JoinedByFQDN, Value: "pc.d"},
		{Machine: ids[1], Kind: muster.JoinedByMACAndHost, Value: "00:00:5E:00:53:01 pc", Until: after(time.Hour)},
	}
	links := []store.Link{
		{Machine: ids[1], Partner: ids[0], Reason: muster.JoinedByEntraID, Value: "x", Since: start}, {Machine: ids[1], Partner: ids[2], Reason: muster.JoinedByMerge, Since: after(time.Hour)},
	}
	decisions := []store.Decision{{A: ids[0], B: ids[1], Apart: true, At: start, By: "ada"}, {A: ids[0], B: ids[2], At: start}}
	r := store.Regrouping{
		Tenants:  empty.Tenants,
		Machines: []store.Grouped{{Machine: ids[0], Device: "d-1"}, {Machine: ids[1], Device: "d-1", Superseded: true}, {Machine: ids[2], Device: "d-3"}},
		Founders: []store.Founder{{Device: "d-3", Machine: ids[2]}, {Device: "d-1", Machine: ids[0]}},
		Keys:     append(keys, store.GroupKey{Machine: foreign[0], Kind: muster.JoinedByFQDN, Value: "y"}), Links: links,
		Decisions: []store.Decision{decisions[1], {A: ids[1], B: ids[0], Apart: true, At: start, By: "ada"}},
	}
	c.ok(c.Regroup(c.Context(), r))
	got := c.grouping()
	want := store.Grouping{Tenants: []store.TenantDevices{{Tenant: empty.Tenants[0].Tenant, GUID: tenantGUID, Regroups: 1}}, Keys: keys, Links: links, Decisions: decisions, Orphans: map[string]bool{}}
	c.equal("grouping", got, want)
	rows, err := c.Machines(c.Context(), ids)
	c.ok(err)
	c.equal("superseded", []bool{rows[ids[0]].Superseded, rows[ids[1]].Superseded, rows[ids[2]].Superseded}, []bool{false, true, false})

	// A later piece replaces what some machines had, and a decision takes another back.
	keys[2].Value, decisions[0].Apart = "z", false
	c.ok(c.Regroup(c.Context(), store.Regrouping{Tenants: got.Tenants, Replaced: ids[1:2], Keys: keys[2:], Decisions: decisions[:1]}))
	want.Links, want.Tenants[0].Regroups = nil, 2
	c.equal("grouping", c.grouping(), want)
}

func deviceAnswers(c *testCase) {
	ids := c.machines("m1", "m2")
	put := func(devices [2]string, founders ...store.Founder) {
		c.Helper()
		c.ok(c.Regroup(c.Context(), store.Regrouping{Machines: []store.Grouped{{Machine: ids[0], Device: devices[0]}, {Machine: ids[1], Device: devices[1]}}, Founders: founders}))
	}
	answers := func(id, want string) {
		c.Helper()
		got, err := c.Device(c.Context(), id)
		c.ok(err)
		c.equal("answer of "+id, got, want)
	}
	put([2]string{"d-1", "d-2"}, store.Founder{Device: "d-1", Machine: ids[0]}, store.Founder{Device: "d-2", Machine: ids[1]})
	answers("d-1", "d-1")
	answers("d-2", "d-2")
	put([2]string{"d-1", "d-1"})
	answers("d-2", "d-1")
	put([2]string{"d-0", "d-0"}, store.Founder{Device: "d-0", Machine: ids[0]})
	for _, id := range []string{"d-0", "d-1", "d-2"} {
		answers(id, "d-0")
	}
	put([2]string{"d-1", "d-2"})
	answers("d-2", "d-2")
	answers("d-0", "d-1")
	_, err := c.Device(c.Context(), "d-9")
	c.fails(err, muster.ErrNotFound)
	put([2]string{"d-old", "d-2"}) // of a schema that knew no founders
	answers("d-old", "d-old")
	c.equal("orphans", c.grouping().Orphans, map[string]bool{"d-old": true})
}

func tenantGroups(c *testCase) {
	var tenants []int64
	for _, name := range []string{"t1", "t2", "t3", "t4"} {
		id, err := c.TenantID(c.Context(), name)
		c.ok(err)
		tenants = append(tenants, id)
	}
	groups := func(want ...string) {
		c.Helper()
		var got []string
		for _, t := range tenants {
			g, err := c.Grouping(c.Context(), t)
			c.ok(err)
			var names strings.Builder
			for _, with := range g.Tenants {
				names.WriteString(with.GUID)
			}
			got = append(got, names.String())
		}
		c.equal("groups", got, want)
	}
	groups("t1", "t2", "t3", "t4")
	c.ok(c.GroupTenants(c.Context(), tenants[:3]))
	groups("t1t2t3", "t1t2t3", "t1t2t3", "t4")
	c.ok(c.GroupTenants(c.Context(), []int64{tenants[0], tenants[3]}))
	groups("t1t4", "t2t3", "t2t3", "t1t4")
	c.ok(c.GroupTenants(c.Context(), tenants[1:2]))
	groups("t1t4", "t2", "t3", "t1t4")

	before, err := c.Grouping(c.Context(), tenants[0])
	c.ok(err)
	c.ok(c.GroupTenants(c.Context(), tenants[3:])) // whatever was read of the group before is refused now
	c.fails(c.Regroup(c.Context(), store.Regrouping{Tenants: before.Tenants}), muster.ErrConflict)
	groups("t1", "t2", "t3", "t4")
}
