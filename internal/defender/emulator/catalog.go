package emulator

import (
	"cmp"
	"slices"
	"strconv"
)

// The catalogue spans these days; later than the last one nothing new is published.
const (
	firstRelease = -420
	lastRelease  = 400
)

// flaw is one CVE, or a temporary TVM id.
type flaw struct {
	id        string
	number    uint64 // what decides which machines have it
	disclosed int    // day
	until     int    // first day on which it is known by another id; 0 = for ever
	severity  string
	score     float64
	exploit   string
	changes   int // day on which severity, score and exploit become the later ones; 0 = never
	later     struct {
		severity, exploit string
		score             float64
	}
}

// release is one version of a product.
type release struct {
	text      string
	day       int
	endStatus *string
	endDate   *string
	flaws     []int32 // open in this version, by day of disclosure
	fixes     []int32 // parallel: the version that fixes each, -1 = none yet
}

// product is one software with all its versions.
type product struct {
	title
	index     int
	reference string // recommendationReference
	releases  []release
	chance    [8]float64  // by kind: how likely a machine has it
	perSystem bool        // the recommended update differs by operating system
	disk      [8][]string // by kind
	registry  []string
	updates   [][]update // by version, then by system where perSystem
}

// catalogue is every product and CVE of a world.
type catalogue struct {
	seed     uint64
	products []product // the systems first, one per platform
	flaws    []flaw
	byID     []int32 // flaws by id
	checks   []check
}

const itemsPerMachine = 46 // expected products with a product code, the system not counted

func newCatalogue(seed uint64) *catalogue {
	c := &catalogue{seed: mix(seed, 0xca7)}
	var windows []int32
	for i := range platforms {
		p := &platforms[i]
		at := c.add(title{p.vendor, p.name, p.kind, p.versionStyle, p.flaws, ""})
		if p.kind != onWindows {
			c.afflict(at, c.disclose(at, p.flaws))
			continue
		}
		if windows == nil { // the Windows releases share their CVEs
			windows = c.disclose(at, p.flaws)
		}
		c.afflict(at, windows)
	}
	for _, t := range c.titles() {
		at := c.add(t)
		c.afflict(at, c.disclose(at, t.flaws))
	}
	c.popularity()
	c.writeChecks()
	c.byID = make([]int32, len(c.flaws))
	for i := range c.byID {
		c.byID[i] = int32(i)
	}
	slices.SortFunc(c.byID, func(a, b int32) int { return cmp.Compare(c.flaws[a].id, c.flaws[b].id) })
	return c
}

