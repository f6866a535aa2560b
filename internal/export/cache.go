package export

import (
	"context"
	"maps"
	"slices"

	"muster/internal/store"
)

// Bounds of the caches, in entries: a few ten megabytes at most.
const (
	cachedFacts     = 32 << 10
	cachedEvidence  = 16 << 10
	cachedExposures = 64 << 10
)

// cache reads values by id in batches and remembers a bounded number of them.
type cache[K comparable, V any] struct {
	limit int
	held  map[K]V
	fetch func(ctx context.Context, keys []K) (map[K]V, error)
}

func newCache[K comparable, V any](limit int, fetch func(context.Context, []K) (map[K]V, error)) *cache[K, V] {
	return &cache[K, V]{limit, map[K]V{}, fetch}
}

// load makes sure that all of keys are held until the next load.
func (c *cache[K, V]) load(ctx context.Context, keys []K) error {
	wanted := make(map[K]bool, len(keys))
	var missing []K
	for _, k := range keys {
		if !wanted[k] {
			wanted[k] = true
			if _, ok := c.held[k]; !ok {
				missing = append(missing, k)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if len(c.held)+len(missing) > c.limit {
		for k := range c.held {
			if !wanted[k] {
				delete(c.held, k)
			}
		}
	}
	found, err := c.fetch(ctx, missing)
	maps.Copy(c.held, found)
	return err
}

// facts is a facts document by target attribute.
type facts map[string]cell

func (e *exporter) readFacts(ctx context.Context, ids []int64) (map[int64]facts, error) {
	documents, err := e.stores.FactsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[int64]facts, len(documents))
	for id, raw := range documents {
		members, err := document(raw)
		if err != nil {
			return nil, err
		}
		f := make(facts, len(members))
		for name, v := range members {
			f[name] = value(v)
		}
		found[id] = f
	}
	return found, nil
}

// loadRows loads the facts and evidence of rows.
func (e *exporter) loadRows(ctx context.Context, items []store.Item) error {
	ids := make([]int64, len(items))
	var hashes [][16]byte
	for i := range items {
		ids[i] = items[i].Facts
		if items[i].Evidence != [16]byte{} {
			hashes = append(hashes, items[i].Evidence)
		}
	}
	if err := e.facts.load(ctx, ids); err != nil {
		return err
	}
	return e.evidence.load(ctx, hashes)
}

// paths gives one list of an evidence, [] for none.
func (e *exporter) paths(hash [16]byte, pick func(store.Evidence) string) cell {
	if raw := pick(e.evidence.held[hash]); raw != "" {
		return cell{kind: jsonText, text: raw}
	}
	return nothing
}

func diskPaths(e store.Evidence) string { return e.DiskPaths }

func registryPaths(e store.Evidence) string { return e.RegistryPaths }

// itemIDs are the distinct ids of rows.
func itemIDs(items []store.Item) []int64 {
	ids := make([]int64, len(items))
	for i := range items {
		ids[i] = items[i].ID
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
