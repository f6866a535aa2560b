package relational

import (
	"bytes"
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
	columns []Column
}

// intern adds the missing keys and gives all ids in the order asked for.
func (s *Store) intern(ctx context.Context, d dictionary, keys [][]any) ([]int64, error) {
	ids := make([]int64, len(keys))
	var missing []int
	err := s.patiently(ctx, func() (sure bool, err error) {
		missing, err = d.lookUp(ctx, s.engine, s.read, keys, ids, nil)
		return true, err
	})
	if err != nil || len(missing) == 0 {
		return ids, err
	}
	err = s.repeat(ctx, func(tx *Tx) error { return d.add(ctx, tx, keys, ids, missing) })
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// add inserts the keys at the given positions, sorted, so that two writers take locks
// in one order, and fills in their ids.
func (d dictionary) add(ctx context.Context, tx *Tx, keys [][]any, ids []int64, positions []int) error {
	slices.SortFunc(positions, func(a, b int) int { return compareKeys(keys[a], keys[b]) })
	err := tx.insert(ctx, Rows{Table: d.table, Columns: d.columns, Keys: len(d.columns), Conflict: Keep, N: len(positions), Values: func(i int, args []any) []any {
		return append(args, keys[positions[i]]...)
	}})
	if err != nil {
		return err
	}
	left, err := d.lookUp(ctx, tx.engine, tx, keys, ids, positions)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%s: %d keys were not added", d.table, len(left))
	}
	return err
}

// lookUp fills ids for the keys at the given positions (nil = all) and returns the
// positions that have none.
func (d dictionary) lookUp(ctx context.Context, e Engine, q Queryer, keys [][]any, ids []int64, positions []int) ([]int, error) {
	if positions == nil {
		positions = make([]int, len(keys))
		for i := range positions {
			positions[i] = i
		}
	}
	if len(positions) == 0 {
		return nil, nil
	}
	err := e.Find(ctx, q, Rows{Table: d.table, Columns: d.columns, Keys: len(d.columns), N: len(positions), Values: func(i int, args []any) []any {
		return append(args, keys[positions[i]]...)
	}}, func(i int, id int64) { ids[positions[i]] = id })
	return slices.DeleteFunc(slices.Clone(positions), func(at int) bool { return ids[at] != 0 }), err
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
	case []byte:
		b, _ := b.([]byte)
		return bytes.Compare(a, b)
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
	ids, err := s.intern(ctx, dictionary{table: "tenant", columns: []Column{{"tenant_id", Texts}}}, textKeys([]string{tenant}))
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
	return s.intern(ctx, dictionary{table: "machine", columns: []Column{{"tenant_id", Integers}, {"machine_id", Texts}}}, keys)
}

// SoftwareIDs implements store.Dictionary.
func (s *Store) SoftwareIDs(ctx context.Context, software []store.SoftwareKey) ([]int64, error) {
	keys := make([][]any, len(software))
	for i, k := range software {
		keys[i] = []any{k.Vendor, k.Name, k.Version}
	}
	return s.intern(ctx, dictionary{table: "software", columns: []Column{{"vendor", Texts}, {"name", Texts}, {"version", Texts}}}, keys)
}

// CVEIDs implements store.Dictionary.
func (s *Store) CVEIDs(ctx context.Context, cves []string) ([]int64, error) {
	return s.intern(ctx, dictionary{table: "cve", columns: []Column{{"cve", Texts}}}, textKeys(cves))
}

// ConfigurationIDs implements store.Dictionary.
func (s *Store) ConfigurationIDs(ctx context.Context, ids []string) ([]int64, error) {
	return s.intern(ctx, dictionary{table: "configuration", columns: []Column{{"configuration_id", Texts}}}, textKeys(ids))
}

// ExposureIDs implements store.Dictionary.
func (s *Store) ExposureIDs(ctx context.Context, exposures []store.ExposureKey) ([]int64, error) {
	keys := make([][]any, len(exposures))
	for i, k := range exposures {
		keys[i] = []any{k.Software, k.CVE}
	}
	return s.intern(ctx, dictionary{table: "exposure", columns: []Column{{"software_id", Integers}, {"cve_id", Integers}}}, keys)
}

