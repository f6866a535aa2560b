package ingest

import (
	"cmp"
	"math"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
)

// node is a machine as reconciliation looks at it.
type node struct {
	id, tenant          int64
	machine             string // the source's id
	firstSeen, lastSeen time.Time
	keys                store.MatchKeys // cleaned
	mergedInto          string
	listed              bool // some list has held it: the others are known by their id alone
	known               bool // has a device
	held                []store.GroupKey
	listedAt            time.Time

	// What reconcile finds. Of held it leaves what still holds and adds what is new.
	survivor   int // index of the machine it was merged into, -1 = stands for itself
	superseded bool
	founder    int // index of the device's oldest machine
	links      []link
}

// link is why a node is one device with another.
type link struct {
	partner int
	reason  muster.JoinReason
	value   string
}

// verdict is an operator's decision about two nodes.
type verdict struct {
	a, b  int
	apart bool
}

// reconciler is the work on one set of machines.
//
// The rules are SPEC's, taken in the order in which the machines began to live at the
// source, not in that of their arrival: so the same machines make the same devices,
// whatever came first. What was found once is remembered per machine as the keys that it
// held with others (GroupKey): a machine that is renamed, falls silent or comes back keeps
// its device, because its key is judged by the lives as they were then.
type reconciler struct {
	nodes  []node
	order  []int // from the oldest
	rank   []int
	set    []int // union-find
	apart  []verdict
	groups map[key]*keyGroup
	kept   [][]store.GroupKey // by node: what it will hold
}

// reconcile finds the devices of a set of machines. The result depends on the set alone,
// not on its order.
func reconcile(nodes []node, verdicts []verdict) {
	r := &reconciler{nodes: nodes, order: make([]int, len(nodes)), rank: make([]int, len(nodes)), set: make([]int, len(nodes)), kept: make([][]store.GroupKey, len(nodes))}
	for i := range nodes {
		r.order[i], r.set[i] = i, i
	}
	slices.SortFunc(r.order, func(a, b int) int { return byAge(&nodes[a], &nodes[b]) })
	for at, i := range r.order {
		r.rank[i] = at
	}
	r.followMerges()
	r.collect()
	r.judgeGroups()
	for i := range nodes {
		nodes[i].links, nodes[i].held = nil, r.kept[i]
	}
	r.decide(verdicts)
	for _, i := range r.order {
		r.settle(i)
	}
	r.found()
	r.supersede()
}

// byAge orders machines by first seen, none last, then by id.
func byAge(a, b *node) int {
	if a.firstSeen.IsZero() != b.firstSeen.IsZero() {
		if b.firstSeen.IsZero() {
			return -1
		}
		return 1
	}
	return cmp.Or(a.firstSeen.Compare(b.firstSeen), cmp.Compare(a.machine, b.machine), cmp.Compare(a.tenant, b.tenant))
}

// followMerges follows mergedIntoMachineId to its end; an unknown target or a circle
// leaves the machine as it was.
func (r *reconciler) followMerges() {
	type name struct {
		tenant  int64
		machine string
	}
	var byName map[name]int
	for i := range r.nodes {
		r.nodes[i].survivor = -1
		if r.nodes[i].mergedInto != "" && byName == nil {
			byName = make(map[name]int, len(r.nodes))
			for j := range r.nodes {
				if n := &r.nodes[j]; n.listed {
					byName[name{n.tenant, n.machine}] = j
				}
			}
		}
	}
	if byName == nil {
		return
	}
	const unknown, onPath, circle = -1, -2, -3
	ends := make([]int, len(r.nodes))
	for i := range ends {
		ends[i] = unknown
	}
	var path []int
	for i := range r.nodes {
		at := i
		path = path[:0]
		for ends[at] == unknown {
			ends[at] = onPath
			path = append(path, at)
			n := &r.nodes[at]
			to, known := byName[name{n.tenant, n.mergedInto}]
			if n.mergedInto == "" || !known {
				ends[at] = at
				break
			}
			at = to
		}
		end := ends[at]
		if end == onPath {
			end = circle
		}
		for _, p := range path {
			if ends[p] = end; end != circle && end != p {
				r.nodes[p].survivor = end
			}
		}
	}
}

// list takes over what a list of that time says of a machine.
func (n *node) list(f machineFacts, at time.Time) {
	n.listed = true
	if n.listedAt.After(at) {
		return // an older list changes nothing
	}
	n.firstSeen, n.lastSeen, n.mergedInto = earliest(n.firstSeen, f.FirstSeen), f.LastSeen, f.MergedInto
	n.keys = matchKeys(orBefore(f.Keys, n.keys))
}

