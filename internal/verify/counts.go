package verify

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
)

// counts are made anew from the rows, by no code that keeps them.
type counts struct {
	*verification
	tenants   map[int64]string // those that are counted
	exposures map[int64]store.ExposureKey
	classes   map[int64]store.Class // by facts
	devices   map[string][]store.Held
	members   map[string]int // machines of a device that are still to come
	tallies   map[int64]map[devicesBy]int64
	open      map[int64]map[store.Bucket]int64
}

type devicesBy struct {
	kind store.TallyKind
	item int64
}

func (v *verification) newCounts(ctx context.Context) (*counts, error) {
	c := &counts{
		verification: v, exposures: map[int64]store.ExposureKey{}, classes: map[int64]store.Class{}, devices: map[string][]store.Held{},
		members: map[string]int{}, tallies: map[int64]map[devicesBy]int64{}, open: map[int64]map[store.Bucket]int64{},
	}
	var err error
	if c.tenants, err = v.stores.CountedTenants(ctx); err != nil {
		return nil, err
	}
	for t := range c.tenants {
		c.tallies[t], c.open[t] = map[devicesBy]int64{}, map[store.Bucket]int64{}
	}
	if err := v.stores.ExposureSoftware(ctx, 0, func(id int64, k store.ExposureKey) { c.exposures[id] = k }); err != nil {
		return nil, err
	}
	err = v.stores.AllFacts(ctx, func(id int64, f store.Facts, class *store.Class) {
		c.classes[id] = store.Class{Severity: member(f.Document, store.SeverityAttribute), Exploitability: member(f.Document, store.ExploitabilityAttribute)}
		if class != nil && *class != c.classes[id] {
			v.found("finding_class", fmt.Sprintf("facts %d: %+v, counted by %+v", id, c.classes[id], *class))
		}
	})
	if err != nil {
		return nil, err
	}
	// How many machines a device has must be known before the last one is met.
	for tenant := range c.tenants {
		err := v.stores.TenantMachines(ctx, tenant, func(m store.MachineRow) error {
			if m.Device != "" {
				c.members[m.Device]++
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// member is a text of a JSON object; "" = not given.
func member(document []byte, name string) string {
	var all map[string]any
	if json.Unmarshal(document, &all) != nil {
		return ""
	}
	s, _ := all[name].(string)
	return s
}

// countsBy tells by the scopes whether a machine counts: some connector has it in scope, and
// let it in after the last time that it was merged or superseded.
func countsBy(scopes []store.ScopedBy) bool {
	var entered, ended time.Time
	in := false
	for _, s := range scopes {
		switch s.Reason {
		case muster.InScope:
			if in = true; s.Since.After(entered) {
				entered = s.Since
			}
		case muster.OutMerged, muster.OutSuperseded:
			if s.Since.After(ended) {
				ended = s.Since
			}
		}
	}
	return in && (ended.IsZero() || entered.After(ended))
}

func (c *counts) machine(ctx context.Context, h *store.Held) error {
	if c.tenants[h.Tenant] == "" {
		return nil
	}
	if is := countsBy(h.Scopes); is != h.Counted {
		c.found("counted", fmt.Sprintf("machine %d: %v, recorded %v", h.ID, is, h.Counted))
	}
	platform, group := member(h.Attributes, store.PlatformAttribute), member(h.Attributes, store.GroupAttribute)
	if platform != h.Platform || group != h.Group {
		c.found("counted", fmt.Sprintf("machine %d: platform %q, group %q, recorded %q and %q", h.ID, platform, group, h.Platform, h.Group))
	}
	is := map[store.Class]int64{}
	for _, f := range open(h.Rows[store.Findings]) {
		is[c.classes[f.Facts]]++
		if h.Counted {
			c.open[h.Tenant][store.Bucket{Organisation: store.DefaultOrganisation, Severity: c.classes[f.Facts].Severity, Platform: platform, Group: group}]++
		}
	}
	recorded, err := c.stores.MachineCounts(ctx, []int64{h.ID})
	if err != nil {
		return err
	}
	if !maps.Equal(is, recorded[h.ID]) {
		c.found("machine_count", fmt.Sprintf("machine %d: %v, recorded %v", h.ID, is, recorded[h.ID]))
	}
	if h.Device == "" {
		return nil
	}
	h.Attributes, h.States = nil, nil
	c.devices[h.Device] = append(c.devices[h.Device], *h)
	if c.members[h.Device]--; c.members[h.Device] > 0 {
		return nil
	}
	machines := c.devices[h.Device]
	delete(c.devices, h.Device)
	return c.device(ctx, h.Device, machines)
}

// device counts a device whose machines are all known.
func (c *counts) device(ctx context.Context, id string, machines []store.Held) error {
	machines = slices.DeleteFunc(machines, func(h store.Held) bool { return !h.Counted })
	slices.SortFunc(machines, func(a, b store.Held) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.TenantID, b.TenantID), cmp.Compare(a.MachineID, b.MachineID))
	})
	var is store.DeviceCounts
	var tenant int64
	seen, tallied := map[int64]bool{}, map[devicesBy]bool{}
	for _, h := range machines {
		if tenant == 0 || h.Tenant < tenant {
			tenant = h.Tenant
		}
		for _, f := range open(h.Rows[store.Findings]) {
			k := c.exposures[f.ID]
			tallied[devicesBy{store.DevicesByCVE, k.CVE}], tallied[devicesBy{store.DevicesExposed, k.Software}] = true, true
			if seen[f.ID] {
				continue
			}
			seen[f.ID] = true
			at := slices.Index(store.Severities[:], c.classes[f.Facts].Severity)
			if at < 0 {
				at = len(store.Severities)
			}
			is.Open[at]++
			if e := c.classes[f.Facts].Exploitability; e != "" && e != store.NoExploit {
				is.Exploitable[at]++
			}
		}
		for kind, rows := range map[store.TallyKind][]store.Item{store.DevicesInstalled: h.Rows[store.InstalledSoftware], store.DevicesReportedFor: h.Rows[store.ReportedSoftware]} {
			for _, i := range open(rows) {
				tallied[devicesBy{kind, i.ID}] = true
			}
		}
	}
	for t := range tallied {
		c.tallies[tenant][t]++
	}
	recorded, err := c.stores.DeviceCounts(ctx, []string{id})
	if err == nil && recorded[id] != is {
		c.found("device_count", fmt.Sprintf("device %s: %+v, recorded %+v", id, is, recorded[id]))
	}
	return err
}

// finish compares what was added up over all machines.
func (c *counts) finish(ctx context.Context) error {
	for _, tenant := range slices.Sorted(maps.Keys(c.tenants)) {
		rest := c.tallies[tenant]
		err := c.stores.AllTallies(ctx, tenant, func(kind store.TallyKind, item, devices int64) {
			t := devicesBy{kind, item}
			if is := rest[t]; is != devices {
				c.found("device_tally", fmt.Sprintf("%s %d of tenant %d: %d devices, recorded %d", kind, item, tenant, is, devices))
			}
			delete(rest, t)
		})
		if err != nil {
			return err
		}
		for t, devices := range rest {
			c.found("device_tally", fmt.Sprintf("%s %d of tenant %d: %d devices, recorded none", t.kind, t.item, tenant, devices))
		}
		if err := c.totals(ctx, tenant); err != nil {
			return err
		}
	}
	return nil
}

// totals holds every day against the one before, and the last one, with what has moved
// since, against what is open.
func (c *counts) totals(ctx context.Context, tenant int64) error {
	byDay := map[string]map[store.Bucket]store.Total{}
	days, err := c.stores.TotalsOf(ctx, c.tenants[tenant], func(t store.Total) {
		if byDay[t.Day] == nil {
			byDay[t.Day] = map[store.Bucket]store.Total{}
		}
		byDay[t.Day][t.Bucket] = t
	})
	if err != nil {
		return err
	}
	read := map[string]bool{}
	for _, d := range days {
		if read[d.Day] = true; byDay[d.Day] == nil {
			byDay[d.Day] = map[store.Bucket]store.Total{}
		}
	}
	for day := range byDay {
		if !read[day] {
			c.found("total", fmt.Sprintf("tenant %d has totals of %s, a day without a complete read", tenant, day))
		}
	}
	last := map[store.Bucket]int64{}
	for _, day := range slices.Sorted(maps.Keys(byDay)) {
		for b, n := range last {
			if _, goes := byDay[day][b]; !goes && n != 0 {
				c.found("total", fmt.Sprintf("%s, %+v: nothing after %d", day, b, n))
			}
		}
		next := map[store.Bucket]int64{}
		for b, t := range byDay[day] {
			if next[b] = t.Open; t.Open != last[b]+t.Net() {
				c.found("total", fmt.Sprintf("%s, %+v: %d open after %d and %+v", day, b, t.Open, last[b], t.Flow))
			}
		}
		last = next
	}
	pending, err := c.stores.Pending(ctx, tenant)
	if err != nil {
		return err
	}
	for b, f := range pending {
		last[b] += f.Net()
	}
	for b := range c.open[tenant] {
		last[b] += 0
	}
	for b, n := range last {
		if is := c.open[tenant][b]; is != n {
			c.found("total", fmt.Sprintf("tenant %d, %+v: %d open, the totals say %d", tenant, b, is, n))
		}
	}
	return nil
}
