package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"muster/internal/mapping"
	"muster/internal/store"
)

// exposures names the software and CVE of every exposure id; it grows as rows bring new ones.
type exposures struct {
	store store.Dictionary
	keys  map[int64]store.ExposureKey
	last  int64
}

func (e *exposures) key(ctx context.Context, id int64) (store.ExposureKey, error) {
	if k, ok := e.keys[id]; ok {
		return k, nil
	}
	err := e.store.ExposureSoftware(ctx, e.last, func(exposure int64, k store.ExposureKey) { e.keys[exposure], e.last = k, exposure })
	return e.keys[id], err
}

// withCVE leaves out the rows that name software without a CVE.
func (w *itemMerge) withCVE(ctx context.Context, j *judged) ([]row, error) {
	rows := j.rows
	var found []row
	for i, r := range rows {
		k, err := w.exposures.key(ctx, r.item)
		if err != nil {
			return nil, err
		}
		if k.CVE != 0 {
			if found != nil {
				found = append(found, r)
			}
			continue
		}
		if j.beside.add(&r); found == nil {
			found = append(make([]row, 0, len(rows)), rows[:i]...)
		}
	}
	if found == nil {
		return rows, nil
	}
	return found, nil
}

// reported makes software of vulnerability rows, for tenants without a readable inventory.
type reported struct {
	*merge
	facts map[int64]part // a finding's facts → those of its software
}

// part is the software's share of a facts document.
type part struct {
	id   int64
	text string
}

// softwarePrefix begins the names of the attributes that describe software.
const softwarePrefix = "Software.Package[]."

// newReported is nil once the tenant has an inventory: software known from there is
// judged by it alone (SPEC §2.4), and would only be doubled here.
func (m *merge) newReported(ctx context.Context) (*reported, error) {
	inventory, err := m.stores.AnyOpen(ctx, store.InstalledSoftware, m.run.Tenant)
	if err != nil || inventory {
		return nil, err
	}
	return &reported{merge: m, facts: map[int64]part{}}, nil
}

// software folds a machine's vulnerability rows into one row a software version: paths
// are the union over the rows, of differing facts the greatest text counts. bare holds
// the software that has a row without a CVE.
func (r *reported) software(ctx context.Context, rows []row) (found []row, bare map[int64]bool, err error) {
	if err := r.loadFacts(ctx, rows); err != nil {
		return nil, nil, err
	}
	at := map[int64]int{} // software → position in found
	texts := make([]string, 0, len(rows))
	bare = map[int64]bool{}
	for _, v := range rows {
		k, err := r.exposures.key(ctx, v.item)
		if err != nil {
			return nil, nil, err
		}
		if k.CVE == 0 {
			bare[k.Software] = true
		}
		facts := r.facts[v.facts]
		i, known := at[k.Software]
		if !known {
			at[k.Software] = len(found)
			found = append(found, row{item: k.Software, facts: facts.id, evidence: v.evidence, number: store.Null, seen: v.seen})
			texts = append(texts, facts.text)
			continue
		}
		if facts.text > texts[i] {
			found[i].facts, texts[i] = facts.id, facts.text
		}
		if found[i].evidence, err = r.unite(ctx, found[i].evidence, v.evidence); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(found, func(a, b row) int { return cmp.Compare(a.item, b.item) })
	return found, bare, nil
}

// loadFacts derives the software's part of the facts of vulnerability rows.
func (r *reported) loadFacts(ctx context.Context, rows []row) error {
	var missing []int64
	for _, v := range rows {
		if _, known := r.facts[v.facts]; !known {
			r.facts[v.facts] = part{}
			missing = append(missing, v.facts)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	documents, err := r.stores.FactsOf(ctx, missing)
	if err != nil {
		return err
	}
	parts := make([][]byte, len(missing))
	for i, id := range missing {
		if parts[i], err = softwarePart(documents[id]); err != nil {
			return err
		}
	}
	ids, err := r.dictionary.factsIDs(ctx, len(parts), func(i int) []byte { return parts[i] })
	if err != nil {
		return err
	}
	for i, id := range missing {
		r.facts[id] = part{ids[i], string(parts[i])}
	}
	return nil
}

// softwarePart keeps the attributes of a document that describe the software, as they
// are written there.
func softwarePart(document []byte) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(document, &all); err != nil {
		return nil, err
	}
	part := []byte{'{'}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(key, softwarePrefix) {
			continue
		}
		if len(part) > 1 {
			part = append(part, ',')
		}
		part = append(mapping.AppendString(part, key), ':')
		part = append(part, all[key]...)
	}
	return append(part, '}'), nil
}
