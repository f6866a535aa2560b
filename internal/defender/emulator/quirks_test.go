package emulator

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

// quirks collects which oddities were met, by name.
type quirks map[string]bool

func (q quirks) when(name string, met bool) { q[name] = q[name] || met }

func quoted(all []string) bool {
	return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, `"`) })
}

func digits(at *string) int {
	if at == nil {
		return -1
	}
	_, fraction, ok := strings.Cut(strings.TrimSuffix(*at, "Z"), ".")
	if !ok {
		return 0
	}
	return len(fraction)
}

// TestEveryQuirkIsInTheDefaultWorld looks for all of mde-api §16.9, day by day.
func TestEveryQuirkIsInTheDefaultWorld(t *testing.T) {
	w := NewWorld(Options{NullCVERows: true})
	q := quirks{}
	var before map[string]*Machine
	for n := range 10 {
		listed := map[string]*Machine{}
		for m := range w.Day(n).Machines() {
			listed[m.ID] = m
		}
		q.ofMachines(listed)
		if before != nil {
			q.ofTime(before, listed)
		}
		before = listed
		q.ofAntivirus(w.Day(n))
		if n == 0 || n == 9 {
			q.ofVulnerabilities(w.Day(n), listed)
			q.ofOtherRows(w.Day(n))
		}
	}
	q.ofCatalogue(w)
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !q[name] {
			t.Errorf("not in the world: %s", name)
		}
	}
	if len(q) < 70 {
		t.Errorf("only %d quirks were looked for", len(q))
	}
}

func (q quirks) ofMachines(listed map[string]*Machine) {
	names, entra, zero := map[string][]string{}, map[string][]*Machine{}, 0
	for _, m := range listed {
		q.when("no first and no last seen", m.FirstSeen == nil && m.LastSeen == nil)
		q.when("only first seen", m.FirstSeen != nil && m.LastSeen == nil)
		for n := range 8 {
			q.when("fraction of "+string(rune('0'+n))+" digits", digits(m.LastSeen) == n)
		}
		q.when("osVersion null", m.OSVersion == nil)
		q.when("excluded", m.IsExcluded && m.ExclusionReason != nil)
		q.when("possible duplicate", m.IsPotentialDuplication)
		q.when("never onboarded", m.OnboardingStatus == "CanBeOnboarded")
		q.when("unsupported", m.OnboardingStatus == "Unsupported")
		q.when("group 0 without a name", m.RbacGroupID == 0 && m.RbacGroupName == nil)
		q.when("tags null", m.MachineTags == nil)
		q.when("tags empty", m.MachineTags != nil && len(m.MachineTags) == 0)
		q.when("tag with blanks around", slices.Contains(m.MachineTags, " PROD "))
		q.when("tag in lower case", slices.Contains(m.MachineTags, "prod"))
		q.when("tag in upper case", slices.Contains(m.MachineTags, "PROD"))
		q.when("cloud machine", m.VMMetadata != nil && m.VMMetadata.CloudProvider == "Azure")
		q.when("unknown cloud", m.VMMetadata != nil && m.VMMetadata.ResourceID == nil)
		q.when("distribution's name", value(m.OSPlatform) == "Ubuntu")
		q.when("odd build outside Windows", value(m.OSPlatform) == "Debian" && m.OSBuild != nil && *m.OSBuild == 6)
		q.when("risk score null", m.RiskScore == nil)
		q.ofAdapters(m)
		q.ofName(m.ComputerDNSName)
		if m.ComputerDNSName != nil {
			names[strings.ToLower(*m.ComputerDNSName)] = append(names[strings.ToLower(*m.ComputerDNSName)], m.ID)
		}
		if id := value(m.AadDeviceID); id == zeroGUID {
			zero++
		} else if id != "" {
			entra[id] = append(entra[id], m)
		}
		if to := m.MergedIntoMachineID; to != nil {
			target := listed[*to]
			q.when("merged into an unknown machine", target == nil)
			if target != nil && target.MergedIntoMachineID != nil {
				q.when("merged in a circle", *target.MergedIntoMachineID == m.ID)
				q.when("merged in a chain", *target.MergedIntoMachineID != m.ID)
			}
		}
	}
	q.when("all-zero Entra device id twice", zero >= 2)
	for _, ids := range names {
		q.when("three records of one DNS name", len(ids) == 3)
	}
	for _, same := range entra {
		if len(same) != 2 || same[0].MergedIntoMachineID != nil || same[1].MergedIntoMachineID != nil {
			continue
		}
		apart := parseOr(same[0].LastSeen).Before(parseOr(same[1].FirstSeen)) || parseOr(same[1].LastSeen).Before(parseOr(same[0].FirstSeen))
		q.when("re-imaged under a new id", apart)
		q.when("one Entra device id on two living machines", !apart)
	}
}

