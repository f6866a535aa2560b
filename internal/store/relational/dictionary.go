package relational

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/internal/store"
)

// dictionary is a table of keys with ids.
type dictionary struct {
	table   string
	columns []column
}

// column is a part of a key with its SQL type, which both engines spell alike.
type column struct{ name, kind string }

const (
	texts    = "TEXT"
	integers = "BIGINT"
)

// intern adds the missing keys and gives all ids in the order asked for.
func (s *Store) intern(ctx context.Context, d dictionary, keys [][]any) ([]int64, error) {
	ids := make([]int64, len(keys))
	missing, err := d.lookUp(ctx, s.read, keys, ids, nil)
	if err != nil {
		return nil, s.explain(err)
	}
	if len(missing) == 0 {
		return ids, nil
	}
	err = s.update(ctx, func(tx *transaction) error { return d.add(ctx, tx, keys, ids, missing) })
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// add inserts the keys at the given positions, sorted, so that two writers take locks
// in one order, and fills in their ids.
func (d dictionary) add(ctx context.Context, tx *transaction, keys [][]any, ids []int64, positions []int) error {
	slices.SortFunc(positions, func(a, b int) int { return compareKeys(keys[a], keys[b]) })
	names := make([]string, len(d.columns))
	for i, c := range d.columns {
		names[i] = c.name
	}
	head := fmt.Sprintf("INSERT INTO %s (%s)", d.table, strings.Join(names, ", "))
	err := tx.insertRows(ctx, head, "ON CONFLICT DO NOTHING", len(d.columns), len(positions), func(i int, args []any) []any {
		return append(args, keys[positions[i]]...)
	})
	if err != nil {
		return err
	}
	left, err := d.lookUp(ctx, tx, keys, ids, positions)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s: %d keys were not added", d.table, len(left))
	}
	return err
}

// lookUp fills ids for the keys at the given positions (nil = all) and returns the
// positions that have none.
func (d dictionary) lookUp(ctx context.Context, q queryer, keys [][]any, ids []int64, positions []int) ([]int, error) {
	if positions == nil {
		positions = make([]int, len(keys))
		for i := range positions {
			positions[i] = i
		}
	}
	width := len(d.columns) + 1
	for piece := range slices.Chunk(positions, max(1, maxArgs/width)) {
		args := make([]any, 0, len(piece)*width)
		for _, at := range piece {
			args = append(append(args, int64(at)), keys[at]...)
		}
		err := each(ctx, q, func(rows *sql.Rows) error {
			var n, id int64
			if err := rows.Scan(&n, &id); err != nil {
				return err
			}
			ids[n] = id
			return nil
		}, d.query(len(piece)), args...)
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(positions), func(at int) bool { return ids[at] != 0 }), nil
}

// query joins n keys with the table. The first row carries the types: PostgreSQL takes
// bound values in VALUES for texts unless told.
func (d dictionary) query(n int) string {
	names, match, first := []string{"n"}, make([]string, len(d.columns)), []string{"CAST($1 AS " + integers + ")"}
	for i, c := range d.columns {
		names = append(names, c.name)
		match[i] = fmt.Sprintf("t.%s = k.%s", c.name, c.name)
		first = append(first, fmt.Sprintf("CAST($%d AS %s)", i+2, c.kind))
	}
	rows := "(" + strings.Join(first, ", ") + ")"
	if _, rest, more := strings.Cut(tuples(len(names), n, numbered), ")"); more {
		rows += rest
	}
	return fmt.Sprintf("WITH k (%s) AS (VALUES %s) SELECT k.n, t.id FROM k CROSS JOIN %s t WHERE %s",
		strings.Join(names, ", "), rows, d.table, strings.Join(match, " AND "))
}

