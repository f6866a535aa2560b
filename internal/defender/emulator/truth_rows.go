package emulator

import (
	"cmp"
	"slices"
	"time"
)

// row is one finding, software or check of a machine, as it is held.
type row struct {
	facts     facts
	software  facts    // of the software that a vulnerability row names
	disk      []string // in any order
	registry  []string
	first     time.Time // earliest the source ever gave
	stamp     time.Time // the row's own time
	closedAt  time.Time // zero = open
	confirmed time.Time // of a closed row
	reopened  int
}

// facts are columns that come from the source's row as they are.
type facts func(columns map[string]any)

// held is what is remembered of one dataset as a whole.
type held struct {
	rows      int64           // of the last complete read, before any filter
	devices   map[string]bool // that had rows in it, before any filter
	lossSince time.Time       // when a loss was first seen that is not confirmed yet
	lossIn    time.Time       // in which snapshot
	applied   time.Time       // snapshot
	covers    map[string]bool // machines in scope when it was applied
}

func (t *Truth) dataset(name string) *held {
	if t.datasets[name] == nil {
		t.datasets[name] = &held{}
	}
	return t.datasets[name]
}

// shrunken is the shrink guard (SPEC §2.6 and the 5% of §2.3): it remembers the read and
// tells whether what is gone from it must not be judged.
func (t *Truth) shrunken(name string, g Gathering, rows int64, devices map[string]bool) bool {
	h := t.dataset(name)
	had, gone := 0, 0
	for id := range h.devices {
		if r := t.machines[id]; r != nil && (r.survivor != "" || r.superseded) {
			continue // its rows are another's now: it has lost nothing
		}
		if had++; !devices[id] {
			gone++
		}
	}
	loss := h.rows > 0 && rows*2 < h.rows || gone > 0 && gone*20 >= had
	snapshot := g.snapshot()
	if name == machinesRead {
		snapshot = g.At
	}
	if loss {
		confirmed := !h.lossSince.IsZero() && rows > 0 && !snapshot.Equal(h.lossIn) && g.At.Sub(h.lossSince) >= 24*time.Hour
		if !confirmed {
			if h.lossSince.IsZero() {
				h.lossSince, h.lossIn = g.At, snapshot
			}
			return true
		}
	}
	h.rows, h.devices, h.lossSince, h.lossIn = rows, devices, time.Time{}, time.Time{}
	return false
}

// reading collects the rows of one export, by the machine in scope that each belongs to.
type reading struct {
	truth   *Truth
	rows    int64
	devices map[string]bool
	found   map[string]map[[4]string]*row
	counts  map[string]int       // rows per machine, also those that make no row here
	latest  map[string]time.Time // greatest time of a machine's rows
}

func (t *Truth) reading() *reading {
	return &reading{truth: t, devices: map[string]bool{}, found: map[string]map[[4]string]*row{}, counts: map[string]int{}, latest: map[string]time.Time{}}
}

// see counts a row and names its machine; nil = set aside.
func (rd *reading) see(device string, seen time.Time) *record {
	rd.rows++
	if r := rd.truth.machines[device]; r != nil { // what no list has held cannot be missed
		rd.devices[cmp.Or(r.survivor, device)] = true
	}
	r := rd.truth.place(device)
	if r == nil {
		return nil
	}
	rd.counts[r.id]++
	if seen.After(rd.latest[r.id]) {
		rd.latest[r.id] = seen
	}
	return r
}

// add keeps a row; of two with one key the facts of the one seen later count, the earlier
// first seen, and the paths of both.
func (rd *reading) add(machine string, key [4]string, n *row) {
	if rd.found[machine] == nil {
		rd.found[machine] = map[[4]string]*row{}
	}
	o := rd.found[machine][key]
	if o == nil {
		rd.found[machine][key] = n
		return
	}
	first, disk, registry := earlier(o.first, n.first), sorted(slices.Concat(o.disk, n.disk)), sorted(slices.Concat(o.registry, n.registry))
	if n.stamp.After(o.stamp) {
		*o = *n
	}
	o.first, o.disk, o.registry = first, disk, registry
}

// earlier of two times of which either may be absent.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// unchanged tells whether this snapshot is applied already for every machine now in scope.
func (t *Truth) unchanged(name string, g Gathering) bool {
	h := t.dataset(name)
	if !h.applied.Equal(g.snapshot()) {
		return false
	}
	for id, r := range t.machines {
		if r.listed && r.inScope && !h.covers[id] {
			return false
		}
	}
	return true
}

// apply judges every machine in scope by SPEC §2 and keeps what the read had. into are the
// stores to compare with, each with the part of the reading that is meant for it.
func (t *Truth) apply(name string, g Gathering, rd *reading, into ...target) {
	h, snapshot := t.dataset(name), g.snapshot()
	heldBack := t.shrunken(name, g, rd.rows, rd.devices)
	if !heldBack {
		h.applied, h.covers = snapshot, map[string]bool{}
	}
	for _, id := range sortedKeys(t.machines) {
		r := t.machines[id]
		if !r.listed || !r.inScope {
			continue
		}
		if !heldBack {
			h.covers[id] = true
		}
		k := r.judgement(name)
		if snapshot.Before(k.lookedAt) {
			continue
		}
		was := k.confirmed
		closes, gone := k.judge(snapshot, heldBack, rd.counts[id], r.lastSeen)
		if rd.counts[id] > 0 {
			latest := rd.latest[id]
			if latest.IsZero() {
				latest = snapshot
			}
			if !heldBack || latest.After(k.confirmed) {
				k.confirmed = latest
			}
		}
		for _, to := range into {
			to.merge(id, closes, gone, was)
		}
	}
}

// judge says whether rows that the read lacks are closed, and when they have gone.
func (k *judged) judge(snapshot time.Time, heldBack bool, rows int, lastSeen time.Time) (closes bool, gone time.Time) {
	if rows > 0 {
		k.emptyAt = time.Time{} // a row refutes the witness
	}
	if heldBack {
		return false, gone
	}
	again, before := snapshot.Equal(k.lookedAt), k.lookedAt
	k.lookedAt = snapshot
	switch {
	case rows > 0:
		k.assessedAt = snapshot
		return true, snapshot
	case again: // the same snapshot is no second witness
		return false, gone
	case !before.IsZero() && !lastSeen.After(before): // no life since: no witness, and none refuted
		return false, gone
	case k.emptyAt.IsZero(): // the first snapshot without a row
		k.emptyAt = snapshot
		return false, gone
	}
	k.assessedAt = snapshot
	return true, k.emptyAt
}

// target is a store of rows and what a reading has for it.
type target struct {
	store map[string]map[[4]string]*row
	found map[string]map[[4]string]*row
	mine  func(key [4]string) bool // keys of the store that this dataset judges; nil = all
}

func (to target) merge(machine string, closes bool, gone, confirmed time.Time) {
	if to.store[machine] == nil {
		to.store[machine] = map[[4]string]*row{}
	}
	have := to.store[machine]
	for key, n := range to.found[machine] {
		o := have[key]
		if o == nil {
			have[key] = n
			continue
		}
		n.first, n.reopened = earlier(o.first, n.first), o.reopened
		if !o.closedAt.IsZero() {
			n.reopened++
		}
		have[key] = n
	}
	if !closes {
		return
	}
	for key, o := range have {
		if to.found[machine][key] == nil && o.closedAt.IsZero() && (to.mine == nil || to.mine(key)) {
			o.closedAt, o.confirmed = gone, confirmed
		}
	}
}

// sorted copies a list without doubles.
func sorted(all []string) []string {
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}
