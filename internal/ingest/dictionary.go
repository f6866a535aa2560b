package ingest

import (
	"context"
	"crypto/sha256"
	"slices"

	"muster/internal/mapping"
	"muster/internal/store"
)

// dictionary caches ids of texts. An id enters the cache only after the transaction
// that made it has been committed.
type dictionary struct {
	store     store.Dictionary
	hashKey   []byte
	cves      map[string]int64
	software  map[store.SoftwareKey]int64
	exposures map[store.ExposureKey]int64
	checks    map[string]int64
	facts     map[[16]byte]int64
	met       map[string]int64  // CVEs that any row has named, as of the catalogue reading
	evidence  map[[16]byte]bool // known to be stored; bounded
	hashed    []byte            // memory for what is hashed
}

// evidenceCache bounds the hashes remembered as stored: forgetting one costs an insert
// that changes nothing.
const evidenceCache = 1 << 20

func newDictionary(ctx context.Context, s store.Dictionary) (*dictionary, error) {
	key, err := s.HashKey(ctx)
	return &dictionary{
		store: s, hashKey: key, cves: map[string]int64{}, software: map[store.SoftwareKey]int64{}, exposures: map[store.ExposureKey]int64{},
		checks: map[string]int64{}, facts: map[[16]byte]int64{}, evidence: map[[16]byte]bool{},
	}, err
}

// resolve gives the ids of keys, asking fetch once for those the cache lacks.
func resolve[K comparable](cache map[K]int64, keys []K, fetch func([]K) ([]int64, error)) ([]int64, error) {
	ids := make([]int64, len(keys))
	var unknown []int // positions
	for i, k := range keys {
		id, ok := cache[k]
		if ids[i] = id; !ok {
			unknown = append(unknown, i)
		}
	}
	if len(unknown) == 0 {
		return ids, nil
	}
	var missing []K
	asked := make(map[K]bool, len(unknown))
	for _, i := range unknown {
		if k := keys[i]; !asked[k] {
			asked[k] = true
			missing = append(missing, k)
		}
	}
	found, err := fetch(missing)
	if err != nil {
		return nil, err
	}
	for i, k := range missing {
		cache[k] = found[i]
	}
	for _, i := range unknown {
		ids[i] = cache[keys[i]]
	}
	return ids, nil
}

func (d *dictionary) cveIDs(ctx context.Context, cves []string) ([]int64, error) {
	return resolve(d.cves, cves, func(missing []string) ([]int64, error) { return d.store.CVEIDs(ctx, missing) })
}

func (d *dictionary) softwareIDs(ctx context.Context, keys []store.SoftwareKey) ([]int64, error) {
	return resolve(d.software, keys, func(missing []store.SoftwareKey) ([]int64, error) { return d.store.SoftwareIDs(ctx, missing) })
}

func (d *dictionary) exposureIDs(ctx context.Context, keys []store.ExposureKey) ([]int64, error) {
	return resolve(d.exposures, keys, func(missing []store.ExposureKey) ([]int64, error) { return d.store.ExposureIDs(ctx, missing) })
}

func (d *dictionary) configurationIDs(ctx context.Context, ids []string) ([]int64, error) {
	return resolve(d.checks, ids, func(missing []string) ([]int64, error) { return d.store.ConfigurationIDs(ctx, missing) })
}

// factsIDs addresses n documents by their hash; each is asked for once, in order, and
// used before the next.
func (d *dictionary) factsIDs(ctx context.Context, n int, document func(i int) []byte) ([]int64, error) {
	hashes := make([][16]byte, n)
	unknown := map[[16]byte][]byte{}
	for i := range hashes {
		text := document(i)
		sum := sha256.Sum256(text)
		h := [16]byte(sum[:16])
		if hashes[i] = h; d.facts[h] == 0 && unknown[h] == nil {
			unknown[h] = slices.Clone(text)
		}
	}
	return resolve(d.facts, hashes, func(missing [][16]byte) ([]int64, error) {
		facts := make([]store.Facts, len(missing))
		for i, h := range missing {
			facts[i] = store.Facts{Hash: h, Document: unknown[h]}
		}
		return d.store.FactsIDs(ctx, facts)
	})
}

// saveEvidence stores what is new of n pairs of path lists and returns the address of
// each; the zero address stands for no paths at all. Each pair is asked for once, in
// order, used before the next, and sorted in place.
func (d *dictionary) saveEvidence(ctx context.Context, n int, paths func(i int) (disk, registry []string)) ([][16]byte, error) {
	hashes := make([][16]byte, n)
	var missing []store.Evidence
	for i := range hashes {
		disk, registry := paths(i)
		if len(disk) == 0 && len(registry) == 0 {
			continue
		}
		// Keyed, because paths are texts that an attacker on a machine may choose.
		d.hashed = appendPaths(append(d.hashed[:0], d.hashKey...), disk)
		middle := len(d.hashed)
		d.hashed = appendPaths(append(d.hashed, 0), registry)
		sum := sha256.Sum256(d.hashed)
		h := [16]byte(sum[:16])
		if hashes[i] = h; d.evidence[h] {
			continue
		}
		missing = append(missing, store.Evidence{Hash: h, DiskPaths: string(d.hashed[len(d.hashKey):middle]), RegistryPaths: string(d.hashed[middle+1:])})
	}
	if err := d.store.SaveEvidence(ctx, missing); err != nil {
		return nil, err
	}
	if len(d.evidence)+len(missing) > evidenceCache {
		clear(d.evidence)
	}
	for _, e := range missing {
		d.evidence[e.Hash] = true
	}
	return hashes, nil
}

// appendPaths writes a sorted JSON array without doubles.
func appendPaths(buf []byte, paths []string) []byte {
	slices.Sort(paths)
	buf = append(buf, '[')
	for i, p := range slices.Compact(paths) {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = mapping.AppendString(buf, p)
	}
	return append(buf, ']')
}
