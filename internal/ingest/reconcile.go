package ingest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// node is a machine of one tenant as reconciliation looks at it.
type node struct {
	id                  int64
	machine             string // the source's id
	firstSeen, lastSeen time.Time
	aad                 string
	mergedInto          string

	survivor   int // index of the machine it was merged into, -1 = stands for itself
	superseded bool
	founder    int // index of the machine that gives the device its id
}

// reconcile fills survivor, superseded and founder. The result depends on the set of
// nodes alone, not on their order.
func reconcile(nodes []node) {
	byMachine := make(map[string]int, len(nodes))
	for i := range nodes {
		byMachine[nodes[i].machine] = i
	}
	group := make([]int, len(nodes)) // union by smallest root
	for i := range nodes {
		nodes[i].survivor, group[i] = survivor(nodes, byMachine, i), i
	}
	for i := range nodes {
		if s := nodes[i].survivor; s >= 0 {
			join(group, i, s)
		}
	}
	for _, same := range byStrongKey(nodes) {
		if overlap(nodes, same) {
			continue // a value that two living machines hold is shared: it joins nothing
		}
		for _, i := range same[1:] {
			join(group, same[0], i)
		}
		for _, i := range same[:len(same)-1] {
			nodes[i].superseded = true // lives do not overlap, so all but the last have ended
		}
	}
	for i := range nodes {
		nodes[i].founder = i
	}
	for i := range nodes {
		if r := root(group, i); older(nodes[i], nodes[nodes[r].founder]) {
			nodes[r].founder = i
		}
	}
	for i := range nodes {
		nodes[i].founder = nodes[root(group, i)].founder
	}
}

// survivor follows mergedIntoMachineId to its end; an unknown target or a circle
// leaves the machine as it was.
func survivor(nodes []node, byMachine map[string]int, start int) int {
	at := start
	for range len(nodes) {
		next, known := byMachine[nodes[at].mergedInto]
		switch {
		case !known: // "" or a target nobody knows: the chain ends here
			if at == start {
				return -1
			}
			return at
		case next == start:
			return -1
		}
		at = next
	}
	return -1
}

const zeroGUID = "00000000-0000-0000-0000-000000000000"

// byStrongKey groups the machines that stand for themselves by Entra device id, each
// group in order of life.
func byStrongKey(nodes []node) [][]int {
	groups := map[string][]int{}
	for i := range nodes {
		if key := strings.ToLower(nodes[i].aad); key != "" && key != zeroGUID && nodes[i].survivor < 0 {
			groups[key] = append(groups[key], i)
		}
	}
	var all [][]int
	for _, same := range groups {
		if len(same) > 1 {
			slices.SortFunc(same, func(a, b int) int {
				if older(nodes[a], nodes[b]) {
					return -1
				}
				return 1
			})
			all = append(all, same)
		}
	}
	return all
}

func overlap(nodes []node, same []int) bool {
	for k := 1; k < len(same); k++ {
		before, after := nodes[same[k-1]], nodes[same[k]]
		if before.lastSeen.IsZero() || after.firstSeen.IsZero() || !before.lastSeen.Before(after.firstSeen) {
			return true
		}
	}
	return false
}

// older orders machines by first seen, none last, then by id.
func older(a, b node) bool {
	if a.firstSeen.IsZero() != b.firstSeen.IsZero() {
		return b.firstSeen.IsZero()
	}
	return cmp.Or(a.firstSeen.Compare(b.firstSeen), cmp.Compare(a.machine, b.machine)) < 0
}

func root(group []int, i int) int {
	for group[i] != i {
		group[i] = group[group[i]]
		i = group[i]
	}
	return i
}

func join(group []int, a, b int) {
	a, b = root(group, a), root(group, b)
	group[max(a, b)] = min(a, b)
}

// deviceID names a device after the machine that founded it, so that it is the same
// whatever the order of arrival, and every machine's own id leads to its device.
func deviceID(tenant, machine string) string {
	sum := sha256.Sum256([]byte(tenant + "|" + machine))
	return "d-" + hex.EncodeToString(sum[:16])
}
