package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"muster/internal/store"
)

// What follows recomputes, for whoever verifies a database, what this package derives.

// PresentMachines reads the list of machines that a dataset's state holds.
func PresentMachines(data []byte) ([]int64, error) {
	p, err := decodePresence(data)
	if err == nil && !slices.IsSorted(p) {
		err = fmt.Errorf("machines of the last read are out of order: %w", store.ErrDamaged)
	}
	return p, err
}

// ScopeHolds reads the encoded scope of a run.
func ScopeHolds(data []byte) error {
	_, err := decodeScope(data, numberTime(0))
	return err
}

// SegmentHolds reads a staged segment to its end: every chunk's checksum, the order of
// its records and their number.
func SegmentHolds(ctx context.Context, staging store.Staging, segment store.Segment) error {
	r := &segmentReader{staging: staging, segment: segment}
	var last record
	for n := 0; ; n++ {
		ok, err := r.advance(ctx)
		if err != nil {
			return err
		}
		if !ok {
			if n != segment.Records {
				return fmt.Errorf("segment %d has %d records, not %d: %w", segment.ID, n, segment.Records, store.ErrDamaged)
			}
			return nil
		}
		if n > 0 && (r.key < last.key || r.key == last.key && r.item < last.item) {
			return fmt.Errorf("segment %d is out of order: %w", segment.ID, store.ErrDamaged)
		}
		last = record{key: r.key, item: r.item}
	}
}

// FactsHash addresses a document of facts.
func FactsHash(document []byte) [16]byte {
	sum := sha256.Sum256(document)
	return [16]byte(sum[:16])
}

// EvidenceHolds tells whether an evidence's address is that of its paths.
func EvidenceHolds(key []byte, e store.Evidence) bool {
	var disk, registry []string
	if json.Unmarshal([]byte(e.DiskPaths), &disk) != nil || json.Unmarshal([]byte(e.RegistryPaths), &registry) != nil {
		return false
	}
	hashed := append(appendPaths(slices.Clone(key), disk), 0)
	sum := sha256.Sum256(appendPaths(hashed, registry))
	return [16]byte(sum[:16]) == e.Hash
}
