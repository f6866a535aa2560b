package verify_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/store/relational"
	"muster/internal/store/sqlite"
	"muster/internal/verify"
	"muster/internal/wire"
)

// fleet is a database in which a test moves machines, scopes and rows at random.
type fleet struct {
	*testing.T

	db       *relational.Store
	path     string
	random   *rand.Rand
	now      time.Time
	lease    wire.Lease
	tenant   int64
	regroups int64
	machines []int64
	names    []string
	exposure []int64
	keys     map[int64]store.ExposureKey
	facts    []int64
	rows     map[int64]map[store.ItemKind]map[int64]store.Item
	seen     map[int64]time.Time
}

const guid = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

func newFleet(t *testing.T, random *rand.Rand) *fleet {
	t.Helper()
	f := &fleet{
		T: t, random: random, path: filepath.Join(t.TempDir(), "muster.db"), now: time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC), keys: map[int64]store.ExposureKey{},
		rows: map[int64]map[store.ItemKind]map[int64]store.Item{}, seen: map[int64]time.Time{},
	}
	var err error
	f.db, err = sqlite.Open(t.Context(), f.path, true)
	f.must(err)
	t.Cleanup(func() { f.must(f.db.Close()) })
	ctx := t.Context()
	f.tenant, err = f.db.TenantID(ctx, guid)
	f.must(err)
	for i := range 8 {
		f.names = append(f.names, fmt.Sprintf("m%d", i))
	}
	f.machines, err = f.db.MachineIDs(ctx, f.tenant, f.names)
	f.must(err)
	software, err := f.db.SoftwareIDs(ctx, []store.SoftwareKey{{Name: "a"}, {Name: "b"}, {Name: "c"}})
	f.must(err)
	cves, err := f.db.CVEIDs(ctx, []string{"CVE-1", "CVE-2", "CVE-3"})
	f.must(err)
	var keys []store.ExposureKey
	for _, s := range software {
		for _, c := range cves {
			keys = append(keys, store.ExposureKey{Software: s, CVE: c})
		}
	}
	f.exposure, err = f.db.ExposureIDs(ctx, keys)
	f.must(err)
	for i, id := range f.exposure {
		f.keys[id] = keys[i]
	}
	var facts []store.Facts
	for i, text := range []string{
		`{}`, `{"Security.Vulnerability[].Severity":"High"}`, `{"Security.Vulnerability[].Exploitability":"ExploitIsInKit","Security.Vulnerability[].Severity":"Critical"}`,
		`{"Security.Vulnerability[].Exploitability":"NoExploit","Security.Vulnerability[].Severity":"Critical"}`, `{"Security.Vulnerability[].Severity":"Untold"}`,
	} {
		facts = append(facts, store.Facts{Hash: [16]byte{byte(i + 1)}, Document: []byte(text)})
	}
	f.facts, err = f.db.FactsIDs(ctx, facts)
	f.must(err)
	c, err := f.db.SaveConnector(ctx, "c", muster.Settings{}, f.now)
	f.must(err)
	run, err := f.db.QueueRun(ctx, c.ID, "sync", false, f.now)
	f.must(err)
	f.lease, _, err = f.db.ClaimReading(ctx, run, f.now, f.now.Add(time.Hour))
	f.must(err)
	f.must(f.db.BindTenant(ctx, f.lease, guid))
	f.must(f.db.BeginDataset(ctx, f.lease, muster.Machines, f.now))
	f.must(f.db.BeginDataset(ctx, f.lease, muster.Vulnerabilities, f.now))
	f.must(f.db.EndReading(ctx, f.lease, wire.Outcome{TenantID: guid}, f.now))
	f.lease, _, err = f.db.ClaimMerge(ctx, run, f.now, f.now.Add(time.Hour))
	f.must(err)
	f.must(f.db.Recount(ctx, f.lease, f.tenant))
	return f
}

func (f *fleet) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) step(d muster.Dataset) store.Step {
	return store.Step{Lease: f.lease, Dataset: d}
}

