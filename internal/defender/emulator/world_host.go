package emulator

// host is one machine as it stands on one day, worked out from its number alone.
type host struct {
	w     *World
	index int
	n     int    // the day asked for
	h     uint64 // its own chance
	role  role

	born, seen  int // day of the first report, day of the last one not after n
	firstTicks  int64
	lastTicks   int64
	system      int // index into platforms
	group       int // index into groups
	listed      bool
	onboarded   bool
	reports     bool   // has rows in the assessments
	clean       bool   // no vulnerability rows this day
	mergedInto  int    // index of another host, stranger, or alone
	entraOf     int    // index of the host whose Entra device id it shows, or nobody
	namesake    int    // index of the host whose name it bears
	machineOf   int    // index of the host whose virtual machine it runs on
	adapterOf   int    // index of the host whose network adapter it has
	status      string // onboardingStatus
	exclusion   *string
	duplication bool
}

const (
	alone    = -1 // merged into nobody
	stranger = -2 // merged into a machine that nobody knows
	nobody   = -1 // no Entra device id
	zeroes   = -2 // the all-zero one

	ghosts = 1 << 30 // hosts from here on have rows but are not in /api/machines
)

// arrivals is how many machines appear per day.
func (w *World) arrivals() int { return max(1, w.o.Devices/400) }

// hosts is how many machines there have been up to day n.
func (w *World) hosts(n int) int { return w.o.Devices + n*w.arrivals() }

// ghostHosts is how many machines have rows without being listed.
func (w *World) ghostHosts() int { return max(1, w.o.Devices/500) }

// Windows of days in the life of machines.
const (
	silenceDrops = 30  // rows of a machine silent for longer are gone (mde-api §14)
	retention    = 180 // so are machines from the list
	inactive     = 7   // healthStatus Inactive
)

// chance is what is random about machine i.
func (w *World) chance(i int) uint64 { return mix(w.o.Seed, 0x405, uint64(i)) }

// host works out machine i on day n.
func (w *World) host(i, n int) host {
	h := w.chance(i)
	m := host{w: w, index: i, n: n, h: h, listed: i < ghosts, onboarded: true, mergedInto: alone, entraOf: i, namesake: i, machineOf: i, adapterOf: i, status: "Onboarded"}
	m.role = w.role(i)
	m.born = -5 - int(h%400)
	if i >= w.o.Devices && i < ghosts {
		m.born = 1 + (i-w.o.Devices)/w.arrivals()
	}
	m.system = weighted(mix(h, 1), len(platforms), func(k int) int { return platforms[k].weight })
	m.live()
	m.join()
	m.play()
	m.settle()
	return m
}

// live decides when the machine last reported.
func (m *host) live() {
	m.seen = m.n
	if m.role != nobodySpecial || m.index >= m.w.o.Devices {
		return
	}
	switch k := mix(m.h, 2); {
	case k%100 < 12: // went silent for good
		m.seen = min(m.n, 12-int(k>>8%160))
		m.born = min(m.born, m.seen-1)
	case k%100 < 20: // comes and goes
		period := 10 + int(k>>8%20)
		off := 3 + int(k>>16%6)
		if at := (m.n + 1000*period + int(k>>24%64)) % period; at < off {
			m.seen = max(m.born, m.n-at-1)
		}
	}
}

// join decides group, onboarding and what a portal shows.
func (m *host) join() {
	k := mix(m.h, 3)
	m.group = weighted(k, len(groups), func(g int) int { return groups[g].weight })
	if platforms[m.system].server && m.group != factory && k>>20%3 > 0 {
		m.group = 2
	}
	if k>>24%200 == 0 && m.n >= 1+int(k>>40%9) { // moved to another group
		m.group = (m.group + 1 + int(k>>32%4)) % len(groups)
		if m.group == factory {
			m.group = 0
		}
	}
	if next := platforms[m.system].next; next >= 0 && k>>44%20 == 0 && min(m.n, m.seen) >= 1+int(k>>50%30) {
		m.system = next // feature upgrade
	}
	if m.role != nobodySpecial || m.index >= ghosts {
		return
	}
	o := mix(m.h, 4)
	switch {
	case o%100 < 4:
		m.status = "CanBeOnboarded"
	case o%100 < 5:
		m.status = "Unsupported"
	case o%100 < 6:
		m.status = "InsufficientInfo"
	case o%100 < 7:
		m.exclusion = &exclusions[o>>8%uint64(len(exclusions))]
	case o%100 < 8:
		m.duplication = true
	}
	if o>>16%10 < 4 || m.status != "Onboarded" {
		m.entraOf = nobody
	}
	if o>>32%250 == 7 && m.n >= 1+int(o>>40%20) { // offboarded and deleted
		m.listed = false
	}
}

var exclusions = []string{"Other", "InactiveDevice", "DuplicateDevice", "DeviceDoesNotExist", "DeviceOutOfScope"}

// settle derives what follows from the rest.
func (m *host) settle() {
	tod := mix(m.h, 5)
	m.lastTicks = reportTicks(m.seen, tod, fraction(mix(tod, uint64(m.seen+1000))))
	m.firstTicks = reportTicks(m.born, tod%86400/2, fraction(mix(tod, 7)))
	if m.role == onTheBoundary {
		m.lastTicks = -30 * perDay
	}
	m.onboarded = m.status == "Onboarded"
	if m.n-m.seen > retention || m.n < m.born && m.index < ghosts {
		m.listed = false
	}
	m.reports = m.onboarded && m.n-m.seen <= silenceDrops && m.n >= m.born && (m.listed || m.index >= ghosts)
}

// weighted picks one of n by weight.
func weighted(h uint64, n int, weight func(int) int) int {
	sum := 0
	for k := range n {
		sum += weight(k)
	}
	at := int(h % uint64(sum))
	for k := range n {
		if at -= weight(k); at < 0 {
			return k
		}
	}
	return 0
}

// id is the machine id: the first eight digits hide the number, so that a machine is
// found by its id without a table.
func (w *World) id(index int) string {
	const odd = 0x9e3779b1
	prefix := uint64(uint32(index)*odd ^ uint32(w.o.Seed))
	h := mix(w.o.Seed, 0x1d, uint64(index))
	return hex40(prefix<<32|h>>32, h)
}

// find is the way back; ok is false for an id that is none of this world's.
func (w *World) find(id string) (index int, ok bool) {
	const inverse = 0x0e8b2f51
	prefix, ok := parseHex32(id)
	if !ok {
		return 0, false
	}
	index = int((prefix ^ uint32(w.o.Seed)) * inverse)
	return index, w.id(index) == id
}
