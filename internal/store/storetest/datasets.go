package storetest

import (
	"slices"
	"time"

	"muster"
	"muster/internal/store"
)

var kinds = []store.ItemKind{store.Findings, store.InstalledSoftware, store.ReportedSoftware, store.Configurations}

var datasetTests = []test{
	{"states come back whole", func(c *testCase) {
		ids := c.machines("m1", "m2")
		l := c.merging(muster.Antivirus, muster.Software)
		full := store.State{
			Machine: ids[0], Known: muster.Known{AppliedAt: after(1), LookedAt: after(2 * time.Second), AssessedAt: after(3 * time.Second), EmptyAt: after(4 * time.Second)},
			LastConfirmed: after(5 * time.Second), Digest: []byte{0, 255, 7}, OpenRows: 12, Attributes: []byte(`{"a":1}`),
		}
		full.Known.AppliedAt = after(time.Second)
		bare := store.State{Machine: ids[1]}
		save := func(s ...store.State) {
			c.ok(c.MergeDocuments(c.Context(), store.DocumentStep{Step: step(l, muster.Antivirus, 9, muster.Counts{New: 1}), States: s, Changes: []store.Change{{Machine: ids[0], At: start, Attribute: "a", New: []byte(`1`)}}}))
		}
		check := func(want ...store.State) {
			got, err := c.States(c.Context(), muster.Antivirus, append(ids, 1<<40))
			c.ok(err)
			all := map[int64]store.State{}
			for _, s := range want {
				all[s.Machine] = s
			}
			c.equal("states", got, all)
		}
		save(full, bare)
		check(full, bare)
		save(store.State{Machine: ids[0]})
		check(store.State{Machine: ids[0]}, bare)
		other, err := c.States(c.Context(), muster.Software, ids)
		c.ok(err)
		c.equal("of another dataset", len(other), 0)
		c.equal("counts", c.staged(l.Run, muster.Antivirus).Counts, muster.Counts{New: 2})
		c.equal("cursor", c.staged(l.Run, muster.Antivirus).Cursor, int64(9))
	}},
	{"items come back whole", itemRoundTrip},
	{"many items in one step", func(c *testCase) {
		ids := c.machines("m1", "m2")
		l := c.merging(muster.Vulnerabilities)
		var items []store.Item
		for n := range int64(6000) {
			items = append(items, store.Item{Machine: ids[n%2], ID: 1 + n/2, Facts: n, Evidence: [16]byte{1, byte(n)}, Number: n})
		}
		c.ok(c.MergeItems(c.Context(), store.ItemStep{Step: step(l, muster.Vulnerabilities, ids[1], muster.Counts{New: 6000}), Items: map[store.ItemKind][]store.Item{store.Findings: items}}))
		got := c.items(store.Findings, ids...)
		slices.SortFunc(items, compareItems)
		c.equal("items", got, items)
	}},
	{"whether anything is open", func(c *testCase) {
		id := c.machines("m1")[0]
		l := c.merging(muster.Software)
		tenant, err := c.TenantID(c.Context(), tenantGUID)
		c.ok(err)
		other, err := c.TenantID(c.Context(), "other")
		c.ok(err)
		open := func(tenant int64, want bool) {
			c.Helper()
			got, err := c.AnyOpen(c.Context(), store.ReportedSoftware, tenant)
			c.ok(err)
			c.equal("open", got, want)
		}
		save := func(i store.Item) {
			c.ok(c.MergeItems(c.Context(), store.ItemStep{Step: step(l, muster.Software, 1, muster.Counts{}), Items: map[store.ItemKind][]store.Item{store.ReportedSoftware: {i}}}))
		}
		open(tenant, false)
		save(store.Item{Machine: id, ID: 1, Facts: 1, ClosedAt: start})
		open(tenant, false)
		save(store.Item{Machine: id, ID: 2, Facts: 1})
		open(tenant, true)
		open(other, false)
		installed, err := c.AnyOpen(c.Context(), store.InstalledSoftware, tenant)
		c.ok(err)
		c.equal("of another kind", installed, false)
	}},
	{"the catalogue", catalogueTest},
	{"the state of a dataset", datasetState},
}

func compareItems(a, b store.Item) int {
	if a.Machine != b.Machine {
		return int(a.Machine - b.Machine)
	}
	return int(a.ID - b.ID)
}