func (q quirks) ofAdapters(m *Machine) {
	q.when("addresses null", m.IPAddresses == nil)
	for _, a := range m.IPAddresses {
		q.when("empty ip", a.IPAddress != nil && *a.IPAddress == "")
		q.when("null mac", a.MacAddress == nil && a.IPAddress != nil)
		q.when("all-zero mac", value(a.MacAddress) == "000000000000")
		q.when("adapter type null", a.Type == nil)
		q.when("shared mac", value(a.MacAddress) == "0050B6A1B2C3")
	}
}

func (q quirks) ofName(name *string) {
	q.when("no name", name == nil)
	if name == nil {
		return
	}
	label, _, dotted := strings.Cut(*name, ".")
	q.when("name in mixed case", strings.ToLower(label) != label && strings.ToUpper(label) != label)
	q.when("bare name", !dotted)
	q.when("very long name", len(*name) > 255)
	q.when("name beyond ASCII", strings.ContainsFunc(*name, func(r rune) bool { return r > unicode.MaxASCII }))
}

func (q quirks) ofTime(before, now map[string]*Machine) {
	for id, m := range now {
		o := before[id]
		if q.when("appears", o == nil); o == nil {
			continue
		}
		q.when("changes its group", m.RbacGroupID != o.RbacGroupID)
		q.when("changes its tags", !slices.Equal(m.MachineTags, o.MachineTags))
		q.when("changes its address", value(m.LastIPAddress) != value(o.LastIPAddress))
		q.when("changes its build", m.OSBuild != nil && o.OSBuild != nil && *m.OSBuild != *o.OSBuild)
		q.when("changes its version", value(m.Version) != value(o.Version))
		q.when("changes its risk", value(m.RiskScore) != value(o.RiskScore))
		q.when("changes its health", m.HealthStatus != o.HealthStatus)
		q.when("goes stale", m.HealthStatus == "Inactive" && o.HealthStatus == "Active")
		q.when("is merged", m.MergedIntoMachineID != nil && o.MergedIntoMachineID == nil)
		q.when("stays silent", value(m.LastSeen) == value(o.LastSeen) && m.LastSeen != nil)
		if m.LastSeen != nil && o.LastSeen != nil {
			q.when("reports after about 24 hours", parse(*m.LastSeen).Sub(parse(*o.LastSeen)).Round(time.Hour) == 24*time.Hour)
		}
	}
	for id := range before {
		q.when("vanishes from the list", now[id] == nil)
	}
}

func (q quirks) ofAntivirus(d *Day) {
	for v := range d.AntivirusHealth() {
		q.when("scan result empty", value(v.FullScanResult) == "" && v.FullScanResult != nil)
		q.when("scan result -", value(v.QuickScanResult) == "-")
		q.when("scan error", value(v.QuickScanError) == "0x80508023")
		for _, flag := range []string{"True", "False", "Unknown"} {
			q.when("flag "+flag, value(v.AVIsSignatureUpToDate) == flag)
		}
		q.when("antivirus osVersion null", v.OSVersion == nil)
		q.when("antivirus without machineId", v.MachineID == nil)
		q.when("antivirus with an id of its own", v.MachineID != nil && *v.MachineID != v.ID)
		q.when("antivirus mode empty", v.AVMode != nil && *v.AVMode == "")
		q.when("antivirus group Unassigned", value(v.RbacGroupName) == "Unassigned" && v.RbacGroupID != nil && *v.RbacGroupID == 0)
	}
}