// some picks some machines, in order.
func (f *fleet) some() []int64 {
	var picked []int64
	for _, id := range f.machines {
		if f.random.IntN(3) == 0 {
			picked = append(picked, id)
		}
	}
	return picked
}

// list gives some machines another last seen, platform and group, and some another scope.
func (f *fleet) list() {
	s := store.MachineStep{Step: f.step(muster.Machines), Connector: 1}
	for _, id := range f.some() {
		f.seen[id] = f.now.Add(time.Duration(f.random.IntN(1000)) * time.Second)
		document := fmt.Sprintf(`{"DeviceName":"x\",\"OS.Platform\":\"no","Discovery.MDE.DeviceGroup.Name":"g%d","OS.Platform":"p%d"}`, f.random.IntN(2), f.random.IntN(2))
		if f.random.IntN(4) == 0 {
			document = `{"Discovery.MDE.DeviceGroup.Name":null,"OS.Platform":7,"Z":[{"OS.Platform":"no"}]}`
		}
		s.Machines = append(s.Machines, store.MachineRow{ID: id, Attributes: []byte(document), LastSeen: f.seen[id], ListedAt: f.now})
	}
	for _, id := range f.some() {
		reason := [...]muster.Reason{muster.InScope, muster.InScope, muster.OutStale, muster.OutMerged, muster.OutSuperseded}[f.random.IntN(5)]
		s.Scopes = append(s.Scopes, store.ScopeRow{Machine: id, Reason: reason, Since: f.now})
	}
	if f.random.IntN(4) == 0 {
		s.Connector = 2
	}
	if f.random.IntN(4) == 0 {
		s.Machines = nil
		f.must(f.db.MergeMissing(f.Context(), s))
		return
	}
	f.must(f.db.MergeMachines(f.Context(), s))
}

// regroup puts some machines into other devices.
func (f *fleet) regroup() {
	var r store.Regrouping
	r.Lease, r.Tenants = f.lease, []store.TenantDevices{{Tenant: f.tenant, GUID: guid, Regroups: f.regroups}}
	for _, id := range f.some() {
		r.Machines = append(r.Machines, store.Grouped{Machine: id, Device: fmt.Sprintf("d%d", f.random.IntN(4))})
	}
	for n := range 4 {
		r.Founders = append(r.Founders, store.Founder{Device: fmt.Sprintf("d%d", n), Machine: f.machines[n]})
	}
	f.must(f.db.Regroup(f.Context(), r))
	f.regroups++
}

// merge opens, closes, reopens and changes rows of some machines.
func (f *fleet) merge() {
	s := store.ItemStep{Step: f.step(muster.Vulnerabilities), Items: map[store.ItemKind][]store.Item{}}
	for _, id := range f.some() {
		for _, kind := range []store.ItemKind{store.Findings, store.InstalledSoftware, store.ReportedSoftware} {
			if f.random.IntN(2) == 0 {
				f.mergeKind(&s, id, kind)
			}
		}
	}
	f.must(f.db.MergeItems(f.Context(), s))
}

func (f *fleet) mergeKind(s *store.ItemStep, machine int64, kind store.ItemKind) {
	if f.rows[machine] == nil {
		f.rows[machine] = map[store.ItemKind]map[int64]store.Item{}
	}
	if f.rows[machine][kind] == nil {
		f.rows[machine][kind] = map[int64]store.Item{}
	}
	rows := f.rows[machine][kind]
	d := store.Difference{Machine: machine, Kind: kind}
	items := f.exposure
	if kind != store.Findings {
		items = []int64{f.keys[f.exposure[0]].Software, f.keys[f.exposure[3]].Software, f.keys[f.exposure[6]].Software}
	}
	for _, id := range items {
		standing := store.Standing{Item: id, Software: id}
		if kind == store.Findings {
			standing.Software, standing.CVE = f.keys[id].Software, f.keys[id].CVE
		}
		i, known := rows[id]
		if known && i.Open() {
			before := standing
			before.Facts = i.Facts
			d.Before = append(d.Before, before)
		}
		switch f.random.IntN(4) {
		case 0: // opened, or reopened, or other facts
			back := known && !i.Open()
			i = store.Item{Machine: machine, ID: id, Facts: f.facts[f.random.IntN(len(f.facts))], Number: f.now.UnixMicro(), Reopened: i.Reopened}
			if back {
				i.Reopened++
				s.Events = append(s.Events, store.Event{Kind: kind, Machine: machine, ID: id, At: f.now, Event: "reopened"})
			}
			standing.Back = back
		case 1: // closed
			if !known || !i.Open() {
				continue
			}
			i.ClosedAt, i.Confirmed = f.now, f.now
			s.Events = append(s.Events, store.Event{Kind: kind, Machine: machine, ID: id, At: f.now, Event: "closed"})
		default:
			if !known || !i.Open() {
				continue
			}
		}
		rows[id] = i
		s.Items[kind] = append(s.Items[kind], i)
		if i.Open() {
			standing.Facts = i.Facts
			d.After = append(d.After, standing)
		}
	}
	s.Differences = append(s.Differences, d)
}

