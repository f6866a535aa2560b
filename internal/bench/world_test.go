package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// params make a world; the same ones make the same files, byte for byte.
type params struct {
	Seed     uint64
	Devices  int
	Versions int     // software versions
	CVEs     int     // all there are
	ZipfS    float64 // how software is shared among devices
	ZipfV    float64
	OwnPaths int // percent of the pairs of machine and software version with paths of their own
	Files    int
	Page     int // machines in one answer of their list
}

var standard = params{Seed: 1, Devices: 10_000, Versions: 3_000, CVEs: 8_000, ZipfS: 1.15, ZipfV: 30, OwnPaths: 40, Files: 20, Page: 10_000}

// format is counted up when the same params would make other files.
const format = 1

func (p params) key() string {
	return fmt.Sprintf("v%d-seed%d-%d-%d-%d-%g-%g-%d-%d", format, p.Seed, p.Devices, p.Versions, p.CVEs, p.ZipfS, p.ZipfV, p.OwnPaths, p.Files)
}

// The sets of files: a day, the next one on which 1% has changed on few machines, and
// the one after, on which 1% has changed here and there. A changed row names another
// CVE: one finding less and one more, so half a percent of the rows makes one of findings.
const (
	base = iota
	clustered
	scattered
	sets
)

const (
	clusterDevices = 50  // one of so many devices is in the cluster
	clusterRows    = 250 // permille of a cluster device's rows that change
	scatterRows    = 5   // permille of all rows that change
)

// world is who has what.
type world struct {
	params
	versions []version
	devices  []device
	rows     int
}

type version struct {
	cves, next []uint16 // next replaces cves where a row changes
}

type device struct{ items []item }

// item is a software version on a device with its first so many CVEs.
type item struct{ version, cves uint16 }

func newWorld(p params) *world {
	w := &world{params: p, versions: make([]version, p.Versions), devices: make([]device, p.Devices)}
	random := rand.New(rand.NewPCG(p.Seed, 1))
	for i := range w.versions {
		w.versions[i] = w.version(random)
	}
	shared := rand.NewZipf(random, p.ZipfS, p.ZipfV, uint64(p.Versions-1))
	for i := range w.devices {
		left := 50 + random.IntN(101)
		w.rows += left
		have := map[uint16]bool{}
		for left > 0 {
			v := uint16(shared.Uint64())
			if have[v] {
				continue
			}
			have[v] = true
			n := min(left, len(w.versions[v].cves))
			w.devices[i].items = append(w.devices[i].items, item{v, uint16(n)})
			left -= n
		}
	}
	return w
}

func (w *world) version(random *rand.Rand) version {
	n := 4 + random.IntN(20)
	all := make([]uint16, 0, 2*n)
	known := map[uint16]bool{}
	for len(all) < 2*n {
		if c := uint16(random.IntN(w.CVEs)); !known[c] {
			known[c] = true
			all = append(all, c)
		}
	}
	return version{all[:n], all[n:]}
}

// row is one finding: the n-th of a device.
type row struct{ device, n uint32 }

// shuffled lists all rows in the order of the files.
func (w *world) shuffled() []row {
	rows := make([]row, 0, w.rows)
	for d := range w.devices {
		n := uint32(0)
		for _, i := range w.devices[d].items {
			for range i.cves {
				rows = append(rows, row{uint32(d), n})
				n++
			}
		}
	}
	random := rand.New(rand.NewPCG(w.Seed, 2))
	random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}

// changed tells whether a row names its other CVE in a set.
func (w *world) changed(set int, r row) bool {
	hit := func(n uint64, permille uint64) bool { return w.hash(n, uint64(r.device), uint64(r.n))%1000 < permille }
	return set >= clustered && r.device%clusterDevices == 0 && hit(3, clusterRows) || set >= scattered && hit(4, scatterRows)
}

// hash draws what need not be remembered.
func (w *world) hash(values ...uint64) uint64 {
	h := w.Seed
	for _, v := range values {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
		h *= 0xbf58476d1ce4e5b9
		h ^= h >> 32
	}
	return h
}

func (p params) machineID(device int) string {
	w := world{params: p}
	return fmt.Sprintf("%016x%016x%08x", w.hash(5, uint64(device)), w.hash(6, uint64(device)), device)
}

