package storetest

import (
	"fmt"
	"time"

	"muster"
	"muster/internal/store"
)

var exportTests = []test{
	{"tenants sorted by bytes", func(c *testCase) {
		all, err := c.Tenants(c.Context())
		c.ok(err)
		c.equal("none", len(all), 0)
		for _, tenant := range []string{"b", "a", "B", "ä", "_", "a"} {
			_, err := c.TenantID(c.Context(), tenant)
			c.ok(err)
		}
		all, err = c.Tenants(c.Context())
		c.ok(err)
		c.equal("tenants", all, []string{"B", "_", "a", "b", "ä"})
	}},
	{"listed machines with the scopes of all connectors", listedTest},
	{"rows with what confirms them", rowsTest},
	{"texts come back by id", func(c *testCase) {
		keys := []store.SoftwareKey{{Vendor: "v", Name: "ä'", Version: "1"}, {}}
		software, err := c.SoftwareIDs(c.Context(), keys)
		c.ok(err)
		cves, err := c.CVEIDs(c.Context(), []string{"CVE-1"})
		c.ok(err)
		exposures, err := c.ExposureIDs(c.Context(), exposureKeys([2]int64{software[0], cves[0]}, [2]int64{software[1], 0}))
		c.ok(err)
		configurations, err := c.ConfigurationIDs(c.Context(), []string{"scid-1", "scid-2"})
		c.ok(err)
		const none = 1 << 30
		gotSoftware, err := c.SoftwareOf(c.Context(), append(software, none))
		c.ok(err)
		c.equal("software", gotSoftware, map[int64]store.SoftwareKey{software[0]: keys[0], software[1]: keys[1]})
		gotExposures, err := c.ExposuresOf(c.Context(), append(exposures, none))
		c.ok(err)
		c.equal("exposures", gotExposures, map[int64]store.Exposure{exposures[0]: {SoftwareKey: keys[0], CVE: "CVE-1"}, exposures[1]: {SoftwareKey: keys[1]}})
		gotConfigurations, err := c.ConfigurationsOf(c.Context(), append(configurations, none))
		c.ok(err)
		c.equal("configurations", gotConfigurations, map[int64]string{configurations[0]: "scid-1", configurations[1]: "scid-2"})
		nothing, err := c.SoftwareOf(c.Context(), nil)
		c.ok(err)
		c.equal("of none", len(nothing), 0)
	}},
	{"changes of some machines", func(c *testCase) {
		ids := c.machines("m1", "m2")
		l := c.merging(muster.Machines)
		changes := []store.Change{
			{Machine: ids[0], At: start, Attribute: "a", Old: []byte(`"x"`), New: []byte(`"ä"`)},
			{Machine: ids[0], At: after(time.Hour), Attribute: "a", Old: []byte(`"ä"`)},
			{Machine: ids[1], At: start, Attribute: "a", New: []byte(`1`)},
		}
		c.ok(c.MergeMachines(c.Context(), store.MachineStep{Step: step(l, muster.Machines, 1, muster.Counts{}), Changes: changes}))
		got := map[string]store.Change{}
		key := func(x store.Change) string { return fmt.Sprint(x.Machine, x.At, x.Attribute) }
		c.ok(c.ChangesOf(c.Context(), ids[:1], func(x store.Change) { got[key(x)] = x }))
		c.equal("changes", got, map[string]store.Change{key(changes[0]): changes[0], key(changes[1]): changes[1]})
	}},
	{"runs in order, some at a time", func(c *testCase) {
		var runs []int64
		for _, name := range []string{"One", "Two", "Three"} {
			l := c.reading(name)
			c.ok(c.BeginDataset(c.Context(), l, muster.Software, start))
			runs = append(runs, l.Run)
		}
		first, err := c.RunsAbove(c.Context(), 0, 2)
		c.ok(err)
		c.equal("number", len(first), 2)
		c.equal("ids", []int64{first[0].ID, first[1].ID}, runs[:2])
		rest, err := c.RunsAbove(c.Context(), runs[1], 2)
		c.ok(err)
		c.equal("rest", rest, []muster.Run{{
			ID: runs[2], Connector: "Three", Server: "Cloud", Trigger: "sync", State: muster.Running, TenantID: tenantGUID, QueuedAt: start, StartedAt: start,
			Datasets: map[muster.Dataset]*muster.DatasetResult{muster.Software: {Mode: muster.ModeFull}},
		}})
		none, err := c.RunsAbove(c.Context(), runs[2], 2)
		c.ok(err)
		c.equal("after the last", len(none), 0)
	}},
}

