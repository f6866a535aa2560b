package emulator

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

var connectors = []any{"default"}

// byText orders maps by text columns, bytewise, null first.
func byText(all []map[string]any, columns ...string) []map[string]any {
	text := func(m map[string]any, c string) (string, int) {
		s, ok := m[c].(string)
		if !ok {
			return "", 0
		}
		return s, 1
	}
	slices.SortStableFunc(all, func(a, b map[string]any) int {
		for _, c := range columns {
			x, given := text(a, c)
			y, also := text(b, c)
			if n := cmp.Or(cmp.Compare(given, also), strings.Compare(x, y)); n != 0 {
				return n
			}
		}
		return 0
	})
	return all
}

func reasonOf(r *record) any {
	if r.inScope {
		return nil
	}
	return r.reason
}

func (t *Truth) assessedAt(r *record) any { return written(r.judgement(vulnerabilityRead).assessedAt) }

// Machines are the rows of the machines export, without device_id.
func (t *Truth) Machines() []map[string]any {
	var all []map[string]any
	for _, r := range t.machines {
		m := map[string]any{
			"tenant_id": t.tenant, "machine_id": r.id, "connectors": connectors, "in_scope": r.inScope, "scope_reason": reasonOf(r),
			"out_of_scope_since": written(r.outSince), "assessed_at": t.assessedAt(r),
		}
		for _, name := range attributeNames {
			m[name] = nil
		}
		maps.Copy(m, r.attributes)
		maps.Copy(m, r.antivirus)
		all = append(all, m)
	}
	return byText(all, "tenant_id", "machine_id")
}

// Software are the rows of the software export, of any state.
func (t *Truth) Software() []map[string]any {
	var all []map[string]any
	for machine, rows := range t.software {
		for key, s := range rows {
			dataset, state := softwareRead, "installed"
			ended := "removed"
			if key[3] == rowsOrigin {
				dataset, ended = vulnerabilityRead, "no_longer_reported"
			}
			if !s.closedAt.IsZero() {
				state = ended
			}
			m := map[string]any{
				"tenant_id": t.tenant, "machine_id": machine, "vendor": key[0], "name": key[1], "version": key[2], "origin": key[3], "state": state,
				"first_seen": written(s.first), "last_confirmed": t.confirmed(machine, dataset, s), "ended_at": written(s.closedAt),
			}
			s.export(m)
			all = append(all, m)
		}
	}
	return byText(all, "tenant_id", "machine_id", "vendor", "name", "version", "origin")
}

// confirmed is when a row was last seen: an open one with its machine.
func (t *Truth) confirmed(machine, dataset string, s *row) any {
	if !s.closedAt.IsZero() {
		return written(s.confirmed)
	}
	return written(t.machines[machine].judgement(dataset).confirmed)
}

// export adds what a row holds as it came, and its paths.
func (s *row) export(m map[string]any) {
	s.facts(m)
	m["disk_paths"], m["registry_paths"] = list(s.disk), list(s.registry)
}

// list is sorted and without doubles; nothing is an empty one.
func list(all []string) any {
	if all == nil {
		all = []string{}
	}
	return texts(all)
}

func (s *row) severity() string {
	columns := map[string]any{}
	s.facts(columns)
	severity, _ := columns["severity"].(string)
	return severity
}

// Findings are the rows of the findings export, of any state.
func (t *Truth) Findings() []map[string]any {
	var all []map[string]any
	for machine, rows := range t.findings {
		for key, f := range rows {
			state := "open"
			if !f.closedAt.IsZero() {
				state = "fixed"
			}
			m := map[string]any{
				"tenant_id": t.tenant, "machine_id": machine, "vendor": key[0], "name": key[1], "version": key[2], "cve": key[3], "state": state,
				"first_seen": written(f.first), "last_confirmed": t.confirmed(machine, vulnerabilityRead, f), "fixed_at": written(f.closedAt), "reopened": float64(f.reopened),
			}
			f.export(m)
			all = append(all, m)
		}
	}
	return byText(all, "tenant_id", "machine_id", "vendor", "name", "version", "cve")
}

