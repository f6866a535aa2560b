package emulator

import "sort"

// item is one software version on one machine.
type item struct {
	p         *product
	version   int
	installed int // day
	h         uint64
}

// release of the item.
func (i *item) release() *release { return &i.p.releases[i.version] }

// items appends what is installed on day e: the system itself first, then by catalogue.
func (m *host) items(all []item, e int) []item {
	c := m.w.catalogue
	system := &c.products[m.system]
	h := mix(m.h, 20)
	all = append(all, item{system, system.at(e, 4+int(h%30)), m.born, h})
	kind := platforms[m.system].kind
	for at := len(platforms); at < len(c.products); at++ {
		p := &c.products[at]
		h := mix(m.h, 21, uint64(at))
		if float64(h>>40)/(1<<24) >= p.chance[kind] {
			continue
		}
		i := item{p: p, installed: m.born, h: h}
		switch life := h % 100; {
		case life < 3: // installed one day
			i.installed = max(m.born, -20+int(h>>8%50))
		case life < 5 && e >= -10+int(h>>8%50): // removed one day
			continue
		}
		if e < i.installed {
			continue
		}
		lag := int(h >> 16 % 45)
		if h>>24%100 < 15 { // updated rarely
			lag += int(h >> 16 % 300)
		}
		i.version = p.at(e, lag)
		all = append(all, i)
		if h>>32%50 == 0 && i.version >= 2 { // an older version left behind
			i.version -= 2
			all = append(all, i)
		}
	}
	return all
}

// at is the version that stands on day e where updates come lag days after their release.
func (p *product) at(e, lag int) int {
	n := sort.Search(len(p.releases), func(k int) bool { return p.releases[k].day+lag > e })
	return max(0, n-1)
}

// known counts the flaws of a version that are disclosed by day e.
func (r *release) known(flaws []flaw, e int) int {
	return sort.Search(len(r.flaws), func(k int) bool { return flaws[r.flaws[k]].disclosed > e })
}

// exposure decides which of the flaws of its software a machine shows. Each machine aims
// at 50 to 150 findings at the beginning; later, what happens to its software counts.
type exposure struct {
	m         *host
	threshold uint64 // of 1<<32
	scratch   []item
}

func (x *exposure) of(m *host) {
	x.m = m
	x.scratch = m.items(x.scratch[:0], max(0, m.born))
	could := uint64(0)
	for i := range x.scratch {
		could += uint64(x.scratch[i].release().known(m.w.catalogue.flaws, max(0, m.born)))
	}
	aim := 50 + mix(m.h, 22)%101
	x.threshold = min(1<<32, aim<<32/max(1, could))
}

// sighting is one flaw of an item as a machine shows it.
type sighting struct {
	flaw  *flaw
	fix   int // version that fixes it, -1 = none
	since int // day on which it was first seen
	h     uint64
}

// sighting of the k-th flaw of an item; ok is false where the machine does not show it.
func (x *exposure) sighting(i *item, k int) (s sighting, ok bool) {
	m, r := x.m, i.release()
	s.flaw = &m.w.catalogue.flaws[r.flaws[k]]
	if s.flaw.until > 0 && m.n >= s.flaw.until {
		return s, false
	}
	s.h = mix(m.h, s.flaw.number)
	if s.h&(1<<32-1) >= x.threshold {
		return s, false
	}
	s.fix = int(r.fixes[k])
	s.since = max(m.born, i.installed, s.flaw.disclosed)
	if s.h>>32%64 > 0 {
		return s, true
	}
	// Some come and go; half of those begin anew each time.
	h := mix(s.h)
	period := 5 + int(h%9)
	at := (m.seen + 1000*period + int(h>>8%64)) % period
	away := 1 + int(h>>16%3)
	if at < away {
		return s, false
	}
	if h>>24%2 == 0 {
		s.since = max(s.since, m.seen-(at-away))
	}
	return s, true
}