// titles is the list of names.go and the rarer ones made of makers and wares.
func (c *catalogue) titles() []title {
	all := slices.Clone(titles)
	for i, maker := range makers {
		for j, ware := range wares {
			h := mix(c.seed, 1, uint64(i), uint64(j))
			t := title{maker, ware, onWindows, []string{"semver", "quad", "year"}[h%3], int(h >> 8 % 12), `C:\Program Files\` + maker + `\` + ware + `\` + ware + `.exe`}
			switch h >> 16 % 4 {
			case 0:
				t.kinds |= onLinux
			case 1:
				t.kinds |= onMac
			case 2:
				t.path = ""
			}
			all = append(all, t)
		}
	}
	return all
}

func (c *catalogue) add(t title) int {
	at := len(c.products)
	h := mix(c.seed, 2, uint64(at))
	p := product{title: t, index: at, reference: "va-_-" + t.vendor + "-_-" + t.name, perSystem: t.style == "framework" || h%11 == 0}
	if t.path != "" {
		p.disk[onWindows], p.disk[onLinux], p.disk[onMac] = []string{t.path}, []string{"/usr/bin/" + t.name}, []string{"/Applications/" + t.name + ".app"}
		if t.path[0] == '/' {
			p.disk[onLinux] = []string{t.path}
		}
	}
	if h>>8%3 > 0 && t.kinds&onWindows != 0 {
		p.registry = []string{`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{` + guid(h, mix(h)) + `}`}
	}
	every := 24 + int(h>>16%60)
	if t.style == "windows" || t.style == "browser" {
		every = 28
	}
	last := firstRelease - every
	for k := 0; ; k++ {
		day := firstRelease + k*every
		if t.style != "windows" { // Windows releases fall on one day
			day += int(mix(h, uint64(k))%9) + int(h>>24%17)
		}
		if day > lastRelease {
			break
		}
		p.releases = append(p.releases, release{text: c.versionText(at, t.style, h, k), day: max(day, last+1)})
		last = day
	}
	c.supportEnds(&p, h)
	c.writeUpdates(&p)
	c.products = append(c.products, p)
	return at
}

// supportEnds gives the oldest versions of some products an end of support.
func (c *catalogue) supportEnds(p *product, h uint64) {
	if h>>32%4 > 0 {
		return
	}
	for k := range p.releases {
		r := &p.releases[k]
		status, date := "None", ""
		switch ago := -r.day; {
		case ago > 250:
			status, date = "EOS Version", "2026-05-11T00:00:00+00:00"
		case ago > 180:
			status, date = "Upcoming EOS Version", "2027-01-12"
		}
		if r.endStatus = &status; date != "" {
			r.endDate = &date
		}
	}
}

func (c *catalogue) versionText(at int, style string, h uint64, k int) string {
	n := func(parts ...int) string {
		var b []byte
		for i, p := range parts {
			if i > 0 {
				b = append(b, '.')
			}
			b = strconv.AppendInt(b, int64(p), 10)
		}
		return string(b)
	}
	major, minor := 1+int(h>>8%20), int(h>>20%12)
	patch := int(mix(h, 3, uint64(k)) % 90)
	switch style {
	case "windows":
		return platforms[at].assessPrefix + "." + n(3900+k*170+patch)
	case "browser":
		return n(118+k, 0, 2200+k*61+patch, 40+patch)
	case "office":
		return n(16, 0, 16800+k*97, 20000+patch*13)
	case "framework":
		return n(4, 8+k/8, 4000+k*30, patch)
	case "java":
		return n(8, 0, 300+k*10, patch%20)
	case "rpm":
		return "0:5.14.0-" + n(360+k*12, patch%30, 1) + ".el9_4"
	case "kernel":
		return "5.15.0-" + n(70+k*4) + "." + n(80+k*4+patch%3)
	case "mac":
		return n(14+k/8, k%8, patch%3)
	case "year":
		return n(2024+k/8, 1+k%8, patch)
	case "quad":
		return n(major, minor+k/4, k%4, 1000+k*37+patch)
	case "short":
		return strconv.Itoa(major) + "." + leftPad(minor*10+k)
	case "agent":
		return n(10, 8700+k*15, 22621+patch, 1+patch)
	}
	return n(major, minor+k/5, k%5)
}

func leftPad(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

// disclose makes n CVEs whose days lie between the first and the last release.
func (c *catalogue) disclose(at, n int) []int32 {
	var made []int32
	for i := range n {
		h := mix(c.seed, 4, uint64(at), uint64(i))
		f := flaw{number: h, disclosed: firstRelease + 20 + int(h%uint64(lastRelease-firstRelease-100)), exploit: "NoExploit"}
		f.severity, f.score = grade(mix(h, 1))
		f.exploit = exploits[skew(mix(h, 2))]
		if h>>40%50 == 0 {
			f.changes = 1 + int(h>>20%12)
			f.later.severity, f.later.score = grade(mix(h, 3))
			f.later.exploit = exploits[min(3, skew(mix(h, 2))+1)]
		}
		year := 2026
		if f.disclosed > 60 {
			year = 2027
		} else if f.disclosed < -304 {
			year = 2025
		}
		f.id = "CVE-" + strconv.Itoa(year) + "-" + strconv.Itoa(20000+len(c.flaws)*7+int(h>>50%7))
		switch {
		case h>>30%997 == 5: // a temporary id
			f.id = "TVM-2026-" + strconv.Itoa(1000+len(c.flaws)%9000)
		case at == 0 && i == 7: // one that gets its CVE on day 3
			f.id, f.disclosed, f.until, f.changes = "TVM-2026-0002", -30, 3, 0
		case at == 0 && i == 8:
			twin := c.flaws[len(c.flaws)-1]
			f.number, f.disclosed, f.severity, f.score, f.changes = twin.number, 3, twin.severity, twin.score, 0
		}
		made = append(made, int32(len(c.flaws)))
		c.flaws = append(c.flaws, f)
	}
	return made
}

var exploits = []string{"NoExploit", "ExploitIsPublic", "ExploitIsVerified", "ExploitIsInKit"}

func skew(h uint64) int {
	switch n := h % 100; {
	case n < 84:
		return 0
	case n < 94:
		return 1
	case n < 98:
		return 2
	}
	return 3
}

func grade(h uint64) (string, float64) {
	switch n := h % 100; {
	case n < 8:
		return "Critical", 9 + float64(h>>8%10)/10
	case n < 50:
		return "High", 7 + float64(h>>8%20)/10
	case n < 92:
		return "Medium", 4 + float64(h>>8%30)/10
	case n < 99:
		return "Low", 1 + float64(h>>8%29)/10
	}
	return "None", 0
}

// afflict says which versions of a product have which of the flaws, and what fixes them.
func (c *catalogue) afflict(at int, flaws []int32) {
	p := &c.products[at]
	slices.SortStableFunc(flaws, func(a, b int32) int { return cmp.Compare(c.flaws[a].disclosed, c.flaws[b].disclosed) })
	for _, id := range flaws {
		f := &c.flaws[id]
		h := mix(f.number, 9)
		fixed := slices.IndexFunc(p.releases, func(r release) bool { return r.day >= f.disclosed-10+int(h%24) })
		if f.until > 0 || f.disclosed == 3 && f.number == c.flaws[max(id-1, 0)].number {
			fixed = -1 // neither the temporary id nor its CVE has a fix
		}
		end := fixed
		if end < 0 {
			end = len(p.releases)
		}
		first := max(0, end-2-int(h>>8%7))
		if fixed < 0 {
			first = max(0, end/2-3)
		}
		for k := first; k < end; k++ {
			p.releases[k].flaws = append(p.releases[k].flaws, id)
			p.releases[k].fixes = append(p.releases[k].fixes, int32(fixed))
		}
	}
}

// popularity gives every product its chance on each kind of system: a Zipf curve over
// the order of titles, scaled so that a machine has itemsPerMachine of them on average.
func (c *catalogue) popularity() {
	for _, kind := range []int{onWindows, onLinux, onMac} {
		curve := func(scale float64, set bool) (sum float64) {
			rank := 0.0
			for i := len(platforms); i < len(c.products); i++ {
				p := &c.products[i]
				if p.kinds&kind == 0 {
					continue
				}
				chance := min(0.97, scale/(rank+12))
				if sum, rank = sum+chance, rank+1; set {
					p.chance[kind] = chance
				}
			}
			return sum
		}
		low, high := 0.0, 4000.0
		for range 60 {
			if middle := (low + high) / 2; curve(middle, false) < itemsPerMachine {
				low = middle
			} else {
				high = middle
			}
		}
		curve(high, true)
	}
}
