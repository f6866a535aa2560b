package emulator

import (
	"iter"
	"strconv"
)

// Information yields a group's information gathering lines; a row is valid until the next.
func (d *Day) Information(group int64) iter.Seq[*InfoGathering] {
	return func(yield func(*InfoGathering) bool) {
		for m := range d.reporting(group) {
			id := m.w.id(m.index)
			at, info := m.w.plain(m.lastTicks), m.gathered()
			r := &InfoGathering{Timestamp: at, LastSeenTime: at, DeviceName: m.dnsName(), OSPlatform: &platforms[m.system].assess, OSVersion: m.systemVersion(), DeviceGatheredInfo: &info, DeviceID: &id}
			r.RbacGroupID, r.RbacGroupName = m.rbac()
			if !yield(r) {
				return
			}
		}
	}
}

// gathered is the JSON inside the string, its keys in the irregular case of the source
// (mde-api §11); a third of the machines spells the flags the other way.
func (m *host) gathered() string {
	a := m.antivirus()
	flags := [3]string{"AvIsSignatureUptoDate", "AvIsEngineUptodate", "AvIsPlatformUptodate"}
	if m.h>>30%3 == 0 {
		flags = [3]string{"AvIsSignatureUpToDate", "AvIsEngineUpToDate", "AvIsPlatformUpToDate"}
	}
	b := []byte{'{'}
	put := func(key string, value *string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), key...), `":`...)
		if value == nil {
			b = append(b, "null"...)
			return
		}
		b = strconv.AppendQuote(b, *value) // plain ASCII throughout, so JSON's quoting too
	}
	put("AvMode", a.AVMode)
	put("AvEngineVersion", a.AVEngineVersion)
	put("AvSignatureVersion", a.AVSignatureVersion)
	put("AvPlatformVersion", a.AVPlatformVersion)
	if a.QuickScanTime == nil {
		put("AvScanResults", nil)
	} else {
		put("AvScanResults", new(`{"Quick":{"ScanStatus":"`+*a.QuickScanResult+`","ErrorCode":"`+*a.QuickScanError+`","Timestamp":"`+*a.QuickScanTime+`"},"Full":null}`))
	}
	put("CloudProtectionState", a.CloudProtectionState)
	put("AvModeDataRefreshTime", a.AVModeDataRefreshTime)
	put("AvEngineUpdateTime", a.AVEngineUpdateTime)
	put("AvSignatureUpdateTime", a.AVSignatureUpdateTime)
	put("AvPlatformUpdateTime", a.AVPlatformUpdateTime)
	put(flags[0], a.AVIsSignatureUpToDate)
	put(flags[1], a.AVIsEngineUpToDate)
	put("AvSignaturePublishTime", a.AVSignaturePublishTime)
	put("AvSignatureRing", pick(m.h>>33, "Broad", "Staged", "Preview"))
	put("Log4j_CVE_2021_44228", nil)
	b = append(append(b, `,"`...), flags[2]...)
	b = append(b, `":`...)
	b = strconv.AppendBool(b, *a.AVIsPlatformUpToDate == "True") // a real boolean
	b = append(b, `,"IsAvEngineLoaded":`...)
	return string(append(strconv.AppendBool(b, m.h>>36%20 > 0), '}'))
}
