package emulator

import (
	"iter"
	"strconv"
)

// check is one secure configuration assessment.
type check struct {
	id, reference, category, subcategory, name string
	impact                                     float64
	user                                       bool // isExpectedUserImpact
	kinds                                      int
	rate                                       uint64 // of a hundred machines that comply
}

const checkCount = 150

// writeChecks makes the 150 checks of a world.
func (c *catalogue) writeChecks() {
	for n := range checkCount {
		h := mix(c.seed, 7, uint64(n))
		group := &categories[n%len(categories)]
		k := check{
			id: "scid-" + strconv.Itoa([]int{10, 2000, 6000, 90}[n%4]+n*3), category: group.name, subcategory: group.sub,
			name: group.checks[n/len(categories)%len(group.checks)], impact: float64(2+h%17) / 2, user: h>>8%9 == 0, kinds: onWindows, rate: 35 + h>>16%60,
		}
		if round := n / len(categories) / len(group.checks); round > 0 {
			k.name += " (" + strconv.Itoa(round+1) + ")"
		}
		switch h >> 32 % 5 {
		case 0:
			k.kinds = onLinux
		case 1:
			k.kinds |= onLinux | onMac
		}
		k.reference = "sca-_-" + k.id
		c.checks = append(c.checks, k)
	}
}

// Configurations yields a group's configuration checks; a row is valid until the next.
func (d *Day) Configurations(group int64) iter.Seq[*AssetConfiguration] {
	return func(yield func(*AssetConfiguration) bool) {
		var r AssetConfiguration
		for m := range d.reporting(group) {
			id, s := m.w.id(m.index), &platforms[m.system]
			at := m.w.plain(m.lastTicks)
			r = AssetConfiguration{DeviceID: &id, DeviceName: m.dnsName(), OSPlatform: &s.assess, OSVersion: m.systemVersion()}
			r.RbacGroupID, r.RbacGroupName = m.rbac()
			for k := range m.w.catalogue.checks {
				c := &m.w.catalogue.checks[k]
				h := mix(m.h, 60, uint64(k))
				if h>>50%500 == 0 {
					continue // never assessed here
				}
				r.ConfigurationID, r.ConfigurationCategory, r.ConfigurationSubcategory, r.ConfigurationName, r.RecommendationReference = &c.id, &c.category, &c.subcategory, &c.name, &c.reference
				if h>>42%300 == 0 {
					r.ConfigurationSubcategory, r.ConfigurationName = nil, nil
				}
				r.ConfigurationImpact, r.IsExpectedUserImpact, r.IsApplicable = c.impact, c.user, c.kinds&s.kind != 0 && h>>34%40 > 0
				complies := h%100 < c.rate
				if m.seen >= 1+int(h>>8%400) { // somebody changes every setting once
					complies = !complies
				}
				r.IsCompliant = complies && r.IsApplicable
				if r.Timestamp = at; h>>20%100 == 0 {
					r.Timestamp = m.w.plain(m.lastTicks - int64(1+h>>28%20)*3600*perSecond)
				}
				if !yield(&r) {
					return
				}
			}
		}
	}
}
