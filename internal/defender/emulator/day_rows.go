package emulator

import (
	"iter"
	"strings"
)

// reporting yields the machines with rows in a group's folder.
func (d *Day) reporting(group int64) iter.Seq[*host] {
	return func(yield func(*host) bool) {
		for m := range d.hosts() {
			if m.reports && groups[m.group].id == group && !d.lost(m.group) && !yield(m) {
				return
			}
		}
	}
}

// paths of an item: those of its product, or, for 40 of 100 that have any, the machine's own.
func (m *host) paths(i *item) (disk, registry []string) {
	kind := platforms[m.system].kind
	disk, registry = i.p.disk[kind], i.p.registry
	if kind != onWindows {
		registry = nil
	}
	h := mix(i.h, uint64(i.version))
	if len(disk) == 0 || h%100 >= 40 {
		return disk, registry
	}
	user := givenNames[h>>8%uint64(len(givenNames))]
	if kind != onWindows {
		own := "/home/" + user + "/." + i.p.name + "/" + i.release().text + "/" + i.p.name
		return []string{own, disk[0]}, nil
	}
	file := disk[0][strings.LastIndexByte(disk[0], '\\')+1:]
	own := []string{`C:\Users\` + user + `\AppData\Local\Programs\` + i.p.name + `\` + i.release().text + `\` + file}
	if h>>16%4 == 0 {
		own = append(own, disk[0])
	}
	if h>>18%5 == 0 {
		registry = []string{`HKEY_USERS\S-1-5-21-2944539346-1310925172-2349113062-` + i.release().text + `\SOFTWARE\` + i.p.vendor + `\` + i.p.name}
	}
	return own, registry
}

// edition is the software version as rows name it; now and then the source has none.
func (i *item) edition() *string {
	if i.h>>32%50 > 0 && i.h>>24%499 == 1 {
		return nil
	}
	return &i.release().text
}

// Software yields a group's inventory rows; a row is valid until the next.
func (d *Day) Software(group int64) iter.Seq[*AssetSoftware] {
	return func(yield func(*AssetSoftware) bool) {
		var r AssetSoftware
		var x exposure
		var items []item
		for m := range d.reporting(group) {
			x.of(m)
			items = m.items(items[:0], m.seen)
			id := m.w.id(m.index)
			r = AssetSoftware{DeviceID: &id, DeviceName: m.dnsName(), OSPlatform: &platforms[m.system].assess}
			r.RbacGroupID, r.RbacGroupName = m.rbac()
			for k := range items {
				i := &items[k]
				r.SoftwareVendor, r.SoftwareName, r.SoftwareVersion = &i.p.vendor, &i.p.name, i.edition()
				r.DiskPaths, r.RegistryPaths = m.paths(i)
				r.NumberOfWeaknesses = 0
				for f := range i.release().known(m.w.catalogue.flaws, m.seen) {
					if _, ok := x.sighting(i, f); ok {
						r.NumberOfWeaknesses++
					}
				}
				r.SoftwareFirstSeenTimestamp = m.w.plain(reportTicks(i.installed, i.h%86400, fraction(i.h>>8)))
				r.EndOfSupportStatus, r.EndOfSupportDate = i.release().endStatus, i.release().endDate
				if !yield(&r) || i.h>>20%2000 == 0 && !yield(&r) { // some rows come twice
					return
				}
			}
		}
	}
}

// NonCPESoftware yields a group's rows of software without a product code.
func (d *Day) NonCPESoftware(group int64) iter.Seq[*AssetNonCPESoftware] {
	return func(yield func(*AssetNonCPESoftware) bool) {
		var r AssetNonCPESoftware
		for m := range d.reporting(group) {
			id := m.w.id(m.index)
			r = AssetNonCPESoftware{DeviceID: &id, DeviceName: m.dnsName(), OSPlatform: &platforms[m.system].assess, SoftwareLastSeenTimestamp: m.w.plain(m.lastTicks)}
			r.RbacGroupID, r.RbacGroupName = m.rbac()
			for k := range bundles {
				h := mix(m.h, 50, uint64(k))
				if h%100 >= 46 {
					continue
				}
				b := &bundles[k]
				r.SoftwareVendor, r.SoftwareName = &b.vendor, &b.name
				if h>>8%40 == 0 {
					r.SoftwareVendor = nil
				}
				version := bundleVersions[(int(h>>16%4)+(m.seen+1000+int(h>>24%90))/90)%len(bundleVersions)]
				r.SoftwareVersion, r.RegistryPath = &version, nil
				if h>>32%2 == 0 {
					r.RegistryPath = new(`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\` + b.name)
				}
				if !yield(&r) {
					return
				}
			}
		}
	}
}

var bundleVersions = []string{"1.0.0", "1.2.14", "11.11.31111.1", "2.0.0-beta.3", "22.20.2.2", "60.273.3", "3.1", "2024.11"}