func itemRoundTrip(c *testCase) {
	ids := c.machines("m1", "m2")
	l := c.merging(muster.Vulnerabilities)
	open := store.Item{Machine: ids[0], ID: 5, Facts: 3, Evidence: [16]byte{15: 255}, Number: start.UnixMicro()}
	closed := store.Item{Machine: ids[0], ID: 6, Facts: 4, Number: -1, ClosedAt: after(time.Hour), Confirmed: start, Reopened: 2}
	none := store.Item{Machine: ids[1], ID: 5, Facts: 3, Number: store.Null}
	for n, kind := range kinds {
		events := []store.Event{
			{Kind: kind, Machine: ids[0], ID: 5, At: start, Event: "changed", Facts: 9},
			{Kind: kind, Machine: ids[0], ID: 5, At: start, Event: "closed"},
		}
		save := func(items ...store.Item) {
			c.ok(c.MergeItems(c.Context(), store.ItemStep{
				Step: step(l, muster.Vulnerabilities, int64(n), muster.Counts{New: 1}), Items: map[store.ItemKind][]store.Item{kind: items}, Events: events,
				States: []store.State{{Machine: ids[0], OpenRows: int64(n)}},
			}))
		}
		save(none, closed, open)
		c.equal("items", c.items(kind, ids...), []store.Item{open, closed, none})
		c.equal("of one machine", c.items(kind, ids[1]), []store.Item{none})
		c.equal("of none", len(c.items(kind)), 0)
		save(none, closed, open) // the same again
		c.equal("items", c.items(kind, ids...), []store.Item{open, closed, none})
		emptied := store.Item{Machine: ids[0], ID: 5, Facts: 8, Number: store.Null, Reopened: 1}
		reopened := store.Item{Machine: ids[0], ID: 6, Facts: 4, Evidence: [16]byte{1}, Number: 0}
		save(emptied, reopened)
		c.equal("items", c.items(kind, ids...), []store.Item{emptied, reopened, none})
		c.equal("open", []bool{emptied.Open(), closed.Open()}, []bool{true, false})
		states, err := c.States(c.Context(), muster.Vulnerabilities, ids[:1])
		c.ok(err)
		c.equal("state", states[ids[0]].OpenRows, int64(n))
		for _, other := range kinds[n+1:] {
			c.equal("items of another kind", len(c.items(other, ids...)), 0)
		}
	}
	c.equal("counts", c.staged(l.Run, muster.Vulnerabilities).Counts, muster.Counts{New: int64(3 * len(kinds))})
}

func catalogueTest(c *testCase) {
	cves, err := c.CVEIDs(c.Context(), []string{"CVE-3", "CVE-1", "CVE-2", "TVM-1"})
	c.ok(err)
	gaps := func(limit int, total int, want ...string) {
		c.Helper()
		got, n, err := c.CatalogueGaps(c.Context(), limit)
		c.ok(err)
		c.equal("gaps", got, want)
		c.equal("total", n, total)
	}
	rows := func(want map[int64][]byte) {
		c.Helper()
		got, err := c.CatalogueRows(c.Context(), append(cves, 1<<40))
		c.ok(err)
		c.equal("rows", got, want)
	}
	gaps(2, 4, "CVE-1", "CVE-2")
	rows(map[int64][]byte{})
	l := c.merging(muster.Catalogue)
	save := func(rows ...store.CatalogueRow) {
		c.ok(c.MergeCatalogue(c.Context(), step(l, muster.Catalogue, 3, muster.Counts{New: int64(len(rows))}), rows, start))
	}
	first := []byte(`{"a":"ä"}`)
	save(store.CatalogueRow{CVE: cves[0], Attributes: first}, store.CatalogueRow{CVE: cves[3]}) // asked for, not there
	gaps(5, 2, "CVE-1", "CVE-2")
	rows(map[int64][]byte{cves[0]: first})
	save(store.CatalogueRow{CVE: cves[0]}) // what is not there any more stays described
	rows(map[int64][]byte{cves[0]: first})
	second := []byte(`{"a":"b"}`)
	save(store.CatalogueRow{CVE: cves[0], Attributes: second}, store.CatalogueRow{CVE: cves[1], Attributes: first})
	rows(map[int64][]byte{cves[0]: second, cves[1]: first})
	gaps(5, 1, "CVE-2")
	c.equal("counts", c.staged(l.Run, muster.Catalogue).Counts, muster.Counts{New: 5})
}

func datasetState(c *testCase) {
	l := c.merging(muster.Software, muster.Antivirus)
	state := func(tenant int64, want store.DatasetState) {
		c.Helper()
		got, err := c.DatasetState(c.Context(), tenant, muster.Software)
		c.ok(err)
		c.equal("state", got, want)
	}
	state(1, store.DatasetState{})
	guarded := store.DatasetState{Snapshot: start, RowsRead: 1 << 40, MappingVersion: "v1", Guard: muster.Guard{Since: after(time.Hour), Snapshot: after(2 * time.Hour)}, Present: []byte{1, 0, 255}}
	c.ok(c.EndMerge(c.Context(), step(l, muster.Software, 8, muster.Counts{Closed: 2}), 1, &guarded))
	state(1, guarded)
	state(2, store.DatasetState{})
	st := c.staged(l.Run, muster.Software)
	c.equal("ended", []any{st.Merged, st.Cursor, st.Counts.Closed}, []any{true, int64(8), int64(2)})
	c.equal("the other dataset", c.staged(l.Run, muster.Antivirus).Merged, false)
	c.ok(c.EndMerge(c.Context(), step(l, muster.Software, 8, muster.Counts{}), 1, nil))
	state(1, guarded)
	bare := store.DatasetState{MappingVersion: "v2"}
	c.ok(c.EndMerge(c.Context(), step(l, muster.Software, 8, muster.Counts{}), 1, &bare))
	state(1, bare)
}