// earliest is the first of two times; a zero one is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// life is when a machine lived, in microseconds; what is not known is without bounds.
func (n *node) life() (from, to int64) {
	from, to = math.MinInt64+1, math.MaxInt64
	if !n.firstSeen.IsZero() {
		from = n.firstSeen.UnixMicro()
	}
	if !n.lastSeen.IsZero() {
		to = n.lastSeen.UnixMicro()
	}
	return from, to
}

// decide lets the operator's joins go first; those apart are kept for every join.
func (r *reconciler) decide(verdicts []verdict) {
	var joins []verdict
	for _, v := range verdicts {
		if v.apart {
			r.apart = append(r.apart, v)
			continue
		}
		if r.rank[v.a] < r.rank[v.b] {
			v.a, v.b = v.b, v.a // the younger one holds the link
		}
		joins = append(joins, v)
	}
	slices.SortFunc(joins, func(x, y verdict) int {
		return cmp.Or(cmp.Compare(r.rank[x.a], r.rank[y.a]), cmp.Compare(r.rank[x.b], r.rank[y.b]))
	})
	for _, v := range joins {
		r.join(v.a, v.b, muster.JoinedByOperator, "")
	}
}

// settle gives a machine its device, when all older ones have theirs.
func (r *reconciler) settle(i int) {
	n := &r.nodes[i]
	if n.survivor >= 0 {
		r.join(i, n.survivor, muster.JoinedByMerge, "")
	}
	if r.joinStrong(i) {
		return
	}
	for _, kind := range []keyKind{macAndHost, fqdn} {
		if partner, value := r.predecessor(i, kind); partner >= 0 {
			r.join(i, partner, joinReasons[kind], value)
			return // the first kind of key that leads anywhere decides
		}
	}
}

// joinStrong joins a machine by each of its strong keys with the youngest of the older
// ones that an operator does not keep apart from it. It tells whether there was any.
func (r *reconciler) joinStrong(i int) bool {
	found := false
	for _, k := range r.nodes[i].held {
		kind := kindOf(k.Kind)
		if !kind.strong() {
			continue
		}
		older := r.older(i, key{kind, k.Value})
		for _, h := range slices.Backward(older) {
			found = true
			if r.join(i, h, k.Kind, k.Value) {
				break
			}
		}
	}
	return found
}

// predecessor is the youngest of the older machines that hold a weak key with this one.
func (r *reconciler) predecessor(i int, kind keyKind) (partner int, value string) {
	partner = -1
	for _, k := range r.nodes[i].held {
		if kindOf(k.Kind) != kind {
			continue
		}
		older := r.older(i, key{kind, k.Value})
		if len(older) == 0 {
			continue
		}
		last := older[len(older)-1]
		if partner < 0 || r.rank[last] > r.rank[partner] {
			partner, value = last, k.Value
		}
	}
	return partner, value
}

// older lists the members of a group that are older than a machine, from the oldest.
func (r *reconciler) older(i int, k key) []int {
	g := r.groups[k]
	if g == nil {
		return nil
	}
	end, _ := slices.BinarySearchFunc(g.members, r.rank[i], func(m, rank int) int { return cmp.Compare(r.rank[m], rank) })
	return g.members[:end]
}

// join makes two machines one device, unless an operator keeps any two of theirs apart,
// and notes why where it was not so before. It tells whether they are one device now.
func (r *reconciler) join(i, partner int, reason muster.JoinReason, value string) bool {
	a, b := r.root(i), r.root(partner)
	if a == b {
		return true
	}
	for _, v := range r.apart {
		if x, y := r.root(v.a), r.root(v.b); x == a && y == b || x == b && y == a {
			return false
		}
	}
	r.set[max(a, b)] = min(a, b)
	r.nodes[i].links = append(r.nodes[i].links, link{partner, reason, value})
	return true
}

func (r *reconciler) root(i int) int {
	for r.set[i] != i {
		r.set[i] = r.set[r.set[i]]
		i = r.set[i]
	}
	return i
}

// found names every device after its oldest machine.
func (r *reconciler) found() {
	founders := make([]int, len(r.nodes))
	for i := range founders {
		founders[i] = -1
	}
	for _, i := range r.order {
		root := r.root(i)
		if founders[root] < 0 {
			founders[root] = i
		}
		r.nodes[i].founder = founders[root]
	}
}

// supersede marks the machines whose life ended before that of another machine of their
// device began.
func (r *reconciler) supersede() {
	newest := make([]int, len(r.nodes)) // by founder, the one that began last
	for i := range newest {
		newest[i] = -1
	}
	for _, i := range r.order {
		n := &r.nodes[i]
		if n.survivor >= 0 || n.firstSeen.IsZero() {
			continue
		}
		newest[n.founder] = i
	}
	for i := range r.nodes {
		n := &r.nodes[i]
		last := newest[n.founder]
		n.superseded = n.survivor < 0 && last >= 0 && last != i && !n.lastSeen.IsZero() && n.lastSeen.Before(r.nodes[last].firstSeen)
	}
}
