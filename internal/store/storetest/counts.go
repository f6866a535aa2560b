package storetest

import (
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

var countTests = []test{
	{"machines, devices and what stands on them", countedDevices},
	{"folding tallies", foldedTallies},
	{"daily totals", dailyTotals},
	{"how long fixing took", fixTimes},
	{"a step of another lease", func(c *testCase) {
		k := newCounted(c)
		stale := k.lease
		stale.Fence--
		c.fails(c.FoldTallies(c.Context(), stale, k.tenant), muster.ErrLeaseLost)
	}},
}

// counted is a tenant of three machines: a and b are one device, c stands alone.
type counted struct {
	*testCase

	lease     wire.Lease
	tenant    int64
	machines  []int64
	exposures []int64 // CVE-1 and CVE-2 in one software, CVE-1 in another
	cves      []int64
	software  []int64
	facts     []int64 // high; critical with an exploit
	held      map[int64]map[int64]int64
}

func newCounted(c *testCase) *counted {
	c.Helper()
	ctx := c.Context()
	k := &counted{testCase: c, machines: c.machines("a", "b", "c"), held: map[int64]map[int64]int64{}}
	var err error
	k.tenant, err = c.TenantID(ctx, tenantGUID)
	c.ok(err)
	k.cves, err = c.CVEIDs(ctx, []string{"CVE-1", "CVE-2"})
	c.ok(err)
	k.software, err = c.SoftwareIDs(ctx, []store.SoftwareKey{{Name: "x"}, {Name: "y"}})
	c.ok(err)
	k.exposures, err = c.ExposureIDs(ctx, []store.ExposureKey{{Software: k.software[0], CVE: k.cves[0]}, {Software: k.software[0], CVE: k.cves[1]}, {Software: k.software[1], CVE: k.cves[0]}})
	c.ok(err)
	k.facts, err = c.FactsIDs(ctx, []store.Facts{
		{Hash: [16]byte{1}, Document: []byte(`{"` + store.SeverityAttribute + `":"High"}`)},
		{Hash: [16]byte{2}, Document: []byte(`{"` + store.ExploitabilityAttribute + `":"ExploitIsPublic","` + store.SeverityAttribute + `":"Critical"}`)},
	})
	c.ok(err)
	k.lease = c.merging(muster.Machines, muster.Vulnerabilities)
	c.ok(c.Recount(ctx, k.lease, k.tenant))
	s := store.MachineStep{Step: step(k.lease, muster.Machines, 1, muster.Counts{}), Connector: 1}
	for i, id := range k.machines {
		s.Machines = append(s.Machines, store.MachineRow{ID: id, Attributes: []byte(`{"` + store.GroupAttribute + `":"g","` + store.PlatformAttribute + `":"p"}`), LastSeen: after(time.Duration(i) * time.Hour), ListedAt: start})
		s.Scopes = append(s.Scopes, store.ScopeRow{Machine: id, Since: start})
	}
	c.ok(c.MergeMachines(ctx, s))
	c.ok(c.Regroup(ctx, store.Regrouping{
		Lease: k.lease, Tenants: []store.TenantDevices{{Tenant: k.tenant}},
		Machines: []store.Grouped{{Machine: k.machines[0], Device: "d1"}, {Machine: k.machines[1], Device: "d1"}, {Machine: k.machines[2], Device: "d2"}},
		Founders: []store.Founder{{Device: "d1", Machine: k.machines[0]}, {Device: "d2", Machine: k.machines[2]}},
	}))
	return k
}

// has gives a machine these findings and no others: facts by exposure.
func (k *counted) has(machine int, findings map[int64]int64) {
	k.Helper()
	id := k.machines[machine]
	d := store.Difference{Machine: id, Kind: store.Findings}
	var items []store.Item
	for e, exposure := range k.exposures {
		key := store.Standing{Item: exposure, Software: k.software[e/2], CVE: k.cves[e%2]}
		was, stood := k.held[id][exposure]
		is, stands := findings[exposure]
		if stood {
			key.Facts = was
			d.Before = append(d.Before, key)
		}
		if stands {
			key.Facts = is
			d.After = append(d.After, key)
			items = append(items, store.Item{Machine: id, ID: exposure, Facts: is, Number: start.UnixMicro()})
		} else if stood {
			items = append(items, store.Item{Machine: id, ID: exposure, Facts: was, Number: start.UnixMicro(), ClosedAt: after(50 * time.Hour), Confirmed: start})
		}
	}
	k.held[id] = findings
	k.ok(k.MergeItems(k.Context(), store.ItemStep{Step: step(k.lease, muster.Vulnerabilities, id, muster.Counts{}), Items: map[store.ItemKind][]store.Item{store.Findings: items}, Differences: []store.Difference{d}}))
}

// leave takes a machine out of the scope.
func (k *counted) leave(machine int) {
	k.Helper()
	k.ok(k.MergeMissing(k.Context(), store.MachineStep{
		Step: step(k.lease, muster.Machines, 1, muster.Counts{}), Connector: 1,
		Scopes: []store.ScopeRow{{Machine: k.machines[machine], Reason: muster.OutMissing, Since: after(time.Hour)}},
	}))
}

func countedDevices(c *testCase) {
	k := newCounted(c)
	high, critical := k.facts[0], k.facts[1]
	k.has(0, map[int64]int64{k.exposures[0]: high, k.exposures[1]: high})
	k.has(1, map[int64]int64{k.exposures[0]: critical, k.exposures[2]: high}) // seen later than the first
	machines, err := c.MachineCounts(c.Context(), k.machines)
	c.ok(err)
	highs, criticals := store.Class{Severity: "High"}, store.Class{Severity: "Critical", Exploitability: "ExploitIsPublic"}
	c.equal("machines", machines, map[int64]map[store.Class]int64{k.machines[0]: {highs: 2}, k.machines[1]: {highs: 1, criticals: 1}})
	devices := func(want map[string]store.DeviceCounts) {
		c.Helper()
		got, err := c.DeviceCounts(c.Context(), []string{"d1", "d2", "none"})
		c.ok(err)
		c.equal("devices", got, want)
	}
	devices(map[string]store.DeviceCounts{"d1": {Open: [5]int64{1, 2}, Exploitable: [5]int64{1}}})
	k.leave(1)
	devices(map[string]store.DeviceCounts{"d1": {Open: [5]int64{0, 2}}})
	k.has(2, map[int64]int64{k.exposures[0]: high})
	c.ok(c.Regroup(c.Context(), store.Regrouping{Lease: k.lease, Tenants: []store.TenantDevices{{Tenant: k.tenant, Regroups: 1}}, Machines: []store.Grouped{{Machine: k.machines[0], Device: "d2"}}}))
	devices(map[string]store.DeviceCounts{"d1": {}, "d2": {Open: [5]int64{0, 2}}})
}

func (k *counted) tallies(kind store.TallyKind, items []int64, want ...int64) {
	k.Helper()
	got, err := k.DeviceTallies(k.Context(), kind, []int64{k.tenant, k.tenant + 1}, items)
	k.ok(err)
	for i, n := range want {
		k.equal("devices by "+string(kind), got[items[i]], n)
	}
}

func foldedTallies(c *testCase) {
	k := newCounted(c)
	k.has(0, map[int64]int64{k.exposures[0]: k.facts[0], k.exposures[1]: k.facts[0]})
	k.has(1, map[int64]int64{k.exposures[2]: k.facts[0]})
	k.has(2, map[int64]int64{k.exposures[2]: k.facts[0]})
	k.tallies(store.DevicesByCVE, k.cves, 0, 0) // as of the end of the last merge
	for range 2 {
		c.ok(c.FoldTallies(c.Context(), k.lease, k.tenant))
		k.tallies(store.DevicesByCVE, k.cves, 2, 1)
		k.tallies(store.DevicesExposed, k.software, 1, 2)
	}
	k.leave(2)
	k.has(0, nil)
	c.ok(c.FoldTallies(c.Context(), k.lease, k.tenant))
	k.tallies(store.DevicesByCVE, k.cves, 1, 0)
	k.tallies(store.DevicesExposed, k.software, 0, 1)
}

func dailyTotals(c *testCase) {
	k := newCounted(c)
	day := func(n int, want ...store.Total) {
		c.Helper()
		c.ok(c.EndMerge(c.Context(), step(k.lease, muster.Vulnerabilities, 1, muster.Counts{}), k.tenant, &store.DatasetState{Snapshot: after(time.Duration(n) * 24 * time.Hour)}))
		var got []store.Total
		days, err := c.TotalsOf(c.Context(), tenantGUID, func(t store.Total) {
			if t.Day == after(time.Duration(n)*24*time.Hour).Format(time.DateOnly) {
				got = append(got, t)
			}
		})
		c.ok(err)
		c.equal("as of", days[len(days)-1].AsOf, after(time.Duration(n)*24*time.Hour))
		for i := range want {
			want[i].Day, want[i].Organisation, want[i].Platform, want[i].Group = days[len(days)-1].Day, store.DefaultOrganisation, "p", "g"
		}
		c.equal("totals", got, want)
	}
	total := func(severity string, open int64, f store.Flow) store.Total {
		return store.Total{Bucket: store.Bucket{Severity: severity}, Open: open, Flow: f}
	}
	day(0)
	k.has(0, map[int64]int64{k.exposures[0]: k.facts[0], k.exposures[1]: k.facts[0]})
	day(1, total("High", 2, store.Flow{Opened: 2}))
	k.has(0, map[int64]int64{k.exposures[0]: k.facts[1]})
	day(1, total("Critical", 1, store.Flow{Entered: 1}), total("High", 0, store.Flow{Opened: 2, Fixed: 1, Left: 1})) // the day's second read
	day(3, total("Critical", 1, store.Flow{}))
	k.leave(0)
	held := store.DatasetState{Snapshot: after(96 * time.Hour), Guard: muster.Guard{Since: start}}
	c.ok(c.EndMerge(c.Context(), step(k.lease, muster.Vulnerabilities, 1, muster.Counts{}), k.tenant, &held)) // no day
	c.ok(c.EndMerge(c.Context(), step(k.lease, muster.Vulnerabilities, 1, muster.Counts{}), k.tenant, nil))
	day(5, total("Critical", 0, store.Flow{Left: 1}))
	day(6)
	days, err := c.TotalsOf(c.Context(), tenantGUID, func(store.Total) {})
	c.ok(err)
	c.equal("days", len(days), 5)
	none, err := c.TotalsOf(c.Context(), "nobody", func(store.Total) { c.Error("totals of nobody") })
	c.ok(err)
	c.equal("days of nobody", len(none), 0)
}

func fixTimes(c *testCase) {
	k := newCounted(c)
	k.has(0, map[int64]int64{k.exposures[0]: k.facts[0], k.exposures[1]: k.facts[1]})
	k.has(0, map[int64]int64{k.exposures[1]: k.facts[1]})
	type fixed struct {
		severity       string
		days, findings int64
	}
	times := func(from, until time.Duration, want ...fixed) {
		c.Helper()
		var got []fixed
		c.ok(c.FixTimes(c.Context(), k.tenant, after(from), after(until), func(severity string, days, findings int64) { got = append(got, fixed{severity, days, findings}) }))
		c.equal("fixed", len(got), len(want))
		for i := range want {
			c.equal("fixed", got[i] == want[i], true)
		}
	}
	times(0, 50*time.Hour)
	times(50*time.Hour, 51*time.Hour, fixed{"High", 2, 1})
	times(51*time.Hour, 99*time.Hour)
}
