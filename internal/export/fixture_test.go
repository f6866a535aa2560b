package export

import (
	"cmp"
	"context"
	"crypto/sha256"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/store/relational"
	"muster/internal/store/sqlite"
	"muster/internal/wire"
)

const (
	tenantA = "aaaaaaaa-0000-4000-8000-000000000001"
	tenantB = "bbbbbbbb-0000-4000-8000-000000000002"
)

var day0 = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

func day(n int) time.Time { return day0.AddDate(0, 0, n) }

// fixture is a real database filled through the store's roles, as ingest fills it.
type fixture struct {
	*relational.Store
	t   testing.TB
	ctx context.Context
}

func open(t testing.TB) *fixture {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "muster.db"), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{s, t, t.Context()}
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func one[T any](f *fixture, all []T, err error) T {
	f.t.Helper()
	f.ok(err)
	if len(all) != 1 {
		f.t.Fatalf("%d values", len(all))
	}
	return all[0]
}

// merging is a run of a connector on its way, with all datasets begun.
type merging struct {
	*fixture
	lease     wire.Lease
	connector muster.Connector
	tenant    int64
	at        time.Time
}

func (f *fixture) run(connector, tenant string, at time.Time) *merging {
	f.t.Helper()
	settings := muster.Settings{TenantID: tenant, ClientID: tenant, Cloud: "commercial", Datasets: muster.DefaultDatasets()}
	c, err := f.SaveConnector(f.ctx, connector, settings, at)
	f.ok(err)
	id, err := f.QueueRun(f.ctx, c.ID, "sync", false, at)
	f.ok(err)
	l, _, err := f.ClaimReading(f.ctx, id, at, at.Add(time.Minute))
	f.ok(err)
	f.ok(f.BindTenant(f.ctx, l, tenant))
	for _, d := range muster.Datasets {
		f.ok(f.BeginDataset(f.ctx, l, d, at))
	}
	f.ok(f.EndReading(f.ctx, l, wire.Outcome{TenantID: tenant, Traffic: muster.Traffic{APICalls: 12, Bytes: 3456, Throttled: 1500 * time.Millisecond}}, at))
	l, _, err = f.ClaimMerge(f.ctx, id, at, at.Add(time.Minute))
	f.ok(err)
	number, err := f.TenantID(f.ctx, tenant)
	f.ok(err)
	return &merging{f, l, c, number, at}
}

func (m *merging) end() {
	m.t.Helper()
	m.ok(m.EndRun(m.ctx, m.lease, muster.Succeeded, nil, nil, m.at.Add(5*time.Second)))
}

func (m *merging) step(d muster.Dataset, counts muster.Counts) store.Step {
	return store.Step{Lease: m.lease, Dataset: d, Counts: counts}
}

// listed merges one machine of the list.
func (m *merging) listed(row store.MachineRow, attributes string, reason muster.Reason, since time.Time, changes ...store.Change) int64 {
	m.t.Helper()
	ids, err := m.MachineIDs(m.ctx, m.tenant, []string{row.MachineID})
	row.ID = one(m.fixture, ids, err)
	row.Attributes, row.ListedAt = []byte(attributes), m.at
	for i := range changes {
		changes[i].Machine, changes[i].At = row.ID, m.at
	}
	m.ok(m.MergeMachines(m.ctx, store.MachineStep{
		Step: m.step(muster.Machines, muster.Counts{Read: 1, New: 1}), Connector: m.connector.ID,
		Machines: []store.MachineRow{row}, Scopes: []store.ScopeRow{{Machine: row.ID, Reason: reason, Since: since}}, Changes: changes,
	}))
	return row.ID
}

// stored gives the address of an evidence.
func (f *fixture) stored(disk, registry string) [16]byte {
	f.t.Helper()
	sum := sha256.Sum256([]byte(disk + "\x00" + registry))
	e := store.Evidence{Hash: [16]byte(sum[:16]), DiskPaths: disk, RegistryPaths: registry}
	f.ok(f.SaveEvidence(f.ctx, []store.Evidence{e}))
	return e.Hash
}

func (f *fixture) factsOf(document string) int64 {
	f.t.Helper()
	sum := sha256.Sum256([]byte(document))
	ids, err := f.FactsIDs(f.ctx, []store.Facts{{Hash: [16]byte(sum[:16]), Document: []byte(document)}})
	return one(f, ids, err)
}

