package ingest

import (
	"encoding/binary"
	"hash/fnv"
	"math/bits"
)

// digest sums the rows of a machine in 128 bits, without their last seen. A sum does
// not depend on order and, unlike XOR, does not cancel doubles.
type digest struct {
	seed   uint64 // of the mapping version: another mapping, another digest
	a, b   uint64
	number uint64
}

func newDigest(mappingVersion string) digest {
	h := fnv.New64a()
	h.Write([]byte(mappingVersion))
	return digest{seed: h.Sum64()}
}

func (d *digest) add(r *row) {
	low, high := binary.LittleEndian.Uint64(r.evidence[:8]), binary.LittleEndian.Uint64(r.evidence[8:])
	h := d.seed
	for _, v := range [...]uint64{uint64(r.item), uint64(r.facts), low, high, uint64(r.number)} {
		h = mix(h ^ v)
	}
	d.a += h
	d.b += mix(h ^ 0x9e3779b97f4a7c15)
	d.number++
}

// mix is a 64-bit finalizer: the folded product of two odd constants.
func mix(x uint64) uint64 {
	high, low := bits.Mul64(x^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
	return high ^ low ^ bits.RotateLeft64(x, 29)
}

func (d *digest) sum() []byte {
	out := make([]byte, 0, 32)
	for _, v := range [...]uint64{d.seed, d.a, d.b, d.number} {
		out = binary.LittleEndian.AppendUint64(out, v)
	}
	return out
}