func listedTest(c *testCase) {
	ids := c.machines("m1", "m2", "never listed")
	l := c.merging(muster.Machines)
	one, two := c.connector("Contoso"), c.connector("Fabrikam")
	rows := []store.MachineRow{{ID: ids[0], Device: "d-1", FirstSeen: start, LastSeen: after(time.Hour), ListedAt: start}, {ID: ids[1], Device: "d-1"}}
	save := func(connector int64, rows []store.MachineRow, scopes ...store.ScopeRow) {
		c.ok(c.MergeMachines(c.Context(), store.MachineStep{Step: step(l, muster.Machines, 1, muster.Counts{}), Connector: connector, Machines: rows, Scopes: scopes}))
	}
	save(two.ID, rows, store.ScopeRow{Machine: ids[0], Reason: muster.OutStale, Since: after(time.Minute)}, store.ScopeRow{Machine: ids[2], Since: start})
	save(one.ID, nil, store.ScopeRow{Machine: ids[0], Since: start})
	var got []store.ListedMachine
	c.ok(c.ListedMachines(c.Context(), func(m store.ListedMachine) { got = append(got, m) }))
	c.equal("machines", got, []store.ListedMachine{
		{ID: ids[0], Tenant: tenantGUID, MachineID: "m1", Device: "d-1", FirstSeen: start, LastSeen: after(time.Hour), Scopes: []store.ScopedBy{
			{Connector: one.ID, Name: "Contoso", Since: start}, {Connector: two.ID, Name: "Fabrikam", Reason: muster.OutStale, Since: after(time.Minute)},
		}},
		{ID: ids[1], Tenant: tenantGUID, MachineID: "m2", Device: "d-1"},
	})
}

func rowsTest(c *testCase) {
	ids := c.machines("m1", "m2", "m3")
	l := c.merging(muster.Vulnerabilities)
	closed := store.Item{Machine: ids[0], ID: 2, Facts: 1, Number: 5, ClosedAt: start, Confirmed: start, Reopened: 1}
	open := store.Item{Machine: ids[0], ID: 1, Facts: 7, Evidence: [16]byte{1}, Number: store.Null}
	other := store.Item{Machine: ids[1], ID: 1, Facts: 2, Number: 0}
	c.ok(c.MergeItems(c.Context(), store.ItemStep{
		Step: step(l, muster.Vulnerabilities, 1, muster.Counts{}), Items: map[store.ItemKind][]store.Item{store.Findings: {closed, open, other, {Machine: ids[2], ID: 1, Facts: 2}}},
		States: []store.State{{Machine: ids[0], LastConfirmed: after(time.Hour)}, {Machine: ids[2], LastConfirmed: start}},
	}))
	var rows []store.Item
	confirmed, err := c.RowsOf(c.Context(), store.Findings, muster.Vulnerabilities, ids[:2], func(i store.Item) { rows = append(rows, i) })
	c.ok(err)
	c.equal("rows", rows, []store.Item{open, closed, other})
	c.equal("confirmed", confirmed, map[int64]time.Time{ids[0]: after(time.Hour)})
	var findings []store.OpenFinding
	c.ok(c.OpenFindings(c.Context(), ids[:2], func(f store.OpenFinding) { findings = append(findings, f) }))
	c.equal("open findings", findings, []store.OpenFinding{{Machine: ids[0], Exposure: 1, Facts: 7}, {Machine: ids[1], Exposure: 1, Facts: 2}})
}
