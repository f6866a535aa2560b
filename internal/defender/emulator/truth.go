package emulator

import (
	"maps"
	"slices"
	"time"
)

// Gathering is one run of a connector, as far as it decides what is held afterwards.
type Gathering struct {
	At            time.Time // the source's clock at the run's start
	StaleDays     int       // 0 = no limit
	Tags          []string  // none = no filter
	AllTags       bool
	OnboardedOnly bool
	SoftwareRole  bool // Software.Read.All was there
	Day           int  // the day served: whole days since the epoch
}

// snapshot is the generatedTime of the exports that the gathering finds.
func (g Gathering) snapshot() time.Time { return g.At.UTC().Truncate(6 * time.Hour) }

// Truth is what a correct tool holds after some gatherings: one map per export row. It is
// worked out plainly, row by row, from the world's days, and shares no code with what it
// is there to judge.
type Truth struct {
	tenant   string
	machines map[string]*record
	datasets map[string]*held
	findings map[string]map[[4]string]*row // by machine, then vendor, name, version, CVE
	software map[string]map[[4]string]*row // vendor, name, version, origin
	checks   map[string]map[[4]string]*row // configuration id
	cves     map[string]*Vulnerability     // those met, as last described
	groups   map[string]string             // machine → the name of its device
	joins    map[[2]string]bool            // machines found to be one device by a key, for good
	days     map[string]map[bucket]*moves  // totals by day
	order    []string                      // of the days
	moving   map[bucket]*moves             // since the last of them
}

// record is a machine that some list has held.
type record struct {
	id         string
	attributes map[string]any // of the machine list
	antivirus  map[string]any
	source     Machine
	identity   identity
	settled    bool // it has a device

	listed       bool // in the last list
	missing      bool
	firstSeen    time.Time
	lastSeen     time.Time
	survivor     string // "" = stands for itself
	superseded   bool
	inScope      bool
	reason       string
	outSince     time.Time
	everPlaced   bool
	unseenSince  time.Time
	known        map[string]*judged // by dataset
	earliestSeen time.Time
}

// judged is what earlier reads left behind for one machine and dataset.
type judged struct {
	lookedAt, assessedAt, emptyAt time.Time
	confirmed                     time.Time
}

func (r *record) judgement(dataset string) *judged {
	if r.known[dataset] == nil {
		r.known[dataset] = &judged{}
	}
	return r.known[dataset]
}

const (
	machinesRead      = "machines"
	softwareRead      = "software"
	vulnerabilityRead = "vulnerabilities"
	configurationRead = "configuration"
)

const (
	inventoryOrigin = "inventory"
	rowsOrigin      = "vulnerability rows"
)

// Truth works out the state after these gatherings, in order, by one connector.
func (w *World) Truth(gatherings []Gathering) *Truth {
	t := NewTruth(w)
	for _, g := range gatherings {
		t.Gather(w.Day(g.Day), g)
	}
	return t
}

// NewTruth is the state before the first gathering.
func NewTruth(w *World) *Truth {
	return &Truth{
		tenant: w.TenantID(), machines: map[string]*record{}, datasets: map[string]*held{}, findings: map[string]map[[4]string]*row{},
		software: map[string]map[[4]string]*row{}, checks: map[string]map[[4]string]*row{}, cves: map[string]*Vulnerability{},
		joins: map[[2]string]bool{}, days: map[string]map[bucket]*moves{}, moving: map[bucket]*moves{},
	}
}

// Gather works out the state after one more gathering, which finds the world as it is on
// day d.
func (t *Truth) Gather(d *Day, g Gathering) {
	was := t.look()
	t.list(d, g)
	t.settle(was)
	t.antivirus(d)
	if g.SoftwareRole {
		t.readSoftware(d, g)
	}
	was = t.look()
	if t.readVulnerabilities(d, g) {
		t.settle(was)
		if t.dataset(vulnerabilityRead).applied.Equal(g.snapshot()) {
			t.total(g.snapshot().Format(time.DateOnly))
		}
	}
	t.readConfigurations(d, g)
	met := t.met()
	for v := range d.Catalogue() {
		if met[v.ID] {
			entry := *v
			t.cves[v.ID] = &entry
		}
	}
}

// met are the CVEs that any finding, open or fixed, names.
func (t *Truth) met() map[string]bool {
	all := map[string]bool{}
	for _, rows := range t.findings {
		for key := range rows {
			all[key[3]] = true
		}
	}
	return all
}

// place finds the machine that a source row belongs to: the survivor where it was merged;
// nil where that machine is not in scope, or unknown.
func (t *Truth) place(id string) *record {
	r := t.machines[id]
	if r != nil && r.survivor != "" {
		r = t.machines[r.survivor]
	}
	if r == nil || !r.listed || !r.inScope {
		return nil
	}
	return r
}

func (t *Truth) antivirus(d *Day) {
	latest := map[string]*DeviceAVInfo{}
	for v := range d.AntivirusHealth() {
		id := v.ID
		if v.MachineID != nil && *v.MachineID != "" {
			id = *v.MachineID
		}
		r := t.place(id)
		if r == nil {
			continue
		}
		if before := latest[r.id]; before == nil || parse(before.DataRefreshTimestamp).Before(parse(v.DataRefreshTimestamp)) {
			latest[r.id] = v
		}
	}
	for id, v := range latest {
		t.machines[id].antivirus = antivirusAttributes(v)
	}
}

// sortedKeys of any map of texts.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
