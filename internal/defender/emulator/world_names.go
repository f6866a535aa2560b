package emulator

import (
	"strconv"
	"strings"
)

// dnsName is computerDnsName, in any case and with or without a domain.
func (m *host) dnsName() *string {
	h := mix(m.w.o.Seed, 6, uint64(m.namesake))
	number := strconv.Itoa(1000 + m.namesake)
	var name string
	switch s := &platforms[m.system]; {
	case m.role == nameless || m.role == sparse:
		return nil
	case m.role == sameNameOne:
		name = "CLW238-test.contoso.example"
	case m.role == sameNameTwo:
		name = "clw238-test.contoso.example"
	case m.role == sameNameThree:
		name = "clw238-TEST.contoso.example"
	case m.role == longName:
		name = strings.Repeat("a-very-long-label-that-nobody-would-type-", 7) + number + ".contoso.example"
	case m.role == foreignName:
		name = "büro-Ω-日本-" + number + ".contoso.example"
	case m.role == unsupported:
		name = "printer-" + number
	case m.role == adapterBefore:
		name = "LT-" + number + ".prod.contoso.example"
	case m.role > nobodySpecial && m.role <= imagedOnDayOne || m.role >= vmBefore || m.namesake != m.index:
		name = "LT-" + number + ".contoso.example"
	case s.kind == onMac:
		name = givenNames[h%uint64(len(givenNames))] + "s-MacBook-" + number + ".local"
	case s.server:
		name = []string{"srv-sql-", "srv-web-", "srv-app-", "dc-", "build-"}[h%5] + number + []string{".corp.contoso.example", ".prod.contoso.example", ""}[h>>8%3]
	default:
		name = []string{"LT-", "desktop-", "PC-", "ws-"}[h%4] + number + []string{".contoso.example", ".emea.contoso.example", ".contoso.example", ""}[h>>8%4]
	}
	if h>>16%10 == 0 {
		name = strings.ToUpper(name[:3]) + name[3:]
	}
	return &name
}

// group as the assessments name it.
func (m *host) rbac() (int64, *string) {
	g := &groups[m.group]
	return g.id, &g.name
}

var zeroGUID = "00000000-0000-0000-0000-000000000000"

func (m *host) entraID() *string {
	switch m.entraOf {
	case nobody:
		return nil
	case zeroes:
		return &zeroGUID
	}
	h := mix(m.w.o.Seed, 0xaad, uint64(m.entraOf))
	id := guid(h, mix(h))
	return &id
}

// tags change from time to time; their case differs from machine to machine.
func (m *host) tags() []string {
	switch m.role {
	case sparse:
		return nil
	case manyTags:
		return []string{"prod", " PROD ", "Vip", "Straße \"7\"", strings.Repeat("long-tag-", 22)}
	}
	if m.group == factory {
		return []string{"Factory"}
	}
	all := []string{}
	for i, name := range tagNames {
		h := mix(m.h, 8, uint64(i))
		// A tag is set or taken away once in a while, on a day of its own.
		chance := uint64(14)
		if name == servers {
			if chance = 3; platforms[m.system].server {
				chance = 85
			}
		}
		on := h%100 < chance
		if h>>8%100 < 6 && m.n >= 1+int(h>>16%30) {
			on = !on
		}
		if !on {
			continue
		}
		switch h >> 32 % 4 {
		case 0:
			name = strings.ToLower(name)
		case 1:
			name = strings.ToUpper(name)
		}
		all = append(all, name)
	}
	return all
}

func (m *host) addresses() (last, external *string, all []IPAddress) {
	if m.role == sparse || m.status == "InsufficientInfo" {
		return nil, nil, nil
	}
	// The address of a lease changes every 20 days or so.
	h := mix(m.h, 9, uint64(m.seen+1000+int(m.h%20))/20)
	ip := "10." + strconv.Itoa(int(h%200)) + "." + strconv.Itoa(int(h>>8%250)) + "." + strconv.Itoa(1+int(h>>16%250))
	out := "203.0.113." + strconv.Itoa(1+int(h>>24%250))
	if h>>32%20 == 0 {
		out = "2001:db8:" + strconv.FormatUint(h>>40%0xffff, 16) + "::1"
	}
	text := func(s string) *string { return &s }
	mac := "00155D" + strings.ToUpper(strconv.FormatUint(0x100000+mix(m.w.chance(m.adapterOf), 10)%0xefffff, 16))
	wire := text([]string{"Ethernet", "IEEE80211", "Other"}[m.h%3])
	all = []IPAddress{{&ip, &mac, wire, text("Up")}}
	if m.h>>8%4 == 0 { // a dock: the same address on many machines
		all = append(all, IPAddress{text(""), text("0050B6A1B2C3"), text("Ethernet"), text("Down")})
	}
	if m.h>>12%3 == 0 {
		v6 := "fe80::" + strconv.FormatUint(h>>20%0xffff, 16)
		all = append(all, IPAddress{&v6, &mac, wire, text("Up")})
	}
	zero := text("000000000000")
	if platforms[m.system].kind == onWindows {
		zero = nil
	}
	if m.h>>16%2 == 0 {
		all = append(all, IPAddress{text("127.0.0.1"), zero, text("SoftwareLoopback"), text("Up")}, IPAddress{text("::1"), zero, text("SoftwareLoopback"), text("Up")})
	}
	if m.h>>20%30 == 0 {
		all = append(all, IPAddress{nil, nil, nil, nil})
	}
	return &ip, &out, all
}
