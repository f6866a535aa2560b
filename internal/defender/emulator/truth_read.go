package emulator

import "time"

// value is the text of something that the source may leave out.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (t *Truth) readVulnerabilities(d *Day, g Gathering) {
	if t.unchanged(vulnerabilityRead, g) {
		return
	}
	rd, software := t.reading(), t.reading()
	for _, group := range d.Groups() {
		for v := range d.Vulnerabilities(group.ID) {
			seen := parseOr(v.LastSeenTimestamp)
			r := rd.see(value(v.DeviceID), seen)
			if r == nil {
				continue
			}
			n := &row{stamp: seen, first: parseOr(v.FirstSeenTimestamp), disk: sorted(v.DiskPaths), registry: sorted(v.RegistryPaths)}
			key := [4]string{value(v.SoftwareVendor), value(v.SoftwareName), value(v.SoftwareVersion), value(v.CVEID)}
			n.facts = map[string]any{"severity": maybe(v.VulnerabilitySeverityLevel), "cvss": v.CVSSScore, "exploitability": maybe(v.ExploitabilityLevel),
				"recommended_update": maybe(v.RecommendedSecurityUpdate), "recommended_update_id": maybe(v.RecommendedSecurityUpdateID),
				"recommended_update_url": maybe(v.RecommendedSecurityUpdateURL), "recommendation": maybe(v.RecommendationReference),
				"end_of_support_status": maybe(v.EndOfSupportStatus), "end_of_support_date": maybeTime(v.EndOfSupportDate)}
			rd.add(r.id, key, n)
		}
	}
	into := []target{{store: t.findings, found: withCVE(rd.found)}}
	if !t.hasInventory() {
		rd.makeSoftware(software)
		into = append(into, target{store: t.software, found: software.found, mine: ofOrigin(rowsOrigin)})
	}
	t.apply(vulnerabilityRead, g, rd, into...)
}

// withCVE leaves out the rows that only name software.
func withCVE(found map[string]map[[4]string]*row) map[string]map[[4]string]*row {
	all := map[string]map[[4]string]*row{}
	for machine, rows := range found {
		all[machine] = map[[4]string]*row{}
		for key, r := range rows {
			if key[3] != "" {
				all[machine][key] = r
			}
		}
	}
	return all
}

// makeSoftware folds the rows into one for each software version, with all their paths.
func (rd *reading) makeSoftware(into *reading) {
	for machine, rows := range rd.found {
		into.found[machine] = map[[4]string]*row{}
		for key, r := range rows {
			s := [4]string{key[0], key[1], key[2], rowsOrigin}
			have := into.found[machine][s]
			if have == nil {
				have = &row{facts: map[string]any{"end_of_support_status": r.facts["end_of_support_status"], "end_of_support_date": r.facts["end_of_support_date"]}}
				into.found[machine][s] = have
			}
			have.disk, have.registry = sorted(append(have.disk, r.disk...)), sorted(append(have.registry, r.registry...))
		}
	}
}

func ofOrigin(origin string) func([4]string) bool {
	return func(key [4]string) bool { return key[3] == origin }
}

// hasInventory: once a tenant has inventory rows, vulnerability rows make no software.
func (t *Truth) hasInventory() bool {
	for _, rows := range t.software {
		for key, r := range rows {
			if key[3] == inventoryOrigin && r.closedAt.IsZero() {
				return true
			}
		}
	}
	return false
}

func (t *Truth) readSoftware(d *Day, g Gathering) {
	if t.unchanged(softwareRead, g) {
		return
	}
	rd := t.reading()
	for _, group := range d.Groups() {
		for s := range d.Software(group.ID) {
			r := rd.see(value(s.DeviceID), time.Time{})
			if r == nil {
				continue
			}
			n := &row{first: parseOr(s.SoftwareFirstSeenTimestamp), disk: sorted(s.DiskPaths), registry: sorted(s.RegistryPaths)}
			n.facts = map[string]any{"end_of_support_status": maybe(s.EndOfSupportStatus), "end_of_support_date": maybeTime(s.EndOfSupportDate)}
			rd.add(r.id, [4]string{value(s.SoftwareVendor), value(s.SoftwareName), value(s.SoftwareVersion), inventoryOrigin}, n)
		}
		for s := range d.NonCPESoftware(group.ID) {
			seen := parseOr(s.SoftwareLastSeenTimestamp)
			r := rd.see(value(s.DeviceID), seen)
			if r == nil {
				continue
			}
			n := &row{stamp: seen, facts: map[string]any{"end_of_support_status": nil, "end_of_support_date": nil}}
			if s.RegistryPath != nil {
				n.registry = []string{*s.RegistryPath}
			}
			rd.add(r.id, [4]string{value(s.SoftwareVendor), value(s.SoftwareName), value(s.SoftwareVersion), inventoryOrigin}, n)
		}
	}
	t.apply(softwareRead, g, rd, target{store: t.software, found: rd.found, mine: ofOrigin(inventoryOrigin)})
}

func (t *Truth) readConfigurations(d *Day, g Gathering) {
	if t.unchanged(configurationRead, g) {
		return
	}
	rd := t.reading()
	for _, group := range d.Groups() {
		for c := range d.Configurations(group.ID) {
			at := parseOr(c.Timestamp)
			r := rd.see(value(c.DeviceID), at)
			if r == nil {
				continue
			}
			facts := map[string]any{"category": maybe(c.ConfigurationCategory), "subcategory": maybe(c.ConfigurationSubcategory), "impact": c.ConfigurationImpact,
				"is_compliant": c.IsCompliant, "is_applicable": c.IsApplicable}
			rd.add(r.id, [4]string{value(c.ConfigurationID)}, &row{stamp: at, facts: facts})
		}
	}
	t.apply(configurationRead, g, rd, target{store: t.checks, found: rd.found})
}
