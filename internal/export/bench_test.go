package export

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"muster"
	"muster/internal/store"
)

// BenchmarkFindings writes 100,000 findings of 1,000 machines that share 5,000 exposures.
func BenchmarkFindings(b *testing.B) { benchmark(b, Options{Name: "findings"}) }

func BenchmarkFindingsCSV(b *testing.B) { benchmark(b, Options{Name: "findings", Format: "csv"}) }

func BenchmarkFindingsParquet(b *testing.B) {
	benchmark(b, Options{Name: "findings", Format: "parquet"})
}

func BenchmarkDevices(b *testing.B) { benchmark(b, Options{Name: "devices"}) }

func BenchmarkVulnerabilities(b *testing.B) { benchmark(b, Options{Name: "vulnerabilities"}) }

func benchmark(b *testing.B, o Options) {
	const machines, each, exposures = 1000, 100, 5000
	f := open(b)
	run := f.run("North", tenantA, day(0))
	f.many(run, machines, each, exposures)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Write(f.ctx, f, io.Discard, o); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(machines*each*float64(b.N)/b.Elapsed().Seconds(), "findings/s")
}

// many fills in machines that share exposures, each with its own facts.
func (f *fixture) many(run *merging, machines, each, exposures int) {
	f.t.Helper()
	keys, cves := make([]store.SoftwareKey, exposures), make([]string, exposures)
	facts := make([]store.Facts, exposures)
	for i := range keys {
		keys[i] = store.SoftwareKey{Vendor: "contoso", Name: fmt.Sprintf("product_%d", i/20), Version: "1.0"}
		cves[i] = fmt.Sprintf("CVE-2026-%05d", i)
		facts[i] = store.Facts{Hash: [16]byte{byte(i), byte(i >> 8), 1}, Document: fmt.Appendf(nil, `{"Security.Vulnerability[].CVSS":%d.5%s`, i%10, strings.TrimPrefix(criticalFacts, `{"Security.Vulnerability[].CVSS":9.8`))}
	}
	software, err := f.SoftwareIDs(f.ctx, keys)
	f.ok(err)
	ids, err := f.CVEIDs(f.ctx, cves)
	f.ok(err)
	pairs := make([]store.ExposureKey, exposures)
	for i := range pairs {
		pairs[i] = store.ExposureKey{Software: software[i], CVE: ids[i]}
	}
	exposureIDs, err := f.ExposureIDs(f.ctx, pairs)
	f.ok(err)
	factIDs, err := f.FactsIDs(f.ctx, facts)
	f.ok(err)
	names := make([]string, machines)
	for i := range names {
		names[i] = fmt.Sprintf("m%06d", machines-i)
	}
	machineIDs, err := f.MachineIDs(f.ctx, run.tenant, names)
	f.ok(err)
	step := store.MachineStep{Step: run.step(muster.Machines, muster.Counts{}), Connector: run.connector.ID}
	items := store.ItemStep{Step: run.step(muster.Vulnerabilities, muster.Counts{}), Items: map[store.ItemKind][]store.Item{}}
	for n, id := range machineIDs {
		step.Machines = append(step.Machines, store.MachineRow{ID: id, MachineID: names[n], Device: "d-" + names[n], Attributes: []byte(`{"DeviceName":"SRV"}`), ListedAt: day(0)})
		step.Scopes = append(step.Scopes, store.ScopeRow{Machine: id, Since: day(0)})
		items.States = append(items.States, store.State{Machine: id, Known: muster.Known{AssessedAt: day(0)}, LastConfirmed: day(0), OpenRows: int64(each)})
		for e := range each {
			i := (n*7 + e*(exposures/each)) % exposures
			items.Items[store.Findings] = append(items.Items[store.Findings], store.Item{Machine: id, ID: exposureIDs[i], Facts: factIDs[i], Number: day(-9).UnixMicro()})
		}
	}
	f.ok(f.MergeMachines(f.ctx, step))
	f.ok(f.MergeItems(f.ctx, items))
}
