package ingest

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"muster"
	"muster/internal/store"
)

// keyGroup is a value that several machines hold.
type keyGroup struct {
	holders []holder // from the oldest
	members []int    // of them, those that the value holds together

	shared bool // two of them are alive at the same time
	// revealed: a new machine shows that the value was shared already when the others were
	// found to hold it, which undoes what it joined.
	revealed bool
}

// holder is a machine in a group.
type holder struct {
	node int
	was  *store.GroupKey // what was found before; nil = holds it only now
}

func kindOf(reason muster.JoinReason) keyKind {
	return keyKind(slices.Index(joinReasons[:], reason))
}

// collect finds the groups: values that two machines hold, now or from before. A machine
// that the source has merged into another has no keys of its own any more, but what it
// was found to hold before.
func (r *reconciler) collect() {
	r.groups = map[key]*keyGroup{}
	first := make(map[key]int, 3*len(r.nodes)) // the oldest holder of each value
	add := func(k key, i int) {
		switch oldest, met := first[k]; {
		case !met:
			first[k] = i
		case oldest != i:
			g := r.groups[k]
			if g == nil {
				g = &keyGroup{holders: []holder{{oldest, r.was(oldest, k)}}}
				r.groups[k] = g
			}
			if g.holders[len(g.holders)-1].node != i {
				g.holders = append(g.holders, holder{i, r.was(i, k)})
			}
		}
	}
	for _, i := range r.order {
		r.eachKey(i, add)
	}
	clear(first)
	for _, i := range r.order { // pairs only where both parts are met twice
		r.eachPair(i, func(k key) {
			m, h := splitPair(k.value)
			if r.groups[key{mac, m}] != nil && r.groups[key{host, h}] != nil {
				add(k, i)
			}
		})
	}
}

// eachKey calls back with every value of a machine but pairs, now and from before.
func (r *reconciler) eachKey(i int, fn func(key, int)) {
	n := &r.nodes[i]
	give := func(kind keyKind, value string) {
		if value != "" {
			fn(key{kind, value}, i)
		}
	}
	if n.mergedInto == "" {
		give(entraID, n.keys.EntraID)
		give(vmID, n.keys.VMID)
		give(fqdn, n.keys.FQDN)
		give(host, n.keys.HostName)
		for _, m := range n.keys.MACs {
			give(mac, m)
		}
	}
	for _, k := range n.held {
		if kind := kindOf(k.Kind); kind != macAndHost {
			give(kind, k.Value)
			continue
		}
		m, h := splitPair(k.Value)
		give(mac, m)
		give(host, h)
	}
}

func (r *reconciler) eachPair(i int, fn func(key)) {
	n := &r.nodes[i]
	if n.mergedInto == "" && n.keys.HostName != "" {
		for _, m := range n.keys.MACs {
			fn(key{macAndHost, pair(m, n.keys.HostName)})
		}
	}
	for _, k := range n.held {
		if k.Kind == muster.JoinedByMACAndHost {
			fn(key{macAndHost, k.Value})
		}
	}
}

// was finds what a machine was found to hold; a part of a pair counts as the pair.
func (r *reconciler) was(i int, k key) *store.GroupKey {
	for at := range r.nodes[i].held {
		held := &r.nodes[i].held[at]
		switch {
		case k.kind != mac && k.kind != host:
			if held.Value == k.value && kindOf(held.Kind) == k.kind {
				return held
			}
		case held.Kind == muster.JoinedByMACAndHost:
			if m, h := splitPair(held.Value); k.kind == mac && m == k.value || k.kind == host && h == k.value {
				return held
			}
		}
	}
	return nil
}

// judgeGroups decides which groups hold their machines together, and keeps that with
// every machine.
func (r *reconciler) judgeGroups() {
	for k, g := range r.groups {
		g.judge(r.nodes, k.kind)
	}
	for k, g := range r.groups {
		if k.kind == macAndHost {
			m, h := splitPair(k.value)
			for _, part := range []*keyGroup{r.groups[key{mac, m}], r.groups[key{host, h}]} {
				g.shared, g.revealed = g.shared || part.shared, g.revealed || part.revealed
			}
		}
		if k.kind != mac && k.kind != host {
			r.keep(k, g)
		}
	}
	for i := range r.nodes {
		for _, held := range r.nodes[i].held { // the others have gone, or were never known here
			if r.groups[key{kindOf(held.Kind), held.Value}] == nil {
				r.kept[i] = append(r.kept[i], held)
			}
		}
		slices.SortFunc(r.kept[i], func(a, b store.GroupKey) int {
			return cmp.Or(cmp.Compare(kindOf(a.Kind), kindOf(b.Kind)), strings.Compare(a.Value, b.Value))
		})
	}
}

// judge looks for two holders alive at the same time. Whoever was found to hold the value
// before is taken as it lived then when it is asked whether that finding stands.
func (g *keyGroup) judge(nodes []node, kind keyKind) {
	byStart := slices.Clone(g.holders)
	slices.SortStableFunc(byStart, func(a, b holder) int {
		x, _ := nodes[a.node].life()
		y, _ := nodes[b.node].life()
		return cmp.Compare(x, y)
	})
	now, then, fresh := int64(math.MinInt64), int64(math.MinInt64), int64(math.MinInt64) // latest ends so far
	for _, h := range byStart {
		n := &nodes[h.node]
		from, to := n.life()
		g.shared = g.shared || from <= now
		now = max(now, to)
		switch {
		case h.was != nil && !h.was.Until.IsZero():
			to = min(to, h.was.Until.UnixMicro())
		case h.was == nil && n.known && kind != mac && kind != host:
			continue // came to the value later: proves nothing about the time before
		}
		g.revealed = g.revealed || from <= fresh || !n.known && from <= then
		if then = max(then, to); !n.known {
			fresh = max(fresh, to)
		}
	}
}

// keep notes with every holder of a group that the value holds it together with others.
func (r *reconciler) keep(k key, g *keyGroup) {
	if g.revealed {
		return
	}
	fresh, before, late := 0, 0, 0
	for _, h := range g.holders {
		switch {
		case h.was != nil:
			before++
		case r.nodes[h.node].known:
			late++
		default:
			fresh++
		}
	}
	for _, h := range g.holders {
		n := &r.nodes[h.node]
		held := store.GroupKey{Machine: n.id, Kind: joinReasons[k.kind], Value: k.value, Until: n.lastSeen}
		switch {
		case h.was != nil:
			held = *h.was
		case g.shared:
			continue
		case !k.kind.strong() && n.known && (fresh == 0 || before > 0 || late > 1):
			continue // two devices that exist are not joined by it
		}
		r.kept[h.node] = append(r.kept[h.node], held)
		g.members = append(g.members, h.node)
	}
}
