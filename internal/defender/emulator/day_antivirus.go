package emulator

import "strconv"

// antivirus is the machine's row of /api/deviceavinfo.
func (m *host) antivirus() *DeviceAVInfo {
	s := &platforms[m.system]
	h := mix(m.h, 40)
	id := m.w.id(m.index)
	group, name := m.rbac()
	r := &DeviceAVInfo{
		ID: id, MachineID: &id, ComputerDNSName: m.dnsName(), OSKind: pick(uint64(s.kind)/2, "windows", "linux", "mac"), OSPlatform: &s.assess, OSVersion: m.systemVersion(),
		AVMode: pick(skewed(h, 75), "0", "1", "4", "2", "3", "5", ""), LastSeenTime: *m.w.zulu(m.lastTicks), DataRefreshTimestamp: *m.w.zulu(m.lastTicks), RbacGroupName: name, RbacGroupID: &group,
		QuickScanResult: pick(0, "-"), QuickScanError: pick(0, ""), FullScanResult: pick(0, "-"), FullScanError: pick(0, ""),
		AVIsSignatureUpToDate: pick(skewed(h>>8, 85), "True", "False", "Unknown"), AVIsEngineUpToDate: pick(skewed(h>>16, 90), "True", "False", "Unknown"), AVIsPlatformUpToDate: pick(skewed(h>>24, 80), "True", "False", "Unknown"),
	}
	switch h >> 32 % 10 {
	case 0:
		r.ID = guid(h, mix(h, 1)) // a row's own id
	case 1:
		r.MachineID = nil // the row's id is the machine's
	case 2:
		r.OSVersion = nil
	}
	if s.kind == onWindows {
		m.windowsAntivirus(r, h)
	} else {
		r.AVSignatureVersion, r.AVEngineVersion, r.AVPlatformVersion = nil, nil, new("101.24092."+strconv.Itoa(int(h%9)))
	}
	return r
}

// skewed is 0 for so many of a hundred, else something else.
func skewed(h uint64, percent uint64) uint64 {
	if h%100 < percent {
		return 0
	}
	return 1 + h>>8%64
}

// windowsAntivirus fills what only Defender Antivirus on Windows knows.
func (m *host) windowsAntivirus(r *DeviceAVInfo, h uint64) {
	report := int64(m.seen-1) * perDay
	week := (m.seen + 7000) / 7
	r.AVSignatureVersion = new("1." + strconv.Itoa(400+week-990) + "." + strconv.Itoa((m.seen+7000)%7*190+int(h%190)) + ".0")
	r.AVEngineVersion = new("1.1.24" + strconv.Itoa(100+week/4%100) + "." + strconv.Itoa(int(h%3)))
	r.AVPlatformVersion = new("4.18.24" + strconv.Itoa(100+week/4%100) + "." + strconv.Itoa(int(h>>4%8)))
	at := func(daysAgo int, what uint64) *string {
		k := mix(m.h, 41, what, uint64(m.seen-daysAgo+1000))
		return m.w.zulu(report - int64(daysAgo)*perDay + int64(k%86400)*perSecond/4 + fraction(k)/4)
	}
	r.QuickScanResult, r.QuickScanTime = pick(skewed(h>>12, 88), "Completed", "Canceled", "Failed", ""), at((m.seen+70)%7, 0)
	switch *r.QuickScanResult {
	case "Failed":
		r.QuickScanError = new("0x80508023")
	case "":
		r.QuickScanTime = nil
	}
	r.FullScanResult = new("")
	if h>>20%3 == 0 {
		r.FullScanResult, r.FullScanTime = new("Completed"), at((m.seen+280)%28, 1)
	}
	r.AVEngineUpdateTime, r.AVSignatureUpdateTime, r.AVPlatformUpdateTime = at((m.seen+280)%28, 2), at(0, 3), at((m.seen+300)%30, 4)
	r.AVSignaturePublishTime, r.AVSignatureDataRefreshTime, r.AVModeDataRefreshTime = at(1, 5), at(0, 6), at(0, 6)
	r.CloudProtectionState = pick(skewed(h>>28, 90), "Enabled", "Disabled", "Unknown")
}
