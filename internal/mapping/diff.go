package mapping

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
)

// Change is one attribute that differs between two documents.
type Change struct {
	Attribute string
	Old, New  []byte // JSON value; nil = absent
}

// Diff compares two documents as AppendJSON writes them, sorted by attribute; nil and
// what is no object have no attributes. Heartbeats are no differences.
func Diff(before, after []byte) []Change {
	a, b := members(before), members(after)
	var changes []Change
	for name, old := range a {
		if heartbeats()[name] {
			continue
		}
		if now, ok := b[name]; !ok || string(now) != string(old) {
			changes = append(changes, Change{name, old, now})
		}
	}
	for name, now := range b {
		if _, ok := a[name]; !ok && !heartbeats()[name] {
			changes = append(changes, Change{name, nil, now})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Attribute, b.Attribute) })
	return changes
}

var heartbeats = sync.OnceValue(func() map[string]bool {
	keys := map[string]bool{}
	for _, a := range Attributes() {
		if a.Heartbeat {
			keys[a.Key] = true
		}
	}
	return keys
})

func members(document []byte) map[string]json.RawMessage {
	var all map[string]json.RawMessage
	if json.Unmarshal(document, &all) != nil {
		return nil
	}
	return all
}
