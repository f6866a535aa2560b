package emulator

import "iter"

// Vulnerabilities yields a group's rows in file order; a row is valid until the next.
func (d *Day) Vulnerabilities(group int64) iter.Seq[*AssetVulnerability] {
	return func(yield func(*AssetVulnerability) bool) {
		f := vulnerabilityFile{x: &exposure{}, yield: yield}
		for m := range d.reporting(group) {
			if !m.clean && !f.machine(m) {
				return
			}
		}
	}
}

// vulnerabilityFile writes the rows of one machine after the other into one struct.
type vulnerabilityFile struct {
	yield func(*AssetVulnerability) bool
	x     *exposure
	m     *host
	items []item
	row   AssetVulnerability
	buf   []byte
	seen  *string
	id    string
}

func (f *vulnerabilityFile) machine(m *host) bool {
	f.m, f.id = m, m.w.id(m.index)
	f.x.of(m)
	f.items = m.items(f.items[:0], m.seen)
	f.seen = m.w.plain(m.lastTicks)
	id := f.id
	f.row = AssetVulnerability{DeviceID: &id, DeviceName: m.dnsName(), OSPlatform: &platforms[m.system].assess, OSVersion: m.systemVersion(), OSArchitecture: &architecture}
	f.row.RbacGroupID, f.row.RbacGroupName = m.rbac()
	for k := range f.items {
		if !f.item(&f.items[k]) {
			return false
		}
	}
	return true
}

var architecture = "x64"

func (f *vulnerabilityFile) item(i *item) bool {
	r, rel := &f.row, i.release()
	r.SoftwareVendor, r.SoftwareName, r.SoftwareVersion = &i.p.vendor, &i.p.name, i.edition()
	r.EndOfSupportStatus, r.EndOfSupportDate = rel.endStatus, rel.endDate
	r.RecommendationReference = &i.p.reference
	found := false
	for k := range rel.known(f.m.w.catalogue.flaws, f.m.seen) {
		s, ok := f.x.sighting(i, k)
		if !ok {
			continue
		}
		if !found {
			r.DiskPaths, r.RegistryPaths = f.m.paths(i)
			found = true
		}
		f.fill(i, &s)
		if !f.yield(r) || mix(s.h, 1)%1500 == 0 && !f.yield(r) { // some rows come twice
			return false
		}
	}
	if found || !f.m.w.o.NullCVERows {
		return true
	}
	r.DiskPaths, r.RegistryPaths = f.m.paths(i)
	f.bare(i)
	return f.yield(r)
}

// fill writes what is a finding's own.
func (f *vulnerabilityFile) fill(i *item, s *sighting) {
	r, c := &f.row, s.flaw
	r.CVEID, r.VulnerabilitySeverityLevel, r.CVSSScore, r.ExploitabilityLevel = &c.id, &c.severity, c.score, &c.exploit
	if c.changes > 0 && f.m.n >= c.changes {
		r.VulnerabilitySeverityLevel, r.CVSSScore, r.ExploitabilityLevel = &c.later.severity, c.later.score, &c.later.exploit
	}
	r.RecommendedSecurityUpdate, r.RecommendedSecurityUpdateID, r.RecommendedSecurityUpdateURL, r.SecurityUpdateAvailable = nil, nil, nil, false
	if s.fix >= 0 && i.p.releases[s.fix].day <= f.m.n {
		u := i.p.update(s.fix, f.m.system)
		r.RecommendedSecurityUpdate, r.RecommendedSecurityUpdateID, r.RecommendedSecurityUpdateURL, r.SecurityUpdateAvailable = u.name, u.id, u.url, true
	}
	if r.CVEMitigationStatus = nil; s.h>>40%900 == 0 {
		r.CVEMitigationStatus = &mitigated
	}
	f.stamp(s.since, mix(s.h, 2), s.h)
	f.name(c.id)
}

var mitigated = "Mitigated"

// bare is the row of software without a known CVE.
func (f *vulnerabilityFile) bare(i *item) {
	r := &f.row
	r.CVEID, r.VulnerabilitySeverityLevel, r.CVSSScore, r.ExploitabilityLevel, r.CVEMitigationStatus = nil, nil, 0, &exploits[0], nil
	r.RecommendedSecurityUpdate, r.RecommendedSecurityUpdateID, r.RecommendedSecurityUpdateURL, r.SecurityUpdateAvailable = nil, nil, nil, false
	f.stamp(i.installed, i.h, 1)
	f.name("_")
}

// stamp writes the two times: most rows of a machine share the last one.
func (f *vulnerabilityFile) stamp(since int, own, h uint64) {
	r := &f.row
	if r.FirstSeenTimestamp = nil; own>>50%1200 > 0 {
		f.buf = f.m.w.appendPlain(f.buf[:0], reportTicks(since, own%86400, fraction(own>>8)))
		r.FirstSeenTimestamp = new(string(f.buf))
	}
	if r.LastSeenTimestamp = f.seen; h>>20%50 == 0 {
		r.LastSeenTimestamp = f.m.w.plain(f.m.lastTicks - int64(1+h>>28%20)*3600*perSecond)
	}
}

// name makes the row's id: opaque, of device, software and CVE.
func (f *vulnerabilityFile) name(cve string) {
	r := &f.row
	b := append(append(f.buf[:0], f.id...), '_')
	b = append(append(append(b, *r.SoftwareVendor...), '_'), *r.SoftwareName...)
	if b = append(b, '_'); r.SoftwareVersion != nil {
		b = append(b, *r.SoftwareVersion...)
	}
	f.buf = append(append(b, '_'), cve...)
	r.ID = new(string(f.buf))
}
