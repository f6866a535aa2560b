package defender

import "hash/maphash"

const (
	internedSets = 1 << 15 // two texts each; a power of two
	maxInterned  = 192     // bytes; longer texts are rarely the same
)

// interner returns equal strings for equal bytes without allocating again. It is
// a cache of fixed size, so what a source sends cannot make it grow: a text that
// has not come for a while gives way to another.
type interner struct {
	seed maphash.Seed
	sets [][2]string // the one used later first
}

// newInterner makes one of so many sets, a power of two.
func newInterner(sets int) *interner {
	return &interner{seed: maphash.MakeSeed(), sets: make([][2]string, sets)}
}

func (t *interner) get(text []byte) string {
	if len(text) > maxInterned {
		return string(text)
	}
	set := &t.sets[maphash.Bytes(t.seed, text)&uint64(len(t.sets)-1)]
	if set[0] == string(text) {
		return set[0]
	}
	if set[1] != string(text) {
		set[1] = string(text)
	}
	set[0], set[1] = set[1], set[0]
	return set[0]
}
