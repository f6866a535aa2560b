package emulator

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// eachRow is every row of a day, dataset by dataset, as the emulator's JSON.
func eachRow(t *testing.T, d *Day, each func(dataset string, raw []byte)) {
	t.Helper()
	add := func(dataset string, row any) {
		raw, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		each(dataset, raw)
	}
	for m := range d.Machines() {
		add("Machine", m)
	}
	for v := range d.AntivirusHealth() {
		add("DeviceAvInfo", v)
	}
	for _, g := range d.Groups() {
		addAll(add, "AssetVulnerability", d.Vulnerabilities(g.ID))
		addAll(add, "AssetSoftware", d.Software(g.ID))
		addAll(add, "AssetNonCpeSoftware", d.NonCPESoftware(g.ID))
		addAll(add, "AssetConfiguration", d.Configurations(g.ID))
		addAll(add, "InfoGathering", d.Information(g.ID))
	}
	addAll(add, "PublicVulnerabilityDto", d.Catalogue())
}

func addAll[T any](add func(string, any), dataset string, rows iter.Seq[*T]) {
	for r := range rows {
		add(dataset, r)
	}
}

func digest(t *testing.T, d *Day) string {
	h := sha256.New()
	eachRow(t, d, func(dataset string, raw []byte) { fmt.Fprintf(h, "%s %s\n", dataset, raw) })
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestEqualOptionsMakeEqualWorlds(t *testing.T) {
	o := Options{Devices: 120, Seed: 7, NullCVERows: true}
	one, other := NewWorld(o), NewWorld(o)
	digest(t, one.Day(9)) // what was asked before must not matter
	for _, n := range []int{0, 3} {
		if a, b := digest(t, one.Day(n)), digest(t, other.Day(n)); a != b {
			t.Errorf("day %d differs between two worlds of one seed", n)
		}
	}
	o.Seed = 8
	if digest(t, NewWorld(o).Day(0)) == digest(t, one.Day(0)) {
		t.Error("two seeds made one world")
	}
	if digest(t, one.Day(0)) == digest(t, one.Day(1)) {
		t.Error("a day passed and nothing changed")
	}
}

func TestSizeOfTheDefaultWorld(t *testing.T) {
	w := NewWorld(Options{})
	d := w.Day(0)
	machines := 0
	for range d.Machines() {
		machines++
	}
	if machines != 1000 {
		t.Errorf("%d machines on day 0, want 1000", machines)
	}
	findings, software, checks := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, g := range d.Groups() {
		for r := range d.Vulnerabilities(g.ID) {
			findings[*r.DeviceID]++
		}
		for r := range d.Software(g.ID) {
			software[*r.DeviceID]++
		}
		for r := range d.NonCPESoftware(g.ID) {
			software[*r.DeviceID]++
		}
		for r := range d.Configurations(g.ID) {
			checks[*r.ConfigurationID] = true
		}
	}
	for what, counts := range map[string]map[string]int{"findings": findings, "software": software} {
		var all []int
		sum := 0
		for _, n := range counts {
			all, sum = append(all, n), sum+n
		}
		slices.Sort(all)
		mean, low, high := sum/len(all), all[len(all)/20], all[len(all)*19/20]
		want := map[string][3]int{"findings": {100, 45, 160}, "software": {60, 40, 80}}[what]
		if mean < want[0]*9/10 || mean > want[0]*11/10 || low < want[1] || high > want[2] {
			t.Errorf("%s a machine: mean %d, 90 of 100 within %d to %d", what, mean, low, high)
		}
	}
	if len(checks) != checkCount {
		t.Errorf("%d configuration checks, want %d", len(checks), checkCount)
	}
}

func TestFewSoftwareVersionsAreOnManyMachines(t *testing.T) {
	d := NewWorld(Options{}).Day(0)
	machines := map[string]int{}
	for _, g := range d.Groups() {
		for r := range d.Software(g.ID) {
			machines[*r.SoftwareVendor+"/"+*r.SoftwareName]++
		}
	}
	var counts []int
	for _, n := range machines {
		counts = append(counts, n)
	}
	slices.Sort(counts)
	if top, middle := counts[len(counts)-1], counts[len(counts)/2]; top < 700 || middle > top/4 || middle == 0 {
		t.Errorf("the most common software is on %d machines, the middle one on %d", top, middle)
	}
}

func TestAMachineIsFoundByItsID(t *testing.T) {
	w := NewWorld(Options{Devices: 300, Seed: 3})
	d := w.Day(2)
	ids := map[string]bool{}
	for m := range d.Machines() {
		if len(m.ID) != 40 || strings.Trim(m.ID, "0123456789abcdef") != "" || ids[m.ID] {
			t.Fatalf("machine id %q", m.ID)
		}
		ids[m.ID] = true
		got, ok := d.Machine(m.ID)
		if !ok {
			t.Fatalf("machine %s is listed and not found", m.ID)
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(m)
		if string(a) != string(b) {
			t.Fatalf("machine %s differs by itself", m.ID)
		}
	}
	ghost := w.id(ghosts)
	for _, id := range []string{"", "x", strings.Repeat("0", 40), ghost, w.id(w.hosts(2)), w.id(vanishesOnDayOne.index())} {
		if _, ok := d.Machine(id); ok {
			t.Errorf("machine %q is found and should not be", id)
		}
	}
}

func TestNoRowLiesInTheFuture(t *testing.T) {
	w := NewWorld(Options{Devices: 80, Seed: 5, NullCVERows: true})
	for _, n := range []int{0, 9, 40} {
		midnight := w.Epoch().AddDate(0, 0, n)
		eachRow(t, w.Day(n), func(dataset string, raw []byte) {
			var row map[string]any
			if err := json.Unmarshal(raw, &row); err != nil {
				t.Fatal(err)
			}
			for name, v := range row {
				s, ok := v.(string)
				if !ok || strings.EqualFold(name, "endOfSupportDate") {
					continue
				}
				lower := strings.ToLower(name)
				if !strings.HasSuffix(lower, "time") && !strings.HasSuffix(lower, "timestamp") && !strings.HasSuffix(lower, "seen") && !strings.HasSuffix(lower, "on") || strings.HasSuffix(lower, "version") || lower == "description" || lower == "exclusionreason" || lower == "recommendation" {
					continue
				}
				at, err := time.Parse(time.RFC3339Nano, s)
				if err != nil {
					if at, err = time.Parse("2006-01-02 15:04:05", s); err != nil {
						t.Fatalf("%s.%s is %q", dataset, name, s)
					}
				}
				if at.After(midnight) {
					t.Fatalf("day %d: %s.%s is %s", n, dataset, name, s)
				}
			}
		})
	}
}

// A hundred thousand machines are computed, not held.
func TestALargeWorldHoldsNoRows(t *testing.T) {
	w := NewWorld(Options{Devices: 100_000, Seed: 1})
	start := time.Now()
	d := w.Day(1)
	peak := uint64(0)
	rows, machines := 0, 0
	look := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse)
	}
	for range d.Machines() {
		if machines++; machines%20_000 == 0 {
			look()
		}
	}
	for _, g := range d.Groups() {
		for range d.Vulnerabilities(g.ID) {
			if rows++; rows%200_000 == 0 {
				look()
			}
			if rows == 1_000_000 {
				break
			}
		}
		if rows == 1_000_000 {
			break
		}
	}
	t.Logf("%d machines, %d rows in %v, at most %d MB", machines, rows, time.Since(start), peak>>20)
	if machines < 99_000 || rows < 1_000_000 {
		t.Errorf("%d machines, %d rows", machines, rows)
	}
	if peak > 100<<20 {
		t.Errorf("%d MB in use", peak>>20)
	}
}

// BenchmarkVulnerabilities is what the generator alone costs.
func BenchmarkVulnerabilities(b *testing.B) {
	d := NewWorld(Options{Devices: 10_000, Seed: 1}).Day(0)
	rows := 0
	for b.Loop() {
		for _, g := range d.Groups() {
			for range d.Vulnerabilities(g.ID) {
				rows++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
}
