package emulator

import "strconv"

// update is what a machine is told to install; parts may be missing.
type update struct{ name, id, url *string }

// update to a version on a system. Some products have another update for each system.
func (p *product) update(version, system int) *update {
	if !p.perSystem {
		system = 0
	}
	return &p.updates[version][system]
}

var months = []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}

func (c *catalogue) writeUpdates(p *product) {
	systems := 1
	if p.perSystem {
		systems = len(platforms)
	}
	p.updates = make([][]update, len(p.releases))
	for k := range p.releases {
		for system := range systems {
			h := mix(c.seed, 6, uint64(p.index), uint64(k), uint64(system))
			p.updates[k] = append(p.updates[k], p.describeUpdate(k, h))
		}
	}
}

func (p *product) describeUpdate(k int, h uint64) update {
	r := &p.releases[k]
	month := (10 + r.day/30 + 1200) % 12 // day 0 is in November
	switch {
	case p.style == "windows" || p.style == "framework" || p.vendor == "microsoft" && p.perSystem:
		kb := strconv.Itoa(5030000 + int(h%60000))
		return update{new(months[month] + " " + strconv.Itoa(2016+(r.day+305+3650)/365) + " Security Updates"), &kb, new("https://catalog.update.microsoft.com/v7/site/Search.aspx?q=KB" + kb)}
	case p.style == "rpm":
		id := "RHSA-2026:" + strconv.Itoa(1000+int(h%9000))
		return update{new("oval:com.redhat.rhsa:def:2026" + strconv.Itoa(1000+int(h%9000))), &id, new("https://access.redhat.com/errata/" + id)}
	case p.style == "kernel":
		id := "USN-" + strconv.Itoa(7000+int(h%900)) + "-" + strconv.Itoa(1+int(h>>10%3))
		return update{&id, &id, new("https://ubuntu.com/security/notices/" + id)}
	case p.perSystem:
		id := p.name + "-" + r.text + "-" + strconv.Itoa(int(h%1000))
		return update{new("Update " + p.name + " to version " + r.text), &id, nil}
	case h%4 == 0:
		return update{}
	}
	return update{new("Update " + p.name + " to version " + r.text + ", which addresses \"" + p.vendor + "\" advisories"), nil, nil}
}
