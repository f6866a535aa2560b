package gather

import (
	"encoding/binary"
	"hash/maphash"
)

// index finds texts, lists and tuples that are kept elsewhere, numbered in the order in
// which they came. Unlike a map it holds no keys, and is emptied without giving memory back.
type index struct {
	slots     []uint64 // a power of two of them; 32 bits of hash, then the number + 1; 0 = free
	count     int
	followers []int32 // by the number of what came before: the number that went with it last + 1
}

var seed = maphash.MakeSeed()

func hashText(s string) uint64 { return maphash.String(seed, s) }

// hashCells uses key as its memory and gives it back.
func hashCells(cells []int32, key []byte) (uint64, []byte) {
	key = key[:0]
	for _, c := range cells {
		key = binary.LittleEndian.AppendUint32(key, uint32(c))
	}
	return maphash.Bytes(seed, key), key
}

func (x *index) reset() {
	clear(x.slots)
	x.count, x.followers = 0, x.followers[:0]
}

// find gives the number of what has this hash and is the same. What is not known takes
// the next number; the caller keeps it.
func (x *index) find(hash uint64, same func(int32) bool) (number int32, known bool) {
	if x.count*4 >= len(x.slots)*3 {
		x.grow()
	}
	hash >>= 32
	slot := hash & uint64(len(x.slots)-1)
	for ; x.slots[slot] != 0; slot = (slot + 1) & uint64(len(x.slots)-1) {
		if number := int32(uint32(x.slots[slot])) - 1; x.slots[slot]>>32 == hash && same(number) {
			return number, true
		}
	}
	x.count++
	x.slots[slot] = hash<<32 | uint64(x.count)
	return int32(x.count - 1), false
}

func (x *index) grow() {
	old := x.slots
	x.slots = make([]uint64, max(64, 2*len(old)))
	for _, s := range old {
		if s == 0 {
			continue
		}
		slot := s >> 32 & uint64(len(x.slots)-1)
		for x.slots[slot] != 0 {
			slot = (slot + 1) & uint64(len(x.slots)-1)
		}
		x.slots[slot] = s
	}
}

// follower is the number that went with an earlier one the last time; -1 = none.
func (x *index) follower(before int32) int32 {
	if int(before) >= len(x.followers) {
		return -1
	}
	return x.followers[before] - 1
}

func (x *index) follow(before, number int32) {
	for int(before) >= len(x.followers) {
		x.followers = append(x.followers, 0)
	}
	x.followers[before] = number + 1
}
