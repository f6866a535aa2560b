package export

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"muster/internal/store"
)

// device is one row of the devices export; its machines are newest first.
type device struct {
	id       string
	name     cell
	machines []*picked
	inScope  bool

	// filled for the row
	described map[int64]*machine
	assessed  time.Time
	open      *[len(severities)]int64 // nil = nothing was judged or counted
}

// severities that devices count, as columns open_….
var severities = [...]string{"Critical", "High", "Medium", "Low"}

const deviceName = "DeviceName"

var deviceColumns = []column[device]{
	nullable(key("device_name", formText, "`DeviceName` of the newest machine that has one", func(d *device) cell { return d.name })),
	key("device_id", formText, "Muster's own id of the device", func(d *device) cell { return text(d.id) }),
	attribute("display_name", "DisplayName", (*device).shown),
	attribute("fqdn", "Network.TCPIP.FQDN", (*device).shown),
	attribute("os_name", "OS.Name", (*device).shown),
	attribute("os_version", "OS.Version", (*device).shown),
	attribute("os_build", "OS.BuildNumber", (*device).shown),
	attribute("aad_device_id", "AzureAD.DeviceId", (*device).shown),
	full("tenant_ids", formList, "Of its machines", collected(func(p *picked) []string { return []string{p.Tenant} })),
	full("machine_ids", formList, "Of its machines", collected(func(p *picked) []string { return []string{p.MachineID} })),
	full("connectors", formList, "Of its machines", collected((*picked).connectors)),
	full("tags", formList, "`"+machineTags+"`", func(d *device) cell {
		if tags := d.shown(machineTags); tags.kind != absent {
			return tags
		}
		return nothing
	}),
	attribute("device_group", "Discovery.MDE.DeviceGroup.Name", (*device).shown),
	attribute("health_status", "Security.MDE.HealthStatus", (*device).shown),
	attribute("onboarding_status", "Security.MDE.OnboardingStatus", (*device).shown),
	attribute("risk_score", "Security.MDE.RiskScore", (*device).shown),
	attribute("exposure_level", "Security.MDE.ExposureLevel", (*device).shown),
	attribute("device_value", "Discovery.MDE.DeviceValue", (*device).shown),
	attribute("excluded", "Discovery.MDE.Excluded", (*device).shown),
	col("first_seen", formTime, "The earliest of its machines", func(d *device) cell {
		var first time.Time
		for _, m := range d.machines {
			if first.IsZero() || !m.FirstSeen.IsZero() && m.FirstSeen.Before(first) {
				first = m.FirstSeen
			}
		}
		return instant(first)
	}),
	col("last_seen", formTime, "The latest of its machines", func(d *device) cell { return instant(d.machines[0].LastSeen) }),
	col("assessed_at", formTime, "The oldest among its machines that count; null while one of them was never judged", func(d *device) cell { return instant(d.assessed) }),
	full("in_scope", formBoolean, saysInScope, func(d *device) cell { return boolean(d.inScope) }),
	col("scope_reason", formText, saysReason, func(d *device) cell {
		if d.inScope {
			return cell{}
		}
		return d.machines[0].scopeReason()
	}),
	col("open_critical", formInteger, "Open findings of that severity, each once; null where nothing was ever judged, which is not 0", counted(0)),
	col("open_high", formInteger, "Likewise", counted(1)),
	col("open_medium", formInteger, "Likewise", counted(2)),
	col("open_low", formInteger, "Likewise", counted(3)),
}

const machineTags = "Discovery.MDE.Tags"

// shown is an attribute of the newest machine that has it.
func (d *device) shown(target string) cell {
	for _, m := range d.machines {
		if c := d.described[m.ID].member(target); c.kind != absent {
			return c
		}
	}
	return cell{}
}

// collected is the sorted union of texts of the machines.
func collected(of func(*picked) []string) func(*device) cell {
	return func(d *device) cell {
		var texts []string
		for _, m := range d.machines {
			texts = append(texts, of(m)...)
		}
		slices.Sort(texts)
		return list(slices.Compact(texts))
	}
}

func counted(severity int) func(*device) cell {
	return func(d *device) cell {
		if d.open == nil {
			return cell{}
		}
		return integer(d.open[severity])
	}
}

func writeDevices(ctx context.Context, e *exporter) error {
	all, err := e.devices(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(d device) bool { return !e.options.lets(d.inScope) })
	if err := e.nameDevices(ctx, all); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b device) int {
		return cmp.Or(cmp.Compare(a.name.kind, b.name.kind), cmp.Compare(a.name.text, b.name.text), cmp.Compare(a.id, b.id))
	})
	out, err := begin(e, deviceColumns)
	if err != nil {
		return err
	}
	severity := map[int64]int8{}
	for some := range slices.Chunk(all, block) {
		if err := e.fill(ctx, some, severity); err != nil {
			return err
		}
		for i := range some {
			if err := out.row(&some[i]); err != nil {
				return err
			}
			some[i].described = nil
		}
	}
	return nil
}