func (q quirks) ofVulnerabilities(d *Day, listed map[string]*Machine) {
	twice, seen := map[string]string{}, map[string]map[string]bool{}
	updates := map[string]map[string]bool{}
	own, pairs, differ := map[string]bool{}, map[string]string{}, false
	for _, g := range d.Groups() {
		for r := range d.Vulnerabilities(g.ID) {
			m := listed[*r.DeviceID]
			q.when("row of a machine that is not listed", m == nil)
			q.when("row of a merged machine", m != nil && m.MergedIntoMachineID != nil)
			q.when("Linux in rows, a distribution in the list", m != nil && value(r.OSPlatform) == "Linux" && value(m.OSPlatform) == "Ubuntu")
			q.when("row of group Unassigned", r.RbacGroupID == 0 && value(r.RbacGroupName) == "Unassigned")
			q.when("row without a device name", r.DeviceName == nil)
			q.when("row without a version", r.SoftwareVersion == nil)
			q.when("row without first seen", r.FirstSeenTimestamp == nil)
			q.when("row time without a zone", r.LastSeenTimestamp != nil && !strings.ContainsAny(*r.LastSeenTimestamp, "TZ"))
			q.when("null CVE", r.CVEID == nil)
			q.when("TVM id", strings.HasPrefix(value(r.CVEID), "TVM-"))
			q.when("path with quotes", quoted(r.DiskPaths))
			q.when("path beyond ASCII", slices.ContainsFunc(r.DiskPaths, func(s string) bool { return strings.Contains(s, "zähler") }))
			q.when("no path", len(r.DiskPaths) == 0)
			q.when("no update", r.RecommendedSecurityUpdate == nil)
			q.when("end of support", value(r.EndOfSupportStatus) == "EOS Version")
			if r.CVEID == nil || r.SoftwareVersion == nil {
				continue
			}
			at := value(r.LastSeenTimestamp)
			q.when("row twice", twice[*r.ID] != "")
			twice[*r.ID] = at
			if seen[*r.DeviceID] == nil {
				seen[*r.DeviceID] = map[string]bool{}
			}
			seen[*r.DeviceID][at] = true
			key := *r.SoftwareVendor + *r.SoftwareName + *r.SoftwareVersion + *r.CVEID
			if updates[key] == nil {
				updates[key] = map[string]bool{}
			}
			updates[key][value(r.RecommendedSecurityUpdateID)] = true
			pair := *r.DeviceID + *r.SoftwareVendor + *r.SoftwareName + *r.SoftwareVersion
			paths := strings.Join(r.DiskPaths, "|")
			differ = differ || pairs[pair] != "" && pairs[pair] != paths
			pairs[pair] = paths
			own[pair] = strings.Contains(paths, `C:\Users\`) || strings.Contains(paths, "/home/")
		}
	}
	q.when("the CVEs of one software on one machine share their paths", !differ)
	for _, ids := range updates {
		q.when("two updates for one software version", len(ids) > 1)
	}
	for _, times := range seen {
		q.when("rows of one machine with two times", len(times) > 1)
	}
	mine := 0
	for _, is := range own {
		if is {
			mine++
		}
	}
	q.when("four of ten pairs have paths of their own", mine*100 > len(own)*25 && mine*100 < len(own)*45)
}

func (q quirks) ofOtherRows(d *Day) {
	for _, g := range d.Groups() {
		for r := range d.NonCPESoftware(g.ID) {
			q.when("software name beyond ASCII", strings.Contains(value(r.SoftwareName), "®"))
			q.when("software without a vendor", r.SoftwareVendor == nil)
			q.when("software with a registry path", r.RegistryPath != nil)
		}
		for r := range d.Software(g.ID) {
			q.when("weaknesses", r.NumberOfWeaknesses > 0)
			q.when("no weaknesses", r.NumberOfWeaknesses == 0)
		}
		for r := range d.Configurations(g.ID) {
			q.when("not applicable and not compliant", !r.IsApplicable && !r.IsCompliant)
			q.when("compliant", r.IsCompliant)
			q.when("category with a blank", value(r.ConfigurationCategory) == "Security controls")
			q.when("empty subcategory", r.ConfigurationSubcategory != nil && *r.ConfigurationSubcategory == "")
			q.when("check without a name", r.ConfigurationName == nil)
		}
		for r := range d.Information(g.ID) {
			q.when("Uptodate", strings.Contains(*r.DeviceGatheredInfo, `"AvIsSignatureUptoDate"`))
			q.when("UpToDate", strings.Contains(*r.DeviceGatheredInfo, `"AvIsSignatureUpToDate"`))
		}
	}
}

func (q quirks) ofCatalogue(w *World) {
	first := map[string]Vulnerability{}
	for v := range w.Day(0).Catalogue() {
		first[v.ID] = *v
		q.when("exposes nobody", v.ExposedMachines == 0)
		q.when("exposes many", v.ExposedMachines > 100)
		q.when("no vector", v.CVSSVector == nil)
		q.when("CVSS 4.0", strings.HasPrefix(value(v.CVSSVector), "CVSS:4.0"))
	}
	midnight := w.Epoch().AddDate(0, 0, 1)
	for v := range w.Day(9).Catalogue() {
		o, known := first[v.ID]
		q.when("CVE is published", !known)
		changed := known && (value(o.Severity) != value(v.Severity) || o.CVSSV3 != v.CVSSV3)
		q.when("severity or score changes", changed)
		if changed {
			q.when("a change has a new date", !parse(v.UpdatedOn).Before(midnight))
		}
	}
}

// TestFindingsComeAndGo: updates fix in the old version and open in the new with the time
// carried over; findings vanish and come back; rows of the silent are dropped.
func TestFindingsComeAndGo(t *testing.T) {
	w := NewWorld(Options{Devices: 300})
	type key struct{ machine, vendor, name, cve string }
	type at struct{ version, first string }
	days := make([]map[key]at, 10)
	groups := make([]map[int64]bool, 10)
	for n := range days {
		days[n], groups[n] = map[key]at{}, map[int64]bool{}
		for _, g := range w.Day(n).Groups() {
			groups[n][g.ID] = true
			for r := range w.Day(n).Vulnerabilities(g.ID) {
				days[n][key{*r.DeviceID, *r.SoftwareVendor, *r.SoftwareName, *r.CVEID}] = at{value(r.SoftwareVersion), value(r.FirstSeenTimestamp)}
			}
		}
	}
	q := quirks{}
	for k, now := range days[9] {
		was, had := days[8][k]
		q.when("carried over to the new version", had && was.version != now.version && was.first == now.first)
		_, first := days[0][k]
		q.when("opened", !first)
		gone := slices.ContainsFunc(days[1:9], func(d map[key]at) bool { _, ok := d[k]; return !ok })
		q.when("came back", first && gone)
	}
	for k := range days[0] {
		_, ok := days[9][k]
		q.when("closed", !ok)
	}
	id := w.id(silentTillDayTwo.index())
	has := func(n int, id string) bool {
		for k := range days[n] {
			if k.machine == id {
				return true
			}
		}
		return false
	}
	q.when("rows of the silent are dropped", has(0, id) && has(1, id) && !has(2, id))
	id = w.id(backOnDayTwo.index())
	q.when("rows come back with the machine", !has(1, id) && has(2, id))
	q.when("a device group's folder is missing for a day", groups[1][909] && !groups[2][909] && groups[3][909])
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !q[name] {
			t.Errorf("never: %s", name)
		}
	}
}

// TestExposedMachinesIsTheTrueCount compares the catalogue with the rows.
func TestExposedMachinesIsTheTrueCount(t *testing.T) {
	d := NewWorld(Options{Devices: 150, Seed: 4}).Day(1)
	listed := map[string]bool{}
	for m := range d.Machines() {
		listed[m.ID] = true
	}
	machines := map[string]map[string]bool{}
	for _, g := range d.Groups() {
		for r := range d.Vulnerabilities(g.ID) {
			if machines[*r.CVEID] == nil {
				machines[*r.CVEID] = map[string]bool{}
			}
			if listed[*r.DeviceID] {
				machines[*r.CVEID][*r.DeviceID] = true
			}
		}
	}
	last := ""
	for v := range d.Catalogue() {
		if v.ID <= last {
			t.Fatalf("%s comes after %s", v.ID, last)
		}
		last = v.ID
		if int64(len(machines[v.ID])) != v.ExposedMachines {
			t.Errorf("%s exposes %d machines, the catalogue says %d", v.ID, len(machines[v.ID]), v.ExposedMachines)
		}
		delete(machines, v.ID)
	}
	if len(machines) > 0 {
		t.Errorf("%d CVEs of rows are not in the catalogue", len(machines))
	}
}