func (f *fixture) software(vendor, name, version string) int64 {
	f.t.Helper()
	ids, err := f.SoftwareIDs(f.ctx, []store.SoftwareKey{{Vendor: vendor, Name: name, Version: version}})
	return one(f, ids, err)
}

func (f *fixture) exposure(software int64, cve string) int64 {
	f.t.Helper()
	ids, err := f.CVEIDs(f.ctx, []string{cve})
	id := one(f, ids, err)
	ids, err = f.ExposureIDs(f.ctx, []store.ExposureKey{{Software: software, CVE: id}})
	return one(f, ids, err)
}

func (f *fixture) check(id string) int64 {
	f.t.Helper()
	ids, err := f.ConfigurationIDs(f.ctx, []string{id})
	return one(f, ids, err)
}

// rows merges rows of one machine; assessed zero = never judged.
func (m *merging) rows(d muster.Dataset, kind store.ItemKind, machine int64, assessed, confirmed time.Time, items ...store.Item) {
	m.t.Helper()
	for i := range items {
		items[i].Machine = machine
	}
	state := store.State{Machine: machine, Known: muster.Known{LookedAt: assessed, AssessedAt: assessed}, LastConfirmed: confirmed, OpenRows: int64(len(items))}
	m.ok(m.MergeItems(m.ctx, store.ItemStep{
		Step: m.step(d, muster.Counts{Read: int64(len(items)), New: int64(len(items))}), States: []store.State{state},
		Items: map[store.ItemKind][]store.Item{kind: items}, Differences: opened(machine, kind, items),
	}))
}

// opened is what a machine's first rows of a kind are for whoever counts.
func opened(machine int64, kind store.ItemKind, items []store.Item) []store.Difference {
	d := store.Difference{Machine: machine, Kind: kind}
	for _, i := range items {
		if i.Open() {
			d.After = append(d.After, store.Standing{Item: i.ID, Facts: i.Facts})
		}
	}
	slices.SortFunc(d.After, func(a, b store.Standing) int { return cmp.Compare(a.Item, b.Item) })
	if kind == store.Configurations {
		return nil
	}
	return []store.Difference{d}
}

// whole ends a complete read of vulnerabilities.
func (m *merging) whole() {
	m.t.Helper()
	m.ok(m.EndMerge(m.ctx, m.step(muster.Vulnerabilities, muster.Counts{}), m.tenant, &store.DatasetState{Snapshot: m.at}))
}

const (
	criticalFacts = `{"Security.Vulnerability[].CVSS":9.8,"Security.Vulnerability[].Exploitability":"ExploitIsInKit","Security.Vulnerability[].Fix.Update":"July, \"2026\"","Security.Vulnerability[].Fix.UpdateId":"5065429","Security.Vulnerability[].Fix.Url":"https://example.com/kb?id=5065429","Security.Vulnerability[].Recommendation":"va-_-contoso-_-reader","Security.Vulnerability[].Severity":"Critical"}`
	highFacts     = `{"Security.Vulnerability[].CVSS":7,"Security.Vulnerability[].Severity":"High"}`
	lowFacts      = `{"Security.Vulnerability[].CVSS":2.1,"Security.Vulnerability[].Severity":"Low"}`
	oldFacts      = `{"Software.Package[].EndOfSupport.Date":"2025-10-14T00:00:00Z","Software.Package[].EndOfSupport.Status":"EOS Version"}`
	failing       = `{"Security.Configuration[].Category":"Network","Security.Configuration[].Impact":10,"Security.Configuration[].IsApplicable":true,"Security.Configuration[].IsCompliant":false}`
	compliant     = `{"Security.Configuration[].Category":"Security controls","Security.Configuration[].Impact":8.5,"Security.Configuration[].IsApplicable":true,"Security.Configuration[].IsCompliant":true,"Security.Configuration[].Subcategory":""}`
)

