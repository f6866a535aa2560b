package emulator

import "time"

// value is the text of something that the source may leave out.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// readVulnerabilities tells whether there was anything new to read.
func (t *Truth) readVulnerabilities(d *Day, g Gathering) bool {
	if t.unchanged(vulnerabilityRead, g) {
		return false
	}
	rd := t.reading()
	for _, group := range d.Groups() {
		for v := range d.Vulnerabilities(group.ID) {
			seen := parseOr(v.LastSeenTimestamp)
			r := rd.see(value(v.DeviceID), seen)
			if r == nil {
				continue
			}
			copied := *v
			n := &row{stamp: seen, first: parseOr(v.FirstSeenTimestamp), disk: v.DiskPaths, registry: v.RegistryPaths, facts: copied.columns, software: support(v.EndOfSupportStatus, v.EndOfSupportDate)}
			key := [4]string{value(v.SoftwareVendor), value(v.SoftwareName), value(v.SoftwareVersion), value(v.CVEID)}
			rd.add(r.id, key, n)
		}
	}
	into := []target{{store: t.findings, found: withCVE(rd.found)}}
	if !t.hasInventory() {
		into = append(into, target{store: t.software, found: softwareOf(rd.found), mine: ofOrigin(rowsOrigin)})
	}
	t.apply(vulnerabilityRead, g, rd, into...)
	return true
}

// columns of the findings export.
func (v *AssetVulnerability) columns(c map[string]any) {
	c["severity"], c["cvss"], c["exploitability"] = maybe(v.VulnerabilitySeverityLevel), v.CVSSScore, maybe(v.ExploitabilityLevel)
	c["recommended_update"], c["recommended_update_id"], c["recommended_update_url"] = maybe(v.RecommendedSecurityUpdate), maybe(v.RecommendedSecurityUpdateID), maybe(v.RecommendedSecurityUpdateURL)
	c["recommendation"] = maybe(v.RecommendationReference)
}

// support are the columns of the software export that say how long it is supported.
func support(status, date *string) facts {
	return func(c map[string]any) {
		c["end_of_support_status"], c["end_of_support_date"] = maybe(status), maybeTime(date)
	}
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

// softwareOf folds the rows into one for each software version, with all their paths.
func softwareOf(found map[string]map[[4]string]*row) map[string]map[[4]string]*row {
	all := map[string]map[[4]string]*row{}
	for machine, rows := range found {
		all[machine] = map[[4]string]*row{}
		for key, r := range rows {
			key[3] = rowsOrigin
			s := all[machine][key]
			if s == nil {
				s = &row{facts: r.software}
				all[machine][key] = s
			}
			s.disk, s.registry = append(s.disk, r.disk...), append(s.registry, r.registry...)
		}
	}
	return all
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
			n := &row{first: parseOr(s.SoftwareFirstSeenTimestamp), disk: s.DiskPaths, registry: s.RegistryPaths, facts: support(s.EndOfSupportStatus, s.EndOfSupportDate)}
			rd.add(r.id, [4]string{value(s.SoftwareVendor), value(s.SoftwareName), value(s.SoftwareVersion), inventoryOrigin}, n)
		}
		for s := range d.NonCPESoftware(group.ID) {
			seen := parseOr(s.SoftwareLastSeenTimestamp)
			r := rd.see(value(s.DeviceID), seen)
			if r == nil {
				continue
			}
			n := &row{stamp: seen, facts: support(nil, nil)}
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
			copied := *c
			rd.add(r.id, [4]string{value(c.ConfigurationID)}, &row{stamp: at, facts: copied.columns})
		}
	}
	t.apply(configurationRead, g, rd, target{store: t.checks, found: rd.found})
}

// columns of the configuration export.
func (c *AssetConfiguration) columns(m map[string]any) {
	m["category"], m["subcategory"], m["impact"] = maybe(c.ConfigurationCategory), maybe(c.ConfigurationSubcategory), c.ConfigurationImpact
	m["is_compliant"], m["is_applicable"] = c.IsCompliant, c.IsApplicable
}