// FactsIDs implements store.Dictionary.
func (s *Store) FactsIDs(ctx context.Context, facts []store.Facts) ([]int64, error) {
	keys, ids := make([][]any, len(facts)), make([]int64, len(facts))
	for i := range facts {
		keys[i] = []any{facts[i].Hash[:]}
	}
	d := dictionary{table: "facts", columns: []Column{{"hash", Bytes}}}
	var missing []int
	err := s.patiently(ctx, func() (sure bool, err error) {
		missing, err = d.lookUp(ctx, s.engine, s.read, keys, ids, nil)
		return true, err
	})
	if err != nil || len(missing) == 0 {
		return ids, err
	}
	slices.SortFunc(missing, func(a, b int) int { return compareKeys(keys[a], keys[b]) })
	classes := make([]store.Class, len(missing))
	for i, at := range missing {
		classes[i] = classOf(facts[at].Document)
	}
	var counted []int64
	err = s.repeat(ctx, func(tx *Tx) (err error) {
		if counted, err = classIDs(ctx, tx, classes); err != nil {
			return err
		}
		columns := append(d.columns, Column{"attributes", Texts}, Column{"class_id", Integers})
		err = tx.insert(ctx, Rows{Table: d.table, Columns: columns, Keys: 1, Conflict: Keep, N: len(missing), Values: func(i int, args []any) []any {
			f := &facts[missing[i]]
			return append(args, f.Hash[:], string(f.Document), counted[i])
		}})
		if err != nil {
			return err
		}
		left, err := d.lookUp(ctx, tx.engine, tx, keys, ids, missing)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("facts %x were not added", facts[left[0]].Hash)
		}
		return err
	})
	if err != nil {
		return ids, err
	}
	found := make(map[int64]int64, len(missing))
	for i, at := range missing {
		found[ids[at]] = counted[i]
	}
	return ids, s.keepClasses(ctx, found)
}

// SaveEvidence implements store.Dictionary.
func (s *Store) SaveEvidence(ctx context.Context, e []store.Evidence) error {
	if len(e) == 0 {
		return nil
	}
	e = slices.Clone(e)
	slices.SortFunc(e, func(a, b store.Evidence) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	return s.repeat(ctx, func(tx *Tx) error {
		return tx.insert(ctx, Rows{
			Table: "evidence", Columns: []Column{{"hash", Bytes}, {"disk_paths", Texts}, {"registry_paths", Texts}}, Keys: 1, Conflict: Keep, N: len(e),
			Values: func(i int, args []any) []any {
				return append(args, e[i].Hash[:], e[i].DiskPaths, e[i].RegistryPaths)
			},
		})
	})
}

// EvidenceOf implements store.Dictionary.
func (s *Store) EvidenceOf(ctx context.Context, hashes [][16]byte) (map[[16]byte]store.Evidence, error) {
	found := make(map[[16]byte]store.Evidence, len(hashes))
	for piece := range slices.Chunk(hashes, s.engine.Piece()) {
		condition, args := s.engine.AnyHash(piece)
		err := s.each(ctx, func(rows *sql.Rows) error {
			var e store.Evidence
			var hash []byte
			if err := rows.Scan(&hash, &e.DiskPaths, &e.RegistryPaths); err != nil {
				return err
			}
			copy(e.Hash[:], hash)
			found[e.Hash] = e
			return nil
		}, "SELECT hash, disk_paths, registry_paths FROM evidence WHERE hash "+condition, args...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// FactsOf implements store.Dictionary.
func (s *Store) FactsOf(ctx context.Context, ids []int64) (map[int64][]byte, error) {
	found := make(map[int64][]byte, len(ids))
	err := inIDs(s.engine, ids, func(condition string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			var id int64
			var document string
			err := rows.Scan(&id, &document)
			found[id] = []byte(document)
			return err
		}, `SELECT id, attributes FROM facts WHERE id `+condition, args...)
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
	err := s.row(ctx, query).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		key := make([]byte, 32)
		rand.Read(key)
		err = s.repeat(ctx, func(tx *Tx) error {
			// Of two that make a key at once, the first is kept by both.
			if _, err := tx.ExecContext(ctx, "INSERT INTO setting (key, value) VALUES ('evidence_hash_key', $1) ON CONFLICT DO NOTHING", hex.EncodeToString(key)); err != nil {
				return err
			}
			return tx.QueryRowContext(ctx, query).Scan(&text)
		})
	}
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(text)
}
