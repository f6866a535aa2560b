package gather

import (
	"encoding/json"
	"slices"
	"strings"

	"muster/internal/defender"
)

// objectOf writes members as one JSON object, sorted by name, so that the same
// properties are the same text whatever their order at the source.
func objectOf(members []defender.Member) string {
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b defender.Member) int { return strings.Compare(a.Name, b.Name) })
	var text strings.Builder
	for i, m := range members {
		text.WriteByte("{,"[min(i, 1)])
		name, err := json.Marshal(m.Name)
		if err != nil {
			panic(err) // a string always encodes
		}
		text.Write(name)
		text.WriteByte(':')
		text.Write(m.Value)
	}
	text.WriteByte('}')
	return text.String()
}
