package emulator

// role is a part that one machine plays, so that every oddity of mde-api §16.9 is in
// every world that is large enough. The first machines play them, one each.
type role int

const (
	nobodySpecial      role = iota
	mergedTwice             // merged into the next, which is merged itself: a chain
	mergedOnce              // merged into the next
	survivor                // where the chain ends
	mergedToStranger        // merged into an id that nobody knows
	circleOne               // merged into circleTwo
	circleTwo               // merged into circleOne
	mergedLater             // merged into the next from day 1 on
	laterSurvivor           //
	imagedBefore            // silent, lives on as the next: one Entra device id, lives apart
	imagedAgain             //
	imagedOnDayOne          // re-imaged on day 1: lives on as the first machine that arrives
	sharedKeyOne            // shows the Entra device id of the next, while both are alive
	sharedKeyTwo            //
	sameNameOne             // three records of one DNS name in different case
	sameNameTwo             //
	sameNameThree           //
	excluded                // DeviceOutOfScope
	discovered              // never onboarded
	unsupported             // a printer of which little is known
	undated                 // neither firstSeen nor lastSeen
	neverReported           // firstSeen a few days ago, no lastSeen
	movesOnDayOne           // to another device group
	movesOnDayTwo           //
	vanishesOnDayOne        // from /api/machines
	vanishesOnDayThree      //
	awayOnDayOne            // from /api/machines, back the next day
	longName                // far longer than DNS allows
	foreignName             // not ASCII
	silentTillDayTwo        // its rows are dropped on day 2
	silentTillDayNine       // its rows are dropped by day 9
	backOnDayTwo            // after weeks of silence
	zeroKeyOne              // the all-zero Entra device id
	zeroKeyTwo              //
	manyTags                // mixed case, blanks around, doubles
	onTheBoundary           // last seen to the tick 30 days before the epoch
	nameless                // no computerDnsName
	virtual                 // vmMetadata
	sparse                  // every property that may be null is
	blankOnDayTwo           // alive without a vulnerability row on that day
	cleanFromDayOne         // alive, loses all its vulnerability rows for good
	alwaysClean             // never had any
	inFactory               // in the group whose folder is missing on one day
	vmBefore                // silent, lives on as the next: one cloud VM id alone
	vmAgain                 //
	adapterBefore           // silent, lives on as the next: one MAC address and host name, another domain
	adapterAgain            //
	nameBefore              // silent, lives on as the next: one DNS name alone
	nameAgain               //
	backAfterImaging        // lives on as the next, but is back on day 2: two living records of one device
	imagedThenBoth          //
	roles
)

// role of machine i: a quarter of a small world at most is special.
func (w *World) role(i int) role {
	if i >= w.o.Devices || i >= w.o.Devices/4 || i >= int(roles)-1 {
		return nobodySpecial
	}
	return role(i + 1)
}

// index of the machine that plays r.
func (r role) index() int { return int(r) - 1 }

// play makes the machine act its part.
func (m *host) play() {
	if m.role == nobodySpecial {
		m.playReimaged()
		return
	}
	m.system = 0
	m.born = -60 - int(m.h%200)
	if m.role <= imagedOnDayOne { // records of one device, of one name and group
		m.group = laptops
	}
	if m.role != inFactory && m.group == factory {
		m.group = 0
	}
	switch next := m.index + 1; m.role {
	case mergedTwice, mergedOnce:
		m.mergedInto, m.entraOf, m.namesake = next, survivor.index(), survivor.index()
		m.ended(-8)
	case mergedToStranger:
		m.mergedInto = stranger
	case circleOne:
		m.mergedInto = next
	case circleTwo:
		m.mergedInto = circleOne.index()
	case mergedLater:
		m.namesake = next
		if m.ended(0); m.n >= 1 {
			m.mergedInto = next
		}
	case imagedBefore:
		m.ended(-8)
	case imagedAgain:
		m.entraOf, m.namesake, m.born = imagedBefore.index(), imagedBefore.index(), -5
	case imagedOnDayOne:
		m.ended(0)
	case sharedKeyOne:
		m.entraOf = next
	case neverReported:
		m.born = -3
	case movesOnDayOne, movesOnDayTwo:
		if m.group = 4; m.n >= 1+int(m.role-movesOnDayOne) {
			m.group = 6
		}
	case inFactory:
		m.group = factory
	case vmBefore, adapterBefore, nameBefore:
		m.entraOf = nobody
		m.ended(-8)
	case vmAgain, adapterAgain, nameAgain:
		m.entraOf, m.born = nobody, -5
		m.lifeBefore()
	case backAfterImaging:
		if m.n < 2 {
			m.ended(-8)
		}
	case imagedThenBoth:
		m.entraOf, m.namesake, m.born = backAfterImaging.index(), backAfterImaging.index(), -5
	default:
		m.playAlive()
	}
}

// playReimaged makes the first arrival the new record of the device imaged on day one.
func (m *host) playReimaged() {
	if m.index != m.w.o.Devices || m.w.role(imagedOnDayOne.index()) != imagedOnDayOne {
		return
	}
	m.namesake, m.entraOf = imagedOnDayOne.index(), imagedOnDayOne.index()
	m.system, m.group, m.status, m.listed = 0, laptops, "Onboarded", true
}

// lifeBefore takes over what the machine before it had of the same device.
func (m *host) lifeBefore() {
	switch before := m.index - 1; m.role {
	case vmAgain:
		m.machineOf = before
	case adapterAgain:
		m.adapterOf, m.namesake = before, before
	case nameAgain:
		m.namesake = before
	}
}

// playAlive are the parts that change what is seen of a machine, not who it is.
func (m *host) playAlive() {
	switch m.role {
	case sameNameOne:
		m.duplication, m.exclusion = true, &exclusions[2]
	case excluded:
		m.exclusion = &exclusions[4]
	case discovered:
		m.status = "CanBeOnboarded"
	case unsupported:
		m.status, m.entraOf = "Unsupported", nobody
	case vanishesOnDayOne:
		m.listed = m.n < 1
	case vanishesOnDayThree:
		m.listed = m.n < 3
	case awayOnDayOne:
		m.listed = m.n != 1
	case silentTillDayTwo:
		m.ended(2 - silenceDrops - 1)
	case silentTillDayNine:
		m.ended(9 - silenceDrops - 1)
	case backOnDayTwo:
		if m.n < 2 {
			m.ended(-40)
		}
	case zeroKeyOne, zeroKeyTwo:
		m.entraOf = zeroes
	case onTheBoundary:
		m.ended(-29)
	case sparse:
		m.entraOf, m.system = nobody, 6
	case blankOnDayTwo:
		m.clean = m.n == 2
	case cleanFromDayOne:
		m.clean = m.n >= 1
	case alwaysClean:
		m.clean = true
	}
}

// ended: the machine's last report was for that day.
func (m *host) ended(day int) {
	m.seen = min(m.n, day)
	m.born = min(m.born, day-20)
}