func machineName(device int) string { return fmt.Sprintf("host-%06d.corp.contoso.com", device) }

var (
	severities = [...]string{"Low", "Medium", "Medium", "High", "High", "High", "Critical"}
	exploits   = [...]string{"NoExploit", "NoExploit", "NoExploit", "ExploitIsPublic", "ExploitIsVerified"}
)

// appendRow writes one row as export files have it (PascalCase, one line).
func (w *world) appendRow(buf []byte, set int, r row) []byte {
	n, at := r.n, 0
	items := w.devices[r.device].items
	for ; n >= uint32(items[at].cves); at++ {
		n -= uint32(items[at].cves)
	}
	v := int(items[at].version)
	cves := w.versions[v].cves
	if w.changed(set, r) {
		cves = w.versions[v].next
	}
	cve := int(cves[n])
	c, d, vendor := w.hash(7, uint64(cve)), int(r.device), v%97
	id := w.machineID(d)
	buf = fmt.Appendf(buf, `{"Id":"%s_vendor%d_product_%d_%d.0.%d_CVE-2025-%05d","DeviceId":"%s","RbacGroupId":%d,"RbacGroupName":"Group %d","DeviceName":"%s",`,
		id, vendor, v, v%9, v%7, cve, id, d%20, d%20, machineName(d))
	buf = fmt.Appendf(buf, `"OSPlatform":"Windows11","OSVersion":"10.0.22631.%d","OSArchitecture":"x64","SoftwareVendor":"vendor%d","SoftwareName":"product_%d","SoftwareVersion":"%d.0.%d","CveId":"CVE-2025-%05d",`,
		d%50, vendor, v, v%9, v%7, cve)
	buf = fmt.Appendf(buf, `"VulnerabilitySeverityLevel":"%s","RecommendedSecurityUpdate":"May 2025 Security Updates","RecommendedSecurityUpdateId":"50%05d","RecommendedSecurityUpdateUrl":"https://catalog.update.microsoft.com/v7/site/Search.aspx?q=KB50%05d",`,
		severities[c%uint64(len(severities))], v, v)
	buf = w.appendPaths(buf, d, v)
	seen := w.hash(8, uint64(d), uint64(v), uint64(cve))
	buf = fmt.Appendf(buf, `"LastSeenTimestamp":"2025-06-01 %02d:%02d:00","FirstSeenTimestamp":"2025-%02d-%02d %02d:%02d:%02d.%07d",`,
		d%24, d%60, 1+seen%5, 1+seen>>8%28, seen>>16%24, seen>>24%60, seen>>32%60, seen>>40%10_000_000)
	buf = fmt.Appendf(buf, `"EndOfSupportStatus":"Upcoming EOS Version","EndOfSupportDate":"2027-10-12","ExploitabilityLevel":"%s","RecommendationReference":"va-_-vendor%d-_-product_%d","CvssScore":%d.%d,"SecurityUpdateAvailable":%s,"IsOnboarded":true}`,
		exploits[c>>8%uint64(len(exploits))], vendor, v, 1+c>>16%9, c>>24%10, strconv.FormatBool(v%10 > 0))
	return append(buf, '\n')
}

func (w *world) appendPaths(buf []byte, d, v int) []byte {
	own := w.hash(9, uint64(d), uint64(v))
	if own%100 < uint64(w.OwnPaths) {
		return fmt.Appendf(buf, `"DiskPaths":["C:\\Users\\user%06d\\AppData\\Local\\Programs\\Vendor %d\\Product %d\\%08x\\product.exe"],"RegistryPaths":["HKEY_USERS\\S-1-5-21-%010d-1001\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Product %d"],`,
			d, v%97, v, own>>32, own>>20%1_000_000_0000, v)
	}
	common := w.hash(10, uint64(v))
	return fmt.Appendf(buf, `"DiskPaths":["C:\\Program Files\\Vendor %d\\Product %d\\product.exe"],"RegistryPaths":["HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\{%08x-0000-4000-8000-%012x}"],`,
		v%97, v, uint32(common), common>>16&0xffffffffffff)
}