// filled is the small world of the golden files: two tenants, a device of two machines,
// one that has gone stale, one that nobody has judged and that has no name.
func filled(t testing.TB) *fixture {
	f := open(t)
	north := f.run("North", tenantA, day(0))
	none := store.Null
	reader, odd := f.software("contoso", "reader", "1.2.3"), f.software("", "=cmd", `1,"2"`)
	critical, high, low := f.factsOf(criticalFacts), f.factsOf(highFacts), f.factsOf(lowFacts)
	inFiles := f.stored(`["C:\\Program Files\\Contoso\\reader.exe"]`, `["HKLM\\Software\\Contoso"]`)

	m0 := north.listed(store.MachineRow{MachineID: "m0", Device: "d-1", FirstSeen: day(-90), LastSeen: day(-40), Superseded: true},
		`{"DeviceName":"OLD","Discovery.MDE.DeviceGroup.Name":"Lab","Discovery.MDE.FirstSeen":"2025-12-01T06:00:00.123456Z","Discovery.MDE.PotentialDuplicate":true,"Discovery.MDE.Tags":["old"],"Discovery.MDE.Unmapped":{"new":{"x":[1,null]}},"Network.TCPIP.BoundAdapter":[{"Description":"Ethernet","IPAddress":"10.0.0.1"},{"IPAddress":"fe80::1","Status":"Up"}],"OS.BuildNumber":19045,"OS.Name":"Windows 10"}`, muster.OutSuperseded, day(0))
	m1 := north.listed(store.MachineRow{MachineID: "m1", Device: "d-1", FirstSeen: day(-30), LastSeen: day(0).Add(250 * time.Millisecond)},
		`{"AzureAD.DeviceId":"0f0f","DeviceName":"SRV-1","Discovery.MDE.DeviceValue":"High","Discovery.MDE.Excluded":false,"Discovery.MDE.Tags":["a","b"],"DisplayName":"srv-1.contoso.example","Network.TCPIP.BoundAdapter":[{"Description":"Ethernet","IPAddress":"10.0.0.1"}],"Network.TCPIP.FQDN":"srv-1.contoso.example","OS.BuildNumber":22631,"OS.Name":"Windows 11","OS.Version":"23H2","Security.MDE.ExposureLevel":"Low","Security.MDE.HealthStatus":"Active","Security.MDE.OnboardingStatus":"Onboarded","Security.MDE.RiskScore":"High"}`,
		muster.InScope, day(0),
		store.Change{Attribute: "OS.Version", Old: []byte(`"22H2"`), New: []byte(`"23H2"`)}, store.Change{Attribute: "Discovery.MDE.Tags", New: []byte(`["a","b"]`)},
		store.Change{Attribute: "OS.BuildNumber", Old: []byte(`22621`), New: []byte(`22631`)})
	m2 := north.listed(store.MachineRow{MachineID: "m2", Device: "d-2", FirstSeen: day(-60), LastSeen: day(-35)}, `{"DeviceName":"GONE"}`, muster.OutStale, day(0))
	north.listed(store.MachineRow{MachineID: "m3", Device: "d-3"}, `{}`, muster.InScope, day(0))
	north.ok(north.MergeDocuments(f.ctx, store.DocumentStep{
		Step:   north.step(muster.Antivirus, muster.Counts{Read: 1, New: 1}),
		States: []store.State{{Machine: m1, LastConfirmed: day(0), OpenRows: 1, Attributes: []byte(`{"Security.Antivirus.Mode":"0","Security.Antivirus.QuickScanTime":"2026-02-28T12:30:00Z","Security.Posture.AvEngineUpdateTime":"soon"}`)}},
	}))

	first := day(-10).UnixMicro()
	north.rows(muster.Vulnerabilities, store.Findings, m1, day(0), day(0).Add(-time.Hour),
		store.Item{ID: f.exposure(reader, "CVE-2026-0002"), Facts: critical, Evidence: inFiles, Number: first},
		store.Item{ID: f.exposure(reader, "CVE-2026-0001"), Facts: high, Number: first, Reopened: 2},
		store.Item{ID: f.exposure(odd, "TVM-2026-0001"), Facts: low, Number: none},
		store.Item{ID: f.exposure(reader, "CVE-2025-9999"), Facts: low, Number: first, ClosedAt: day(-1), Confirmed: day(-2)})
	north.rows(muster.Vulnerabilities, store.Findings, m0, day(-41), day(-42), store.Item{ID: f.exposure(reader, "CVE-2026-0002"), Facts: high, Number: first})
	north.rows(muster.Vulnerabilities, store.Findings, m2, day(-36), day(-37), store.Item{ID: f.exposure(odd, "CVE-2020-0007"), Facts: critical, Number: first})
	north.rows(muster.Software, store.InstalledSoftware, m1, day(0), day(0).Add(-2*time.Hour),
		store.Item{ID: reader, Facts: f.factsOf(oldFacts), Evidence: inFiles, Number: first},
		store.Item{ID: f.software("contoso", "reader", "1.2.2"), Facts: f.factsOf(`{}`), Number: none, ClosedAt: day(-3), Confirmed: day(-4)})
	north.rows(muster.Vulnerabilities, store.ReportedSoftware, m1, day(0), day(0).Add(-time.Hour),
		store.Item{ID: reader, Facts: f.factsOf(oldFacts), Number: none}, store.Item{ID: odd, Facts: f.factsOf(`{"Software.Package[].EndOfSupport.Date":"to be announced"}`), Number: none, ClosedAt: day(-5), Confirmed: day(-6)})
	north.rows(muster.Configuration, store.Configurations, m1, day(0), day(0).Add(-3*time.Hour),
		store.Item{ID: f.check("scid-20"), Facts: f.factsOf(compliant), Number: 0},
		store.Item{ID: f.check("scid-30"), Facts: f.factsOf(failing), Number: 0}, store.Item{ID: f.check("scid-10"), Facts: f.factsOf(`{}`), Number: time.Minute.Microseconds()},
		store.Item{ID: f.check("scid-11"), Facts: f.factsOf(`{}`), Number: none, ClosedAt: day(-1), Confirmed: day(-2)})
	north.catalogue("CVE-2026-0002", `{"Security.Vulnerability[].Definition.CVSS":9.8,"Security.Vulnerability[].Definition.CVSSVector":"CVSS:3.1/AV:N","Security.Vulnerability[].Definition.Description":"Summary: two\nlines","Security.Vulnerability[].Definition.EPSS":0.00154,"Security.Vulnerability[].Definition.ExploitInKit":true,"Security.Vulnerability[].Definition.Name":"CVE-2026-0002","Security.Vulnerability[].Definition.PublishedOn":"2026-01-02T00:00:00Z","Security.Vulnerability[].Definition.Severity":"Critical"}`)
	north.catalogue("CVE-2026-0001", `{"Security.Vulnerability[].Definition.CVSS":7,"Security.Vulnerability[].Definition.EPSS":0.5,"Security.Vulnerability[].Definition.PublicExploit":true,"Security.Vulnerability[].Definition.Severity":"High"}`)
	north.whole()
	north.end()

	second := f.run("north two", tenantA, day(1))
	second.listed(store.MachineRow{MachineID: "m1", Device: "d-1", FirstSeen: day(-30), LastSeen: day(0).Add(250 * time.Millisecond)},
		`{"AzureAD.DeviceId":"0f0f","DeviceName":"SRV-1","Discovery.MDE.Tags":["a","b"]}`, muster.OutTag, day(1), store.Change{Attribute: "OS.Version", Old: []byte(`"23H2"`)})
	second.ok(second.EndRun(f.ctx, second.lease, muster.Failed, nil, &muster.Notice{Code: "no_licence", Message: "no licence", Advice: "Buy one."}, day(1).Add(time.Second)))

	south := f.run("South", tenantB, day(1))
	b1 := south.listed(store.MachineRow{MachineID: "m1", Device: "d-0", FirstSeen: day(-5), LastSeen: day(1)}, `{"DeviceName":"SRV-1"}`, muster.InScope, day(1))
	south.rows(muster.Vulnerabilities, store.Findings, b1, day(1), time.Time{}, store.Item{ID: f.exposure(reader, "CVE-2026-0001"), Facts: low, Number: none})
	south.whole()
	south.end()
	_, err := f.QueueRun(f.ctx, south.connector.ID, "sync", true, day(2))
	f.ok(err)
	return f
}

func (m *merging) catalogue(cve, document string) {
	m.t.Helper()
	ids, err := m.CVEIDs(m.ctx, []string{cve})
	m.ok(m.MergeCatalogue(m.ctx, m.step(muster.Catalogue, muster.Counts{Read: 1, New: 1}), []store.CatalogueRow{{CVE: one(m.fixture, ids, err), Attributes: []byte(document)}}, m.at))
}
