// Package storetest is the one suite that every engine of the store passes. It speaks
// the store's roles, is handed the little SQL it needs, and must not know which engine it
// is looking at.
package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

// Store is a database with every role.
type Store interface {
	store.Connectors
	store.Runs
	store.Budgets
	store.Staging
	store.Dictionary
	store.Merge
	store.Exports
}

// Run tries the whole contract. Each call of open gives an empty database, closed at
// the end of its test.
func Run(t *testing.T, open func(*testing.T) Store) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"connectors", connectorTests},
		{"runs", runTests},
		{"leases", leaseTests},
		{"budgets", budgetTests},
		{"staging", stagingTests},
		{"dictionary", dictionaryTests},
		{"machines", machineTests},
		{"devices", deviceTests},
		{"datasets", datasetTests},
		{"counts", countTests},
		{"exports", exportTests},
	} {
		for _, c := range group.tests {
			t.Run(group.name+"/"+c.name, func(t *testing.T) { c.run(newCase(t, open(t))) })
		}
	}
}

type test struct {
	name string
	run  func(*testCase)
}

// testCase is one test over one database.
type testCase struct {
	*testing.T
	Store
}

func newCase(t *testing.T, s Store) *testCase {
	t.Helper()
	return &testCase{T: t, Store: s}
}

// start is when every test begins; nothing here asks a clock.
var start = time.Date(2026, 5, 4, 8, 0, 0, 123456000, time.UTC)

func after(d time.Duration) time.Time { return start.Add(d) }

const leaseTime = 15 * time.Second

func (c *testCase) ok(err error) {
	c.Helper()
	if err != nil {
		c.Fatalf("unexpected error: %v", err)
	}
}

func (c *testCase) fails(err, want error) {
	c.Helper()
	if !errorIs(err, want) {
		c.Fatalf("error = %v, want %v", err, want)
	}
}

func (c *testCase) equal(what string, got, want any) {
	c.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		c.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func settings(tags ...string) muster.Settings {
	return muster.Settings{
		TenantID: "11111111-2222-3333-4444-555555555555", ClientID: "66666666-7777-8888-9999-000000000000", Cloud: "commercial",
		Filter: muster.Filter{StaleDays: 30, Tags: tags}, Datasets: muster.DefaultDatasets(),
	}
}

func (c *testCase) connector(name string) muster.Connector {
	c.Helper()
	saved, err := c.SaveConnector(c.Context(), name, settings("prod"), start)
	c.ok(err)
	return saved
}

// queued gives a queued run of a connector.
func (c *testCase) queued(connector muster.Connector) int64 {
	c.Helper()
	run, err := c.QueueRun(c.Context(), connector.ID, "sync", false, start)
	c.ok(err)
	return run
}

func (c *testCase) head(run int64) store.RunHead {
	c.Helper()
	h, err := c.Store.Run(c.Context(), run)
	c.ok(err)
	return h
}

// claim takes a run for reading at the given time.
func (c *testCase) claim(run int64, now time.Time) wire.Lease {
	c.Helper()
	l, _, err := c.ClaimReading(c.Context(), run, now, now.Add(leaseTime))
	c.ok(err)
	return l
}

const tenantGUID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

// reading gives a run that is being read, of a connector of its own, with its tenant bound.
func (c *testCase) reading(name string) wire.Lease {
	c.Helper()
	l := c.claim(c.queued(c.connector(name)), start)
	c.ok(c.BindTenant(c.Context(), l, tenantGUID))
	return l
}

// endReading ends a reading well and claims its merge.
func (c *testCase) endReading(l wire.Lease) wire.Lease {
	c.Helper()
	c.ok(c.EndReading(c.Context(), l, wire.Outcome{TenantID: tenantGUID}, start))
	m, _, err := c.ClaimMerge(c.Context(), l.Run, start, after(leaseTime))
	c.ok(err)
	return m
}

// merging gives a run that is being merged, with these datasets begun.
func (c *testCase) merging(datasets ...muster.Dataset) wire.Lease {
	c.Helper()
	l := c.reading("Contoso")
	for _, d := range datasets {
		c.ok(c.BeginDataset(c.Context(), l, d, start))
	}
	return c.endReading(l)
}

// machines adds machines of the tenant and gives their ids.
func (c *testCase) machines(names ...string) []int64 {
	c.Helper()
	tenant, err := c.TenantID(c.Context(), tenantGUID)
	c.ok(err)
	ids, err := c.MachineIDs(c.Context(), tenant, names)
	c.ok(err)
	return ids
}

func step(l wire.Lease, d muster.Dataset, cursor int64, counts muster.Counts) store.Step {
	return store.Step{Lease: l, Dataset: d, Cursor: cursor, Counts: counts}
}

func (c *testCase) staged(run int64, d muster.Dataset) store.StagedDataset {
	c.Helper()
	all, err := c.StagedDatasets(c.Context(), run)
	c.ok(err)
	return all[d]
}