func (f *fleet) fold() { f.must(f.db.FoldTallies(f.Context(), f.lease, f.tenant)) }

// day ends a complete read.
func (f *fleet) day() {
	f.must(f.db.EndMerge(f.Context(), f.step(muster.Vulnerabilities), f.tenant, &store.DatasetState{Snapshot: f.now}))
}

// own are the kinds of problems that counting may have; the others are of what a test
// like this leaves out.
var own = []string{"counted", "finding_class", "machine_count", "device_count", "device_tally", "total"}

func (f *fleet) verify(after string) {
	f.Helper()
	report, err := verify.Run(f.Context(), f.db)
	f.must(err)
	for _, p := range report.Problems {
		if slices.Contains(own, p.Kind) {
			f.Errorf("after %s: %+v", after, p)
		}
	}
	if f.Failed() {
		f.FailNow()
	}
}

// TestCountsAfterAnything moves machines, scopes, devices and rows at random and has all
// counts recomputed after every step.
func TestCountsAfterAnything(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for world := range 6 {
		f := newFleet(t, rand.New(rand.NewPCG(seed, uint64(world))))
		steps := []struct {
			name string
			do   func()
		}{{"list", f.list}, {"list", f.list}, {"regroup", f.regroup}, {"merge", f.merge}, {"merge", f.merge}, {"fold", f.fold}, {"day", f.day}}
		for n := range 60 {
			f.now = f.now.Add(time.Duration(f.random.IntN(12)) * time.Hour)
			step := steps[f.random.IntN(len(steps))]
			step.do()
			f.verify(fmt.Sprintf("world %d, step %d, %s", world, n, step.name))
		}
	}
}

// TestRecount counts a database whose counts were never kept, and what comes after it.
func TestRecount(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	f := newFleet(t, rand.New(rand.NewPCG(seed, 0)))
	for range 10 {
		f.now = f.now.Add(time.Hour)
		f.list()
		f.regroup()
		f.merge()
	}
	handle, err := sql.Open("sqlite", f.path)
	f.must(err)
	defer handle.Close()
	for _, statement := range []string{
		`UPDATE tenant SET counted = 0`, `UPDATE machine SET counted = 0, platform = '', device_group = ''`, `UPDATE facts SET class_id = NULL`, `DELETE FROM machine_count`,
		`DELETE FROM device_count`, `DELETE FROM device_tally`, `DELETE FROM tally_delta`, `DELETE FROM total_delta`, `DELETE FROM finding_class`,
	} {
		if _, err := handle.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	fresh, err := sqlite.Open(t.Context(), f.path, false)
	f.must(err)
	defer fresh.Close()
	f.db = fresh
	f.verify("the upgrade") // nothing is said of what is not counted yet
	f.must(f.db.Recount(t.Context(), f.lease, f.tenant))
	f.verify("the recount")
	f.must(f.db.Recount(t.Context(), f.lease, f.tenant)) // is done once
	f.verify("another recount")
	f.fold()
	f.day()
	f.merge()
	f.verify("the next merge")
}
