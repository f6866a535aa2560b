package ingest

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"muster"
	"muster/internal/store"
)

// presence is the machines that had rows in a read, in or out of scope, in id order.
type presence []int64

// present reads it off the staged segments, with the number of rows in scope that came
// twice: they must not hide a loss.
func (m *merge) present(ctx context.Context, dataset muster.Dataset) (p presence, doubles int64, err error) {
	var last record
	for r, err := range records(ctx, m.stores, m.run.ID, dataset, 0) {
		if err != nil {
			return nil, 0, err
		}
		if r.key == last.key && r.item == last.item && r.item < presentItem {
			doubles++
		}
		last.key, last.item = r.key, r.item
		if n := len(p); n == 0 || p[n-1] != int64(r.key) {
			p = append(p, int64(r.key))
		}
	}
	return p, doubles, nil
}

// without counts those of p that now lacks.
func (p presence) without(now presence) (lost int64) {
	for _, machine := range p {
		if _, found := slices.BinarySearch(now, machine); !found {
			lost++
		}
	}
	return lost
}

// encode writes the distances from each id to the next.
func (p presence) encode() []byte {
	var out []byte
	var last int64
	for _, machine := range p {
		out = binary.AppendUvarint(out, uint64(machine-last))
		last = machine
	}
	return out
}

func decodePresence(data []byte) (presence, error) {
	var p presence
	var last int64
	for len(data) > 0 {
		distance, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, fmt.Errorf("machines of the last read: %w", store.ErrDamaged)
		}
		last += int64(distance)
		p, data = append(p, last), data[n:]
	}
	return p, nil
}
