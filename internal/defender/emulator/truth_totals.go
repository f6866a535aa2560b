package emulator

import (
	"cmp"
	"slices"
)

// bucket is what findings are totalled by; "" = the source gives none.
type bucket struct{ severity, platform, group string }

// moves are what became of the findings of a bucket since the totals before.
type moves struct{ open, opened, fixed, reopened, entered, left int }

// tallied is a machine as totals look at it.
type tallied struct {
	in              bool
	platform, group string
	open            map[[4]string]string // severity by finding
	closed          map[[4]string]bool
}

// look writes down every machine as it is.
func (t *Truth) look() map[string]tallied {
	all := map[string]tallied{}
	for id, r := range t.machines {
		platform, _ := r.attributes["OS.Platform"].(string)
		group, _ := r.attributes["Discovery.MDE.DeviceGroup.Name"].(string)
		m := tallied{in: r.inScope, platform: platform, group: group, open: map[[4]string]string{}, closed: map[[4]string]bool{}}
		for key, f := range t.findings[id] {
			if f.closedAt.IsZero() {
				m.open[key] = f.severity()
			} else {
				m.closed[key] = true
			}
		}
		all[id] = m
	}
	return all
}

// of is the bucket of a machine's finding since the last totals.
func (t *Truth) of(m tallied, severity string) *moves {
	b := bucket{severity, m.platform, m.group}
	if t.moving[b] == nil {
		t.moving[b] = &moves{}
	}
	return t.moving[b]
}

// settle adds what a machine list, or a read of vulnerabilities, has moved since was.
func (t *Truth) settle(was map[string]tallied) {
	for id, now := range t.look() {
		before := was[id]
		if before.in != now.in || before.platform != now.platform || before.group != now.group {
			for _, severity := range before.open {
				if before.in {
					t.of(before, severity).left++
				}
				if now.in {
					t.of(now, severity).entered++
				}
			}
		}
		if now.in {
			t.compare(before, now)
		}
	}
}

// compare goes through the findings of a machine in scope.
func (t *Truth) compare(before, now tallied) {
	for key, severity := range now.open {
		earlier, stood := before.open[key]
		switch {
		case before.closed[key]:
			t.of(now, severity).reopened++
		case !stood:
			t.of(now, severity).opened++
		case earlier != severity:
			t.of(now, earlier).left++
			t.of(now, severity).entered++
		}
	}
	for key, severity := range before.open {
		if now.closed[key] {
			t.of(now, severity).fixed++
		}
	}
}

// total makes totals of a day: its read was whole and nothing of it was held back.
func (t *Truth) total(day string) {
	today := t.days[day]
	if today == nil {
		today = map[bucket]*moves{}
		if n := len(t.order); n > 0 {
			for b, m := range t.days[t.order[n-1]] {
				today[b] = &moves{open: m.open}
			}
		}
		t.days[day], t.order = today, append(t.order, day)
	}
	for b, m := range t.moving {
		if today[b] == nil {
			today[b] = &moves{}
		}
		s := today[b]
		s.opened, s.fixed, s.reopened, s.entered, s.left = s.opened+m.opened, s.fixed+m.fixed, s.reopened+m.reopened, s.entered+m.entered, s.left+m.left
	}
	clear(t.moving)
	// What is open is counted, not added up.
	for _, m := range today {
		m.open = 0
	}
	for _, m := range t.look() {
		for _, severity := range m.open {
			if b := (bucket{severity, m.platform, m.group}); m.in {
				if today[b] == nil {
					today[b] = &moves{}
				}
				today[b].open++
			}
		}
	}
}

// Totals are the rows of the totals export.
func (t *Truth) Totals() []map[string]any {
	var all []map[string]any
	given := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	for _, day := range t.order {
		var buckets []bucket
		for b, m := range t.days[day] {
			if *m != (moves{}) {
				buckets = append(buckets, b)
			}
		}
		slices.SortFunc(buckets, func(a, b bucket) int {
			return cmp.Or(cmp.Compare(a.severity, b.severity), cmp.Compare(a.platform, b.platform), cmp.Compare(a.group, b.group))
		})
		for _, b := range buckets {
			m := t.days[day][b]
			all = append(all, map[string]any{
				"day": day, "organisation": "Default", "severity": given(b.severity), "platform": given(b.platform), "device_group": given(b.group), "open": float64(m.open),
				"opened": float64(m.opened), "fixed": float64(m.fixed), "reopened": float64(m.reopened), "entered_scope": float64(m.entered), "left_scope": float64(m.left),
			})
		}
	}
	return all
}
