package emulator

import (
	"strings"
	"time"
)

// list applies the machine list: attributes, who is one device with whom, scope.
func (t *Truth) list(d *Day, g Gathering) {
	listed := map[string]*Machine{}
	for m := range d.Machines() {
		listed[m.ID] = m
	}
	lost := t.shrunken(machinesRead, g, int64(len(listed)), nil)
	for id, m := range listed {
		r := t.machines[id]
		if r == nil {
			r = &record{id: id, known: map[string]*judged{}}
			t.machines[id] = r
		}
		r.source, r.attributes = *m, machineAttributes(m)
		r.firstSeen, r.lastSeen = parseOr(m.FirstSeen), parseOr(m.LastSeen)
		r.telling(m)
		if !r.firstSeen.IsZero() && (r.earliestSeen.IsZero() || r.firstSeen.Before(r.earliestSeen)) {
			r.earliestSeen = r.firstSeen
		}
	}
	t.reconcile()
	for _, id := range sortedKeys(t.machines) {
		r := t.machines[id]
		_, r.listed = listed[id]
		if r.listed {
			r.missing, r.unseenSince = false, time.Time{}
			t.decide(r, t.reason(r, g), g.At)
			continue
		}
		if lost || r.missing {
			continue
		}
		// The call for the one machine answers 404, so one list without it is enough.
		reason := "missing"
		if r.survivor != "" {
			reason = "merged"
		} else if r.superseded {
			reason = "superseded"
		}
		r.missing = true
		t.decide(r, reason, g.At)
	}
}

// decide records a scope that changed. Who comes in is not assessed until a read covers it.
func (t *Truth) decide(r *record, reason string, at time.Time) {
	was := r.inScope
	switch {
	case reason == "" && !was:
		r.inScope, r.outSince = true, time.Time{}
		for _, k := range r.known {
			k.assessedAt, k.emptyAt = time.Time{}, time.Time{}
		}
	case reason != "" && (was || !r.everPlaced):
		r.inScope, r.outSince = false, at
	}
	r.reason, r.everPlaced = reason, true
}

// reason is why a listed machine is out of scope; "" = in scope.
func (t *Truth) reason(r *record, g Gathering) string {
	if r.survivor != "" {
		return "merged"
	}
	if r.superseded {
		return "superseded"
	}
	if g.OnboardedOnly && !strings.EqualFold(r.source.OnboardingStatus, "onboarded") {
		return "not_onboarded"
	}
	if g.StaleDays > 0 {
		if r.firstSeen.IsZero() && r.lastSeen.IsZero() {
			return "no_date"
		}
		edge := g.At.Add(-time.Duration(g.StaleDays) * 24 * time.Hour)
		recent := func(at time.Time) bool { return !at.IsZero() && !at.Before(edge) }
		if !recent(r.lastSeen) && !recent(r.firstSeen) {
			return "stale"
		}
	}
	matches := 0
	for _, want := range g.Tags {
		for _, has := range r.source.MachineTags {
			if strings.EqualFold(strings.TrimSpace(want), strings.TrimSpace(has)) {
				matches++
				break
			}
		}
	}
	if len(g.Tags) > 0 && (matches == 0 || g.AllTags && matches < len(g.Tags)) {
		return "tag"
	}
	return ""
}

// survivor follows mergedIntoMachineId; "" where it leads nowhere, in a circle, or is not set.
func (t *Truth) survivor(id string) string {
	visited := map[string]bool{}
	at := id
	for !visited[at] {
		visited[at] = true
		next := t.machines[at].source.MergedIntoMachineID
		if next == nil || t.machines[*next] == nil {
			if at == id {
				return ""
			}
			return at
		}
		at = *next
	}
	return "" // a circle
}