// devices groups the picked machines by device.
func (e *exporter) devices(ctx context.Context) ([]device, error) {
	machines, err := e.machines(ctx)
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	var all []device
	for i := range machines {
		m := &machines[i]
		n, known := at[m.Device]
		if !known {
			n = len(all)
			at[m.Device] = n
			all = append(all, device{id: m.Device})
		}
		all[n].machines = append(all[n].machines, m)
		all[n].inScope = all[n].inScope || m.inScope
	}
	for i := range all {
		slices.SortFunc(all[i].machines, func(a, b *picked) int {
			return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.MachineID, b.MachineID))
		})
	}
	return all, nil
}

// nameDevices finds the names that devices are ordered by.
func (e *exporter) nameDevices(ctx context.Context, all []device) error {
	for some := range slices.Chunk(all, block) {
		listed, err := e.stores.Machines(ctx, machineIDs(some))
		if err != nil {
			return err
		}
		for i := range some {
			for _, m := range some[i].machines {
				members, err := document(listed[m.ID].Attributes)
				if err != nil {
					return err
				}
				if some[i].name = value(members[deviceName]); some[i].name.kind != absent {
					break
				}
			}
		}
	}
	return nil
}

func machineIDs(devices []device) []int64 {
	var ids []int64
	for _, d := range devices {
		for _, m := range d.machines {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// fill reads what some devices' rows show.
func (e *exporter) fill(ctx context.Context, some []device, severity map[int64]int8) error {
	ids := machineIDs(some)
	listed, err := e.stores.Machines(ctx, ids)
	if err != nil {
		return err
	}
	assessed, err := e.assessed(ctx, ids)
	if err != nil {
		return err
	}
	open, err := e.openFindings(ctx, some, severity)
	if err != nil {
		return err
	}
	for i := range some {
		d := &some[i]
		d.described = map[int64]*machine{}
		for _, m := range d.machines {
			row := &machine{picked: m, assessed: assessed[m.ID], members: map[string]json.RawMessage{}}
			if err := row.add(listed[m.ID].Attributes); err != nil {
				return err
			}
			d.described[m.ID] = row
		}
		d.count(open, severity)
	}
	return nil
}

// openFindings reads the open findings of the machines that count and the severity of
// their facts.
func (e *exporter) openFindings(ctx context.Context, some []device, severity map[int64]int8) (map[int64][]store.OpenFinding, error) {
	var counted []int64
	for _, d := range some {
		for _, m := range d.machines {
			if m.inScope {
				counted = append(counted, m.ID)
			}
		}
	}
	open := map[int64][]store.OpenFinding{}
	var unknown []int64
	err := e.stores.OpenFindings(ctx, counted, func(f store.OpenFinding) {
		open[f.Machine] = append(open[f.Machine], f)
		if _, known := severity[f.Facts]; !known {
			severity[f.Facts] = -1
			unknown = append(unknown, f.Facts)
		}
	})
	if err != nil {
		return nil, err
	}
	for ids := range slices.Chunk(unknown, 1000) {
		found, err := e.readFacts(ctx, ids)
		if err != nil {
			return nil, err
		}
		for id, f := range found {
			severity[id] = int8(slices.Index(severities[:], f[vulnerability+"Severity"].text))
		}
	}
	return open, nil
}

// count adds up the distinct exposures of the machines that count; where they differ in
// severity the newest machine's is taken.
func (d *device) count(open map[int64][]store.OpenFinding, severity map[int64]int8) {
	d.open, d.assessed = nil, time.Time{}
	var counts [len(severities)]int64
	machines, unjudged, found := 0, false, false
	seen := map[int64]bool{}
	for _, m := range d.machines {
		if !m.inScope {
			continue
		}
		at := d.described[m.ID].assessed
		if machines++; at.IsZero() {
			unjudged = true
		} else if d.assessed.IsZero() || at.Before(d.assessed) {
			d.assessed = at
		}
		for _, f := range open[m.ID] {
			found = true
			if s := severity[f.Facts]; s >= 0 && !seen[f.Exposure] {
				counts[s]++
			}
			seen[f.Exposure] = true
		}
	}
	if machines == 0 {
		d.assessed = d.described[d.machines[0].ID].assessed
		return
	}
	if !d.assessed.IsZero() || found {
		d.open = &counts
	}
	if unjudged {
		d.assessed = time.Time{}
	}
}
