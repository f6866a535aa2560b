package ingest

import (
	"bytes"
	"context"
	"encoding/json"

	"muster/internal/store"
)

// Two rows of one machine and item are doubles: a part that was read again, or rows of
// two machines of which one was merged into the other. They become one row whatever
// their order: facts of the one seen last, the earliest first seen, the paths of both.

// fold takes doubles into r, which was seen last of them.
func (m *merge) fold(ctx context.Context, r *row, doubles []row) error {
	for i := range doubles {
		d := &doubles[i]
		if d.number != store.Null && (r.number == store.Null || d.number < r.number) {
			r.number = d.number
		}
		var err error
		if r.evidence, err = m.unite(ctx, r.evidence, d.evidence); err != nil {
			return err
		}
		if d.seen != r.seen || d.facts == r.facts {
			continue
		}
		// Ids differ between databases: the greater text decides.
		texts, err := m.stores.FactsOf(ctx, []int64{r.facts, d.facts})
		if err != nil {
			return err
		}
		if bytes.Compare(texts[d.facts], texts[r.facts]) > 0 {
			r.facts = d.facts
		}
	}
	return nil
}

// unite gives the evidence that holds the paths of both.
func (m *merge) unite(ctx context.Context, a, b [16]byte) ([16]byte, error) {
	var none [16]byte
	switch {
	case a == b || b == none:
		return a, nil
	case a == none:
		return b, nil
	}
	pair := [2][16]byte{a, b}
	if u, known := m.united[pair]; known {
		return u, nil
	}
	both, err := m.stores.EvidenceOf(ctx, pair[:])
	if err != nil {
		return none, err
	}
	var disks, registries []string
	for _, h := range pair {
		var disk, registry []string
		if err := json.Unmarshal([]byte(both[h].DiskPaths), &disk); err != nil {
			return none, err
		}
		if err := json.Unmarshal([]byte(both[h].RegistryPaths), &registry); err != nil {
			return none, err
		}
		disks, registries = append(disks, disk...), append(registries, registry...)
	}
	hashes, err := m.dictionary.saveEvidence(ctx, 1, func(int) (disk, registry []string) { return disks, registries })
	if err != nil {
		return none, err
	}
	if len(m.united) >= evidenceCache {
		clear(m.united)
	}
	m.united[pair] = hashes[0]
	return hashes[0], nil
}
