package gather

import (
	"hash/maphash"
	"slices"
)

// index finds tuples of small integers that are kept elsewhere, in the order in which
// they came. Unlike a map it copies no keys and is emptied without giving memory back.
type index struct {
	slots     []int32 // a power of two of them; position + 1, 0 = free
	count     int32
	followers []int32 // by position of the tuple before: the tuple that went with it last + 1
	key       []byte
}

var indexSeed = maphash.MakeSeed()

func (x *index) reset() {
	clear(x.slots)
	x.count, x.followers = 0, x.followers[:0]
}

// find gives the position of a tuple. One that is not known takes the next position; the
// caller keeps it there. at gives the tuples known.
func (x *index) find(tuple []int32, at func(int32) []int32) (position int32, known bool) {
	if int(x.count)*4 >= len(x.slots)*3 {
		x.grow(at)
	}
	slot := x.slot(tuple)
	for ; x.slots[slot] != 0; slot = (slot + 1) & (len(x.slots) - 1) {
		if position := x.slots[slot] - 1; slices.Equal(at(position), tuple) {
			return position, true
		}
	}
	x.count++
	x.slots[slot] = x.count
	return x.count - 1, false
}

func (x *index) slot(tuple []int32) int {
	x.key = x.key[:0]
	for _, v := range tuple {
		x.key = append(x.key, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return int(maphash.Bytes(indexSeed, x.key)) & (len(x.slots) - 1)
}

func (x *index) grow(at func(int32) []int32) {
	x.slots = make([]int32, max(64, 2*len(x.slots)))
	for position := range x.count {
		slot := x.slot(at(position))
		for x.slots[slot] != 0 {
			slot = (slot + 1) & (len(x.slots) - 1)
		}
		x.slots[slot] = position + 1
	}
}

// follower is the tuple that went with one of the table before the last time; -1 = none.
func (x *index) follower(before int32) int32 {
	if int(before) >= len(x.followers) {
		return -1
	}
	return x.followers[before] - 1
}

func (x *index) follow(before, position int32) {
	for int(before) >= len(x.followers) {
		x.followers = append(x.followers, 0)
	}
	x.followers[before] = position + 1
}
