package ingest

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"math/bits"

	"muster/internal/store"
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
	h := d.hash(r)
	d.a += h
	d.b += mix(h ^ 0x9e3779b97f4a7c15)
	d.number++
}

// remove takes a row out of the sum again.
func (d *digest) remove(r *row) {
	h := d.hash(r)
	d.a -= h
	d.b -= mix(h ^ 0x9e3779b97f4a7c15)
	d.number--
}

func (d *digest) hash(r *row) uint64 {
	low, high := binary.LittleEndian.Uint64(r.evidence[:8]), binary.LittleEndian.Uint64(r.evidence[8:])
	h := d.seed
	for _, v := range [...]uint64{uint64(r.item), uint64(r.facts), low, high, uint64(r.number)} {
		h = mix(h ^ v)
	}
	return h
}

// mix is a 64-bit finalizer: the folded product of two odd constants.
func mix(x uint64) uint64 {
	high, low := bits.Mul64(x^0xa0761d6478bd642f, 0xe7037ed1a0b428db)
	return high ^ low ^ bits.RotateLeft64(x, 29)
}

const sumSize = 32

func (d *digest) sum() []byte {
	return appendNumbers(make([]byte, 0, sumSize), d.seed, d.a, d.b, d.number)
}

// remainder continues a sum: rows that were read and are not stored as they came, less
// what is stored instead. Only those whose source gives a later first seen than before,
// and those without a CVE, which make software.
type remainder struct{ digest }

func newRemainder(sum []byte) *remainder {
	var r remainder
	if len(sum) >= sumSize {
		r.seed = binary.LittleEndian.Uint64(sum)
	}
	return &r
}

// after gives the digest to be stored: the sum, and the remainder if there is one.
func (r *remainder) after(sum []byte) []byte {
	if r.a|r.b|r.number == 0 {
		return sum
	}
	return appendNumbers(sum, r.a, r.b, r.number)
}

func appendNumbers(out []byte, numbers ...uint64) []byte {
	for _, v := range numbers {
		out = binary.LittleEndian.AppendUint64(out, v)
	}
	return out
}

// DigestHolds tells whether a stored digest is that of a machine's open rows, which may
// come in any order.
func DigestHolds(stored []byte, open []store.Item) bool {
	if len(stored) != sumSize && len(stored) != sumSize+24 {
		return false
	}
	d := newRemainder(stored).digest
	for i := range open {
		d.add(&row{item: open[i].ID, facts: open[i].Facts, evidence: open[i].Evidence, number: open[i].Number})
	}
	if more := stored[sumSize:]; len(more) > 0 {
		d.a += binary.LittleEndian.Uint64(more)
		d.b += binary.LittleEndian.Uint64(more[8:])
		d.number += binary.LittleEndian.Uint64(more[16:])
	}
	return bytes.Equal(d.sum(), stored[:sumSize])
}
