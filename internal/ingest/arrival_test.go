package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"muster"
	"muster/internal/store"
)

// world holds machines as Muster comes to know them, list after list.
type world struct {
	nodes    []node
	verdicts map[[2]string]bool // by machines, true = apart
}

// list reconciles after a list of these machines: new ones and known ones as they are now.
func (w *world) list(machines ...node) {
	for _, m := range machines {
		at := slices.IndexFunc(w.nodes, func(n node) bool { return n.machine == m.machine && n.tenant == m.tenant })
		if at < 0 {
			w.nodes = append(w.nodes, m)
			continue
		}
		m.known, m.held = w.nodes[at].known, w.nodes[at].held
		w.nodes[at] = m
	}
	var verdicts []verdict
	for pair, apart := range w.verdicts {
		a, b := w.find(pair[0]), w.find(pair[1])
		if a >= 0 && b >= 0 {
			verdicts = append(verdicts, verdict{a, b, apart})
		}
	}
	reconcile(w.nodes, verdicts)
	for i := range w.nodes {
		w.nodes[i].known = true
	}
}

func (w *world) find(machine string) int {
	return slices.IndexFunc(w.nodes, func(n node) bool { return n.machine == machine })
}

// partition lists the devices by their machines, "a b!" where b is superseded.
func (w *world) partition() []string {
	devices := map[int][]string{}
	for _, n := range w.nodes {
		name := n.machine
		if n.superseded {
			name += "!"
		}
		if n.survivor >= 0 {
			name += ">" + w.nodes[n.survivor].machine
		}
		devices[n.founder] = append(devices[n.founder], name)
	}
	var all []string
	for _, machines := range devices {
		slices.Sort(machines)
		all = append(all, strings.Join(machines, " "))
	}
	slices.Sort(all)
	return all
}

// reasons lists why machines are together, "b entra_device_id a".
func (w *world) reasons() []string {
	var all []string
	for _, n := range w.nodes {
		for _, l := range n.links {
			all = append(all, fmt.Sprintf("%s %s %s", n.machine, l.reason, w.nodes[l.partner].machine))
		}
	}
	slices.Sort(all)
	return all
}

// state is everything that reconciliation has found.
func (w *world) state() map[string]any {
	held := map[string][]store.GroupKey{}
	for _, n := range w.nodes {
		if len(n.held) > 0 {
			held[n.machine] = n.held
		}
	}
	return map[string]any{"devices": w.partition(), "settled": settled(w.nodes), "reasons": w.reasons(), "held": held}
}

func anyMachine(i int) *rapid.Generator[node] {
	return rapid.Custom(func(t *rapid.T) node {
		first := rapid.IntRange(0, 9).Draw(t, "first")
		last := first + rapid.IntRange(0, 3).Draw(t, "days")
		if rapid.IntRange(0, 9).Draw(t, "endless") == 0 {
			last = 0
		}
		hostName := rapid.SampledFrom([]string{"", "h1", "h2", "h3"}).Draw(t, "host")
		k := store.MatchKeys{
			EntraID: rapid.SampledFrom([]string{"", "", "x", "y"}).Draw(t, "entra"), VMID: rapid.SampledFrom([]string{"", "", "", "v", "w"}).Draw(t, "vm"), HostName: hostName,
			MACs: rapid.SampledFrom([][]string{nil, {mac1}, {mac2}, {mac1, mac2}, {mac3}}).Draw(t, "macs"),
		}
		if domain := rapid.SampledFrom([]string{"", ".d", ".e"}).Draw(t, "domain"); hostName != "" && domain != "" {
			k.FQDN = hostName + domain
		}
		n := lived(fmt.Sprintf("m%d", i), first, last, k).merged(rapid.SampledFrom([]string{"", "", "", "", "", "gone", "m0", "m1", "m2", "m5"}).Draw(t, "merged into"))
		n.id, n.tenant = int64(i+1), 1
		return n
	})
}

const mac1, mac2, mac3 = "00:00:5E:00:53:01", "00:00:5E:00:53:02", "00:00:5E:00:53:03"

func anyMachines(t *rapid.T) []node {
	var all []node
	for i := range rapid.IntRange(0, 8).Draw(t, "machines") {
		all = append(all, anyMachine(i).Draw(t, "machine"))
	}
	return all
}

