package emulator

import (
	"slices"
	"strings"
	"time"
)

// identity is what a record last told of itself; what it does not tell any more stays.
type identity struct {
	entra, vm, host, fqdn string
	macs                  []string
}

func (r *record) telling(m *Machine) {
	tell := func(field *string, value *string) {
		if value != nil && *value != "" && *value != zeroGUID {
			*field = strings.ToLower(*value)
		}
	}
	tell(&r.identity.entra, m.AadDeviceID)
	if m.VMMetadata != nil {
		tell(&r.identity.vm, m.VMMetadata.VMID)
	}
	if m.ComputerDNSName != nil {
		label, _, _ := strings.Cut(*m.ComputerDNSName, ".")
		tell(&r.identity.host, &label)
		if label != *m.ComputerDNSName {
			tell(&r.identity.fqdn, m.ComputerDNSName)
		}
	}
	var macs []string
	for _, a := range m.IPAddresses {
		if mac := strings.ToUpper(value(a.MacAddress)); mac != "" && mac != "000000000000" {
			macs = append(macs, mac)
		}
	}
	if macs != nil {
		r.identity.macs = macs
	}
}

// reconcile finds out which records are one device, as somebody would who reads the list
// with the rules beside it: newcomers one after the other, the oldest first.
func (t *Truth) reconcile() {
	var newcomers []string
	for _, id := range sortedKeys(t.machines) {
		r := t.machines[id]
		if r.survivor, r.superseded = t.survivor(id), false; !r.settled {
			newcomers = append(newcomers, id)
		}
	}
	slices.SortStableFunc(newcomers, func(a, b string) int {
		return byBirth(t.machines[a], t.machines[b])
	})
	t.joinStrong(func(r *record) string { return r.identity.entra })
	t.joinStrong(func(r *record) string { return r.identity.vm })
	for _, id := range newcomers {
		r := t.machines[id]
		r.settled = true
		if r.source.MergedIntoMachineID == nil && !t.strongly(r) {
			t.joinWeak(r)
		}
	}
	t.group()
}

// byBirth orders records by the day they were seen first, those without one last.
func byBirth(a, b *record) int {
	switch {
	case a.earliestSeen.IsZero() && b.earliestSeen.IsZero():
		return 0
	case a.earliestSeen.IsZero():
		return 1
	case b.earliestSeen.IsZero():
		return -1
	}
	return a.earliestSeen.Compare(b.earliestSeen)
}

// joinStrong joins all holders of a value that no two of them held at one time.
func (t *Truth) joinStrong(key func(*record) string) {
	for value, holders := range t.holders(func(r *record) []string { return []string{key(r)} }) {
		if value == "" || len(holders) < 2 || overlap(holders) {
			continue
		}
		slices.SortStableFunc(holders, byBirth)
		for _, r := range holders[1:] {
			t.joins[[2]string{holders[0].id, r.id}] = true
		}
	}
}

// strongly: an older record is the same device by a strong key.
func (t *Truth) strongly(r *record) bool {
	for pair := range t.joins {
		if pair[0] == r.id || pair[1] == r.id {
			other := pair[0]
			if other == r.id {
				other = pair[1]
			}
			if t.machines[other].earliestSeen.Before(r.earliestSeen) {
				return true
			}
		}
	}
	return false
}

// joinWeak joins a newcomer by MAC address and host name, else by DNS name, with the
// youngest of those that were there before it.
func (t *Truth) joinWeak(r *record) {
	macs := t.holders(func(r *record) []string { return r.identity.macs })
	hosts := t.holders(func(r *record) []string { return []string{r.identity.host} })
	names := t.holders(func(r *record) []string { return []string{r.identity.fqdn} })
	join := func(all []*record) bool {
		var best *record
		for _, o := range all {
			if o != r && o.settled && before(o, r) && (best == nil || best.earliestSeen.Before(o.earliestSeen)) {
				best = o
			}
		}
		if best != nil {
			t.joins[[2]string{best.id, r.id}] = true
		}
		return best != nil
	}
	for _, mac := range r.identity.macs {
		if r.identity.host == "" || overlap(macs[mac]) || overlap(hosts[r.identity.host]) {
			continue
		}
		both := slices.DeleteFunc(slices.Clone(macs[mac]), func(o *record) bool { return o.identity.host != r.identity.host })
		if join(both) {
			return
		}
	}
	if r.identity.fqdn != "" && !overlap(names[r.identity.fqdn]) {
		join(names[r.identity.fqdn])
	}
}

// holders are the records by a value of theirs; those merged away hold nothing.
func (t *Truth) holders(values func(*record) []string) map[string][]*record {
	all := map[string][]*record{}
	for _, id := range sortedKeys(t.machines) {
		r := t.machines[id]
		if r.source.MergedIntoMachineID != nil {
			continue
		}
		for _, v := range values(r) {
			if v != "" && (len(all[v]) == 0 || all[v][len(all[v])-1] != r) {
				all[v] = append(all[v], r)
			}
		}
	}
	return all
}

// group makes devices of merges and joins, and finds who has ended before another began.
func (t *Truth) group() {
	t.groups = map[string]string{}
	for id := range t.machines {
		t.groups[id] = id
	}
	for _, id := range sortedKeys(t.machines) {
		if s := t.machines[id].survivor; s != "" {
			t.unite(id, s)
		}
	}
	for pair := range t.joins {
		t.unite(pair[0], pair[1])
	}
	members := map[string][]*record{}
	for id, group := range t.groups {
		if r := t.machines[id]; r.survivor == "" {
			members[group] = append(members[group], r)
		}
	}
	for _, records := range members {
		for _, r := range records {
			r.superseded = slices.ContainsFunc(records, func(o *record) bool { return before(r, o) })
		}
	}
}

func (t *Truth) unite(a, b string) {
	from, to := t.groups[a], t.groups[b]
	if from == to {
		return
	}
	for id, group := range t.groups {
		if group == from {
			t.groups[id] = to
		}
	}
}

// overlap: two of the machines were alive at one time, as far as is known.
func overlap(records []*record) bool {
	for i, x := range records {
		for _, y := range records[i+1:] {
			if !before(x, y) && !before(y, x) {
				return true
			}
		}
	}
	return false
}

// before: x had fallen silent when y was seen first.
func before(x, y *record) bool {
	return !x.lastSeen.IsZero() && !y.earliestSeen.IsZero() && x.lastSeen.Before(y.earliestSeen)
}

// newestFirst orders the records of a device.
func newestFirst(records []*record) []*record {
	return slices.SortedStableFunc(slices.Values(records), func(a, b *record) int { return b.lastSeen.Compare(a.lastSeen) })
}

// shown is an attribute of the newest record that has it.
func shown(newest []*record, name string) any {
	for _, r := range newest {
		if v := r.attributes[name]; v != nil {
			return v
		}
	}
	return nil
}

// assessment is the oldest of a device's records that count; none where one lacks it.
func (t *Truth) assessment(newest []*record) any {
	var oldest time.Time
	counted := false
	for _, r := range newest {
		if !r.inScope {
			continue
		}
		at := r.judgement(vulnerabilityRead).assessedAt
		if at.IsZero() {
			return nil
		}
		if !counted || at.Before(oldest) {
			oldest = at
		}
		counted = true
	}
	if !counted {
		return t.assessedAt(newest[0])
	}
	return written(oldest)
}