// Configuration are the rows of the configuration export.
func (t *Truth) Configuration() []map[string]any {
	var all []map[string]any
	for machine, rows := range t.checks {
		for key, c := range rows {
			if !c.closedAt.IsZero() {
				continue
			}
			m := map[string]any{"tenant_id": t.tenant, "machine_id": machine, "configuration_id": key[0], "timestamp": written(c.stamp), "last_confirmed": t.confirmed(machine, configurationRead, c)}
			c.facts(m)
			all = append(all, m)
		}
	}
	return byText(all, "tenant_id", "machine_id", "configuration_id")
}

// Vulnerabilities are the rows of the vulnerabilities export.
func (t *Truth) Vulnerabilities() []map[string]any {
	devices := map[string]map[string]bool{} // by CVE
	for machine, rows := range t.findings {
		if !t.machines[machine].inScope {
			continue
		}
		for key, f := range rows {
			if f.closedAt.IsZero() {
				if devices[key[3]] == nil {
					devices[key[3]] = map[string]bool{}
				}
				devices[key[3]][t.groups[machine]] = true
			}
		}
	}
	var all []map[string]any
	for cve, v := range t.cves {
		all = append(all, map[string]any{
			"cve": cve, "name": maybe(v.Name), "description": maybe(v.Description), "severity": maybe(v.Severity), "cvss": v.CVSSV3, "cvss_vector": maybe(v.CVSSVector),
			"epss": v.EPSS, "published_on": written(parse(v.PublishedOn)), "updated_on": written(parse(v.UpdatedOn)), "public_exploit": v.PublicExploit, "exploit_verified": v.ExploitVerified,
			"exploit_in_kit": v.ExploitInKit, "devices_open": float64(len(devices[cve])),
		})
	}
	return byText(all, "cve")
}

// Devices are the rows of the devices export, without device_id.
func (t *Truth) Devices() []map[string]any {
	members := map[string][]*record{}
	for _, id := range sortedKeys(t.machines) {
		members[t.groups[id]] = append(members[t.groups[id]], t.machines[id])
	}
	var all []map[string]any
	for _, group := range sortedKeys(members) {
		all = append(all, t.device(members[group]))
	}
	return byText(all, "device_name", "display_name")
}

func (t *Truth) device(records []*record) map[string]any {
	records = newestFirst(records)
	newest := records[0]
	a := map[string]any{}
	for _, name := range attributeNames {
		a[name] = shown(records, name)
	}
	d := map[string]any{
		"device_name": a["DeviceName"], "display_name": a["DisplayName"], "fqdn": a["Network.TCPIP.FQDN"], "os_name": a["OS.Name"], "os_version": a["OS.Version"],
		"os_build": a["OS.BuildNumber"], "aad_device_id": a["AzureAD.DeviceId"], "tenant_ids": []any{t.tenant}, "connectors": connectors, "device_group": a["Discovery.MDE.DeviceGroup.Name"],
		"health_status": a["Security.MDE.HealthStatus"], "onboarding_status": a["Security.MDE.OnboardingStatus"], "risk_score": a["Security.MDE.RiskScore"],
		"exposure_level": a["Security.MDE.ExposureLevel"], "device_value": a["Discovery.MDE.DeviceValue"], "excluded": a["Discovery.MDE.Excluded"], "tags": []any{},
		"last_seen": written(newest.lastSeen), "assessed_at": t.assessment(records), "scope_reason": reasonOf(newest),
	}
	if tags := a["Discovery.MDE.Tags"]; tags != nil {
		d["tags"] = tags
	}
	var first time.Time
	var ids []string
	in, assessed := false, false
	open := map[[4]string]string{} // severity by finding; two records of one device show it once
	for _, r := range records {
		ids = append(ids, r.id)
		first = earlier(first, r.earliestSeen)
		if !r.inScope {
			continue
		}
		in, assessed = true, assessed || !r.judgement(vulnerabilityRead).assessedAt.IsZero()
		for key, f := range t.findings[r.id] {
			if _, shown := open[key]; f.closedAt.IsZero() && !shown {
				open[key] = f.severity()
			}
		}
	}
	if d["machine_ids"], d["first_seen"], d["in_scope"] = texts(ids), written(first), in; in {
		d["scope_reason"] = nil
	}
	counts := map[string]float64{}
	for _, severity := range open {
		counts[severity]++
	}
	for _, severity := range []string{"Critical", "High", "Medium", "Low"} {
		column := "open_" + strings.ToLower(severity)
		if d[column] = nil; assessed || len(open) > 0 { // not assessed yet is never "0 findings"
			d[column] = counts[severity]
		}
	}
	return d
}