func anyVerdicts(t *rapid.T, machines []node) map[[2]string]bool {
	verdicts := map[[2]string]bool{}
	if len(machines) < 2 {
		return verdicts
	}
	for range rapid.IntRange(0, 3).Draw(t, "decisions") {
		a, b := rapid.SampledFrom(machines).Draw(t, "one"), rapid.SampledFrom(machines).Draw(t, "other")
		if a.machine < b.machine {
			verdicts[[2]string{a.machine, b.machine}] = rapid.Bool().Draw(t, "apart")
		}
	}
	return verdicts
}

// arrive lets machines come in some order, some at once, with lists between them that
// bring nothing new.
func arrive(t *rapid.T, w *world, machines []node) {
	order := rapid.Permutation(machines).Draw(t, "order")
	for len(order) > 0 {
		n := rapid.IntRange(1, len(order)).Draw(t, "at once")
		w.list(order[:n]...)
		order = order[n:]
		if rapid.Bool().Draw(t, "again") {
			w.list()
		}
	}
}

// TestArrivalOrder: the same machines make the same devices for the same reasons, in
// whatever order and in however many lists they come.
func TestArrivalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		machines := anyMachines(t)
		verdicts := anyVerdicts(t, machines)
		together, apart := &world{verdicts: verdicts}, &world{verdicts: verdicts}
		together.list(machines...)
		arrive(t, apart, machines)
		if diff := cmp.Diff(together.state(), apart.state()); diff != "" {
			t.Fatalf("(-at once +one after the other):\n%s", diff)
		}
	})
}

// later is a machine as a later list may have it: it lives on, comes back, is renamed;
// strong keys stay.
func later(t *rapid.T, n node) node {
	other := anyMachine(0).Draw(t, "later")
	if rapid.Bool().Draw(t, "renamed") {
		keys := store.MatchKeys{HostName: other.keys.HostName, FQDN: other.keys.FQDN, MACs: other.keys.MACs}
		n.keys = orBefore(keys, n.keys)
	}
	if rapid.Bool().Draw(t, "lived on") && !n.lastSeen.IsZero() {
		n.lastSeen = n.lastSeen.AddDate(0, 0, rapid.IntRange(0, 9).Draw(t, "days more"))
	}
	return n
}

// TestKnownKeepTheirDevice: whatever becomes of known machines but a new strong key or a
// merge, their devices stay as they are.
func TestKnownKeepTheirDevice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{verdicts: map[[2]string]bool{}}
		arrive(t, w, anyMachines(t))
		devices := func() map[string]string {
			found := map[string]string{}
			for _, n := range w.nodes {
				found[n.machine] = w.nodes[n.founder].machine
			}
			return found
		}
		before := devices()
		for range rapid.IntRange(1, 3).Draw(t, "lists") {
			var changed []node
			for _, n := range w.nodes {
				changed = append(changed, later(t, n))
			}
			w.list(changed...)
			if diff := cmp.Diff(before, devices()); diff != "" {
				t.Fatalf("%v (-before +after):\n%s", w.reasons(), diff)
			}
		}
	})
}

// TestNewcomersJoinNoTwoDevices: after any history, what a new machine that is younger than
// the others brings by weak keys joins no two devices, and moves nobody.
func TestNewcomersJoinNoTwoDevices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{verdicts: map[[2]string]bool{}}
		machines := anyMachines(t)
		for i := range machines {
			if n := &machines[i]; n.firstSeen.IsZero() || n.lastSeen.IsZero() { // else it would be the youngest, or alive for ever
				n.firstSeen, n.lastSeen = day(8), day(9)
			}
		}
		arrive(t, w, machines)
		var changed []node
		for _, n := range w.nodes {
			changed = append(changed, later(t, n))
		}
		w.list(changed...)
		before := settled(w.nodes)
		n := anyMachine(9).Draw(t, "newcomer").merged("")
		n.keys.EntraID, n.keys.VMID = "", ""
		n.firstSeen, n.lastSeen = day(40), day(41)
		w.list(n)
		after := settled(w.nodes)
		delete(after, n.machine)
		for machine := range before { // who is superseded may change by it
			before[machine], after[machine] = strings.Replace(before[machine], "!", "", 1), strings.Replace(after[machine], "!", "", 1)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("%v (-before +after):\n%s", w.reasons(), diff)
		}
		if links := w.nodes[len(w.nodes)-1].links; len(links) > 1 || len(links) == 1 && links[0].reason != muster.JoinedByMACAndHost && links[0].reason != muster.JoinedByFQDN {
			t.Fatalf("the newcomer has the links %v", links)
		}
	})
}
