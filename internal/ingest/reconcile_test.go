package ingest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"muster/internal/store"
)

// day is a source time; day 0 is "not given".
func day(n int) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n)
}

// life is a machine that lived from one day to another.
func life(machine, aad, mergedInto string, first, last int) node {
	return lived(machine, first, last, store.MatchKeys{EntraID: aad}).merged(mergedInto)
}

// lived is a machine with these keys that lived from one day to another.
func lived(machine string, first, last int, keys store.MatchKeys) node {
	return node{machine: machine, firstSeen: day(first), lastSeen: day(last), keys: matchKeys(keys), listed: true}
}

func (n node) merged(into string) node {
	n.mergedInto = into
	return n
}

// settled writes what became of every machine: "m>survivor", "m!" superseded, "@founder".
func settled(nodes []node) map[string]string {
	found := map[string]string{}
	for _, n := range nodes {
		text := ""
		if n.survivor >= 0 {
			text += ">" + nodes[n.survivor].machine
		}
		if n.superseded {
			text += "!"
		}
		found[n.machine] = text + "@" + nodes[n.founder].machine
	}
	return found
}

func TestReconcile(t *testing.T) {
	const zeroGUID = "00000000-0000-0000-0000-000000000000"
	const aad, other = "0f9f8e7d-0000-1111-2222-333344445555", "1a1a1a1a-0000-1111-2222-333344445555"
	for _, c := range []struct {
		rule  string
		nodes []node
		want  map[string]string
	}{
		{"nobody", nil, map[string]string{}},
		{"strangers stay apart", []node{life("a", aad, "", 1, 2), life("b", other, "", 3, 4), life("c", "", "", 5, 6)}, map[string]string{"a": "@a", "b": "@b", "c": "@c"}},

		{"merged into a known one", []node{life("a", "", "b", 2, 3), life("b", "", "", 1, 9)}, map[string]string{"a": ">b@b", "b": "@b"}},
		{"the device is named after its oldest machine", []node{life("a", "", "b", 1, 3), life("b", "", "", 2, 9)}, map[string]string{"a": ">b@a", "b": "@a"}},
		{"a chain is followed to its end", []node{life("a", "", "b", 3, 3), life("b", "", "c", 2, 2), life("c", "", "", 1, 9)}, map[string]string{"a": ">c@c", "b": ">c@c", "c": "@c"}},
		{"an unknown target leaves the machine as it was", []node{life("a", "", "gone", 1, 2)}, map[string]string{"a": "@a"}},
		{"a chain ends before an unknown target", []node{life("a", "", "b", 2, 2), life("b", "", "gone", 1, 1)}, map[string]string{"a": ">b@b", "b": "@b"}},
		{"into itself", []node{life("a", "", "a", 1, 2)}, map[string]string{"a": "@a"}},
		{"a circle of two", []node{life("a", "", "b", 1, 2), life("b", "", "a", 3, 4)}, map[string]string{"a": "@a", "b": "@b"}},
		{"a circle of three", []node{life("a", "", "b", 1, 2), life("b", "", "c", 3, 4), life("c", "", "a", 5, 6)}, map[string]string{"a": "@a", "b": "@b", "c": "@c"}},
		{"a chain into a circle", []node{life("a", "", "b", 1, 2), life("b", "", "c", 3, 4), life("c", "", "b", 5, 6)}, map[string]string{"a": "@a", "b": "@b", "c": "@c"}},
		{"several into one", []node{life("a", "", "c", 1, 1), life("b", "", "c", 2, 2), life("c", "", "", 3, 9)}, map[string]string{"a": ">c@a", "b": ">c@a", "c": "@a"}},

		{"re-imaged under a new id", []node{life("old", aad, "", 1, 5), life("new", aad, "", 6, 9)}, map[string]string{"old": "!@old", "new": "@old"}},
		{"the Entra id in another case", []node{life("old", aad, "", 1, 5), life("new", strings.ToUpper(aad), "", 6, 9)}, map[string]string{"old": "!@old", "new": "@old"}},
		{"three lives", []node{life("c", aad, "", 6, 9), life("a", aad, "", 1, 2), life("b", aad, "", 3, 5)}, map[string]string{"a": "!@a", "b": "!@a", "c": "@a"}},
		{"two alive at once share the id: nothing is joined", []node{life("a", aad, "", 1, 5), life("b", aad, "", 5, 9)}, map[string]string{"a": "@a", "b": "@b"}},
		{"one shared pair spoils the whole value", []node{life("a", aad, "", 1, 2), life("b", aad, "", 3, 6), life("c", aad, "", 5, 9)}, map[string]string{"a": "@a", "b": "@b", "c": "@c"}},
		{"a life without an end is alive", []node{life("a", aad, "", 1, 0), life("b", aad, "", 6, 9)}, map[string]string{"a": "@a", "b": "@b"}},
		{"a life without a beginning too", []node{life("a", aad, "", 1, 2), life("b", aad, "", 0, 9)}, map[string]string{"a": "@a", "b": "@b"}},
		{"zero is no id", []node{life("a", zeroGUID, "", 1, 2), life("b", zeroGUID, "", 3, 4)}, map[string]string{"a": "@a", "b": "@b"}},

		{"a merged machine does not make its id shared", []node{life("a", aad, "b", 1, 8), life("b", aad, "", 2, 9)}, map[string]string{"a": ">b@a", "b": "@a"}},
		{"merged, and its survivor re-imaged", []node{life("a", "", "b", 2, 3), life("b", aad, "", 1, 4), life("c", aad, "", 5, 9)}, map[string]string{"a": ">b@b", "b": "!@b", "c": "@b"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			nodes := slices.Clone(c.nodes)
			reconcile(nodes, nil)
			if diff := cmp.Diff(c.want, settled(nodes)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReconcileOrder settles any set of machines the same in any order of arrival, and
// keeps what must hold of every result.
func TestReconcileOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var nodes []node
		count := rapid.IntRange(0, 9).Draw(t, "machines")
		for i := range count {
			first := rapid.IntRange(0, 6).Draw(t, "first")
			nodes = append(nodes, life(fmt.Sprintf("m%d", i),
				rapid.SampledFrom([]string{"", "x", "X", "y"}).Draw(t, "aad"),
				rapid.SampledFrom([]string{"", "", "gone", "m0", "m1", "m2", "m3", "m8"}).Draw(t, "merged into"),
				first, first+rapid.IntRange(0, 3).Draw(t, "days")))
		}
		arrived := rapid.Permutation(nodes).Draw(t, "order")
		arrived = slices.Clone(arrived)
		reconcile(nodes, nil)
		reconcile(arrived, nil)
		want := settled(nodes)
		if diff := cmp.Diff(want, settled(arrived)); diff != "" {
			t.Fatalf("in another order (-first +second):\n%s", diff)
		}
		for i, n := range nodes {
			switch {
			case n.survivor == i:
				t.Fatalf("%s survives itself", n.machine)
			case n.survivor >= 0 && nodes[n.survivor].survivor >= 0 && nodes[nodes[n.survivor].survivor].mergedInto != "":
				t.Fatalf("%s stops half way at %s", n.machine, nodes[n.survivor].machine)
			case n.survivor >= 0 && n.founder != nodes[n.survivor].founder:
				t.Fatalf("%s and its survivor are two devices", n.machine)
			case n.survivor >= 0 && n.superseded:
				t.Fatalf("%s is merged and superseded", n.machine)
			case nodes[n.founder].founder != n.founder:
				t.Fatalf("the founder of %s has another founder", n.machine)
			case byAge(&n, &nodes[n.founder]) < 0:
				t.Fatalf("%s is older than its founder", n.machine)
			}
		}
	})
}

func TestDeviceID(t *testing.T) {
	id := deviceID("t", "m")
	if id != deviceID("t", "m") || id == deviceID("t", "n") || id == deviceID("u", "m") {
		t.Error("an id is not its machine's own")
	}
	if !strings.HasPrefix(id, "d-") || len(id) != 34 {
		t.Errorf("id %q", id)
	}
}