func compareKeys(a, b []any) int {
	for i := range a {
		if c := compareParts(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}

func compareParts(a, b any) int {
	switch a := a.(type) {
	case string:
		b, _ := b.(string)
		return strings.Compare(a, b)
	case int64:
		b, _ := b.(int64)
		return cmp.Compare(a, b)
	default:
		panic(fmt.Sprintf("a key of %T", a)) // keys are made in this file
	}
}

func textKeys(texts []string) [][]any {
	keys := make([][]any, len(texts))
	for i, t := range texts {
		keys[i] = []any{t}
	}
	return keys
}

// TenantID implements store.Dictionary.
func (s *Store) TenantID(ctx context.Context, tenant string) (int64, error) {
	ids, err := s.intern(ctx, dictionary{table: "tenant", columns: []column{{"tenant_id", texts}}}, textKeys([]string{tenant}))
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

// MachineIDs implements store.Dictionary.
func (s *Store) MachineIDs(ctx context.Context, tenant int64, machines []string) ([]int64, error) {
	keys := make([][]any, len(machines))
	for i, m := range machines {
		keys[i] = []any{tenant, m}
	}
	return s.intern(ctx, dictionary{table: "machine", columns: []column{{"tenant_id", integers}, {"machine_id", texts}}}, keys)
}

// SoftwareIDs implements store.Dictionary.
func (s *Store) SoftwareIDs(ctx context.Context, software []store.SoftwareKey) ([]int64, error) {
	keys := make([][]any, len(software))
	for i, k := range software {
		keys[i] = []any{k.Vendor, k.Name, k.Version}
	}
	return s.intern(ctx, dictionary{table: "software", columns: []column{{"vendor", texts}, {"name", texts}, {"version", texts}}}, keys)
}

// CVEIDs implements store.Dictionary.
func (s *Store) CVEIDs(ctx context.Context, cves []string) ([]int64, error) {
	return s.intern(ctx, dictionary{table: "cve", columns: []column{{"cve", texts}}}, textKeys(cves))
}

// ConfigurationIDs implements store.Dictionary.
func (s *Store) ConfigurationIDs(ctx context.Context, ids []string) ([]int64, error) {
	return s.intern(ctx, dictionary{table: "configuration", columns: []column{{"configuration_id", texts}}}, textKeys(ids))
}

// ExposureIDs implements store.Dictionary.
func (s *Store) ExposureIDs(ctx context.Context, exposures []store.ExposureKey) ([]int64, error) {
	keys := make([][]any, len(exposures))
	for i, k := range exposures {
		keys[i] = []any{k.Software, k.CVE}
	}
	return s.intern(ctx, dictionary{table: "exposure", columns: []column{{"software_id", integers}, {"cve_id", integers}}}, keys)
}

// FactsIDs implements store.Dictionary.
func (s *Store) FactsIDs(ctx context.Context, facts []store.Facts) ([]int64, error) {
	known := make(map[[16]byte]int64, len(facts))
	if err := factsByHash(ctx, s.read, facts, known); err != nil {
		return nil, s.explain(err)
	}
	missing := slices.DeleteFunc(slices.Clone(facts), func(f store.Facts) bool { return known[f.Hash] != 0 })
	if len(missing) > 0 {
		slices.SortFunc(missing, func(a, b store.Facts) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
		err := s.update(ctx, func(tx *transaction) error {
			err := tx.insertRows(ctx, "INSERT INTO facts (hash, attributes)", "ON CONFLICT DO NOTHING", 2, len(missing), func(i int, args []any) []any {
				return append(args, missing[i].Hash[:], string(missing[i].Document))
			})
			if err != nil {
				return err
			}
			return factsByHash(ctx, tx, missing, known)
		})
		if err != nil {
			return nil, err
		}
	}
	ids := make([]int64, len(facts))
	for i, f := range facts {
		if ids[i] = known[f.Hash]; ids[i] == 0 {
			return nil, fmt.Errorf("facts %x were not added", f.Hash)
		}
	}
	return ids, nil
}

func factsByHash(ctx context.Context, q queryer, facts []store.Facts, found map[[16]byte]int64) error {
	for piece := range slices.Chunk(facts, maxArgs) {
		args := make([]any, len(piece))
		for i := range piece {
			args[i] = piece[i].Hash[:]
		}
		err := each(ctx, q, func(rows *sql.Rows) error {
			var id int64
			var hash sql.RawBytes
			if err := rows.Scan(&id, &hash); err != nil {
				return err
			}
			if len(hash) != 16 {
				return fmt.Errorf("facts %d: %w", id, store.ErrDamaged)
			}
			found[[16]byte(hash)] = id
			return nil
		}, "SELECT id, hash FROM facts WHERE hash IN "+tuples(len(piece), 1, numbered), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// SaveEvidence implements store.Dictionary.
func (s *Store) SaveEvidence(ctx context.Context, e []store.Evidence) error {
	if len(e) == 0 {
		return nil
	}
	e = slices.Clone(e)
	slices.SortFunc(e, func(a, b store.Evidence) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	return s.update(ctx, func(tx *transaction) error {
		return tx.insertRows(ctx, "INSERT INTO evidence (hash, disk_paths, registry_paths)", "ON CONFLICT DO NOTHING", 3, len(e), func(i int, args []any) []any {
			return append(args, e[i].Hash[:], e[i].DiskPaths, e[i].RegistryPaths)
		})
	})
}

// EvidenceOf implements store.Dictionary.
func (s *Store) EvidenceOf(ctx context.Context, hashes [][16]byte) (map[[16]byte]store.Evidence, error) {
	found := make(map[[16]byte]store.Evidence, len(hashes))
	for piece := range slices.Chunk(hashes, maxArgs) {
		args := make([]any, len(piece))
		for i := range piece {
			args[i] = piece[i][:]
		}
		err := s.each(ctx, func(rows *sql.Rows) error {
			var e store.Evidence
			var hash []byte
			if err := rows.Scan(&hash, &e.DiskPaths, &e.RegistryPaths); err != nil {
				return err
			}
			copy(e.Hash[:], hash)
			found[e.Hash] = e
			return nil
		}, "SELECT hash, disk_paths, registry_paths FROM evidence WHERE hash IN "+tuples(len(piece), 1, numbered), args...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// FactsOf implements store.Dictionary.
func (s *Store) FactsOf(ctx context.Context, ids []int64) (map[int64][]byte, error) {
	found := make(map[int64][]byte, len(ids))
	err := inIDs(ids, func(list string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			var id int64
			var document string
			err := rows.Scan(&id, &document)
			found[id] = []byte(document)
			return err
		}, `SELECT id, attributes FROM facts WHERE id IN `+list, args...)
	})
	return found, err
}

// MetCVEs implements store.Dictionary.
func (s *Store) MetCVEs(ctx context.Context) (map[string]int64, error) {
	met := map[string]int64{}
	err := s.each(ctx, func(rows *sql.Rows) error {
		var id int64
		var cve string
		err := rows.Scan(&id, &cve)
		met[cve] = id
		return err
	}, `SELECT id, cve FROM cve`)
	return met, err
}

// ExposureSoftware implements store.Dictionary.
func (s *Store) ExposureSoftware(ctx context.Context, above int64, fn func(int64, store.ExposureKey)) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		var id int64
		var k store.ExposureKey
		if err := rows.Scan(&id, &k.Software, &k.CVE); err != nil {
			return err
		}
		fn(id, k)
		return nil
	}, "SELECT id, software_id, cve_id FROM exposure WHERE id > $1 ORDER BY id", above)
}

// HashKey implements store.Dictionary.
func (s *Store) HashKey(ctx context.Context) ([]byte, error) {
	const query = "SELECT value FROM setting WHERE key = 'evidence_hash_key'"
	var text string
	err := s.read.QueryRowContext(ctx, query).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		key := make([]byte, 32)
		rand.Read(key)
		err = s.update(ctx, func(tx *transaction) error {
			// Of two that make a key at once, the first is kept by both.
			if _, err := tx.ExecContext(ctx, "INSERT INTO setting (key, value) VALUES ('evidence_hash_key', $1) ON CONFLICT DO NOTHING", hex.EncodeToString(key)); err != nil {
				return err
			}
			return tx.QueryRowContext(ctx, query).Scan(&text)
		})
	}
	if err != nil {
		return nil, s.explain(err)
	}
	return hex.DecodeString(text)
}
