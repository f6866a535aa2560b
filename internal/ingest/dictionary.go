package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"

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
}

// evidenceCache bounds the hashes remembered as stored: forgetting one costs an insert
// that changes nothing.
const evidenceCache = 1 << 20

func newDictionary(ctx context.Context, s store.Dictionary) (*dictionary, error) {
	key, err := s.HashKey(ctx)
	return &dictionary{store: s, hashKey: key, cves: map[string]int64{}, software: map[store.SoftwareKey]int64{}, exposures: map[store.ExposureKey]int64{},
		checks: map[string]int64{}, facts: map[[16]byte]int64{}, evidence: map[[16]byte]bool{}}, err
}

// resolve gives the ids of keys, asking fetch once for those the cache lacks.
func resolve[K comparable](cache map[K]int64, keys []K, fetch func([]K) ([]int64, error)) ([]int64, error) {
	var missing []K
	asked := map[K]bool{}
	for _, k := range keys {
		if _, ok := cache[k]; !ok && !asked[k] {
			asked[k] = true
			missing = append(missing, k)
		}
	}
	if len(missing) > 0 {
		ids, err := fetch(missing)
		if err != nil {
			return nil, err
		}
		for i, k := range missing {
			cache[k] = ids[i]
		}
	}
	ids := make([]int64, len(keys))
	for i, k := range keys {
		ids[i] = cache[k]
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

// factsIDs addresses documents by their hash.
func (d *dictionary) factsIDs(ctx context.Context, documents [][]byte) ([]int64, error) {
	hashes := make([][16]byte, len(documents))
	byHash := map[[16]byte][]byte{}
	for i, doc := range documents {
		sum := sha256.Sum256(doc)
		hashes[i] = [16]byte(sum[:16])
		byHash[hashes[i]] = doc
	}
	return resolve(d.facts, hashes, func(missing [][16]byte) ([]int64, error) {
		facts := make([]store.Facts, len(missing))
		for i, h := range missing {
			facts[i] = store.Facts{Hash: h, Document: byHash[h]}
		}
		return d.store.FactsIDs(ctx, facts)
	})
}

// saveEvidence stores what is new and returns the address of each pair of path lists;
// the zero address stands for no paths at all.
func (d *dictionary) saveEvidence(ctx context.Context, paths []evidencePaths) ([][16]byte, error) {
	hashes := make([][16]byte, len(paths))
	var missing []store.Evidence
	for i, p := range paths {
		if len(p.disk) == 0 && len(p.registry) == 0 {
			continue
		}
		disk, registry := pathList(p.disk), pathList(p.registry)
		h := d.hash(disk, registry)
		if hashes[i] = h; d.evidence[h] {
			continue
		}
		if len(d.evidence) >= evidenceCache {
			clear(d.evidence)
		}
		missing = append(missing, store.Evidence{Hash: h, DiskPaths: disk, RegistryPaths: registry})
	}
	if err := d.store.SaveEvidence(ctx, missing); err != nil {
		return nil, err
	}
	for _, e := range missing {
		d.evidence[e.Hash] = true
	}
	return hashes, nil
}

type evidencePaths struct{ disk, registry []string }

// hash is keyed, because paths are texts that an attacker on a machine may choose.
func (d *dictionary) hash(disk, registry string) [16]byte {
	h := sha256.New()
	h.Write(d.hashKey)
	h.Write([]byte(disk))
	h.Write([]byte{0})
	h.Write([]byte(registry))
	return [16]byte(h.Sum(nil)[:16])
}

// pathList is a sorted JSON array without doubles.
func pathList(paths []string) string {
	paths = slices.Clone(paths)
	slices.Sort(paths)
	paths = slices.Compact(paths)
	if len(paths) == 0 {
		return "[]"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(paths); err != nil {
		panic(err) // strings always encode
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}
