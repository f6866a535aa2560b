package relational

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"muster/internal/store"
)

// itemTable names what differs between the tables of rows that hang on machines.
type itemTable struct{ item, number string }

var itemTables = map[store.ItemKind]itemTable{
	store.Findings:          {"exposure_id", "first_seen"},
	store.InstalledSoftware: {"software_id", "first_seen"},
	store.ReportedSoftware:  {"software_id", "first_seen"},
	store.Configurations:    {"configuration_id", "lag"},
}

// rows are the columns that scanItem and itemValues go by.
func (t itemTable) rows() []Column {
	return []Column{
		{"machine_id", Integers}, {t.item, Integers}, {"facts_id", Integers}, {"evidence", Bytes}, {t.number, Integers}, {"closed_at", Integers}, {"confirmed", Integers}, {"reopened", Integers},
	}
}

func (t itemTable) columns() string {
	r := Rows{Columns: t.rows()}
	return r.Names("")
}

func scanItem(rows *sql.Rows, i *store.Item) error {
	var evidence []byte
	var number, closed, confirmed sql.NullInt64
	err := rows.Scan(&i.Machine, &i.ID, &i.Facts, &evidence, &number, &closed, &confirmed, &i.Reopened)
	i.Evidence = [16]byte{}
	copy(i.Evidence[:], evidence)
	i.Number = store.Null
	if number.Valid {
		i.Number = number.Int64
	}
	i.ClosedAt, i.Confirmed = fromMicros(closed), fromMicros(confirmed)
	return err
}

func itemValues(i *store.Item, args []any) []any {
	var evidence, number any
	if i.Evidence != [16]byte{} {
		evidence = i.Evidence[:]
	}
	if i.Number != store.Null {
		number = i.Number
	}
	return append(args, i.Machine, i.ID, i.Facts, evidence, number, micros(i.ClosedAt), micros(i.Confirmed), i.Reopened)
}

// Items implements store.Merge.
func (s *Store) Items(ctx context.Context, kind store.ItemKind, machines []int64, fn func(store.Item)) error {
	t := itemTables[kind]
	return inIDs(s.engine, machines, func(condition string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			var i store.Item
			if err := scanItem(rows, &i); err != nil {
				return err
			}
			fn(i)
			return nil
		}, fmt.Sprintf(`SELECT %s FROM %s WHERE machine_id %s ORDER BY machine_id, %s`, t.columns(), kind, condition, t.item), args...)
	})
}

// MergeItems implements store.Merge.
func (s *Store) MergeItems(ctx context.Context, st store.ItemStep) error {
	var machines, facts []int64
	for _, d := range st.Differences {
		machines = append(machines, d.Machine)
		if d.Kind == store.Findings {
			for _, rows := range [][]store.Standing{d.Before, d.After} {
				for i := range rows {
					facts = append(facts, rows[i].Facts)
				}
			}
		}
	}
	if err := s.classify(ctx, facts); err != nil {
		return err
	}
	return s.step(ctx, st.Step, func(tx *Tx) error {
		return s.count(ctx, tx, machines, st.Differences, func() error { return saveItems(ctx, tx, &st) })
	})
}

func saveItems(ctx context.Context, tx *Tx, st *store.ItemStep) error {
	for _, kind := range slices.Sorted(maps.Keys(st.Items)) {
		items, t := st.Items[kind], itemTables[kind]
		err := tx.insert(ctx, Rows{Table: string(kind), Columns: t.rows(), Keys: 2, Conflict: Replace, N: len(items), Values: func(i int, args []any) []any {
			return itemValues(&items[i], args)
		}})
		if err != nil {
			return err
		}
	}
	columns := []Column{{"machine_id", Integers}, {"kind", Texts}, {"item_id", Integers}, {"at", Integers}, {"event", Texts}, {"facts_id", Integers}}
	err := tx.insert(ctx, Rows{Table: "item_event", Columns: columns, Keys: 5, Conflict: Keep, N: len(st.Events), Values: func(i int, args []any) []any {
		e := &st.Events[i]
		var facts any
		if e.Facts != 0 {
			facts = e.Facts
		}
		return append(args, e.Machine, string(e.Kind), e.ID, e.At.UnixMicro(), e.Event, facts)
	}})
	if err != nil {
		return err
	}
	return saveStates(ctx, tx, st.Dataset, st.States)
}

// described is a row of the catalogue as it is stored.
type described struct {
	attributes, changed any // nil = never
}

// MergeCatalogue implements store.Merge. What was described once stays so when the source
// does not know it any more.
func (s *Store) MergeCatalogue(ctx context.Context, st store.Step, entries []store.CatalogueRow, at time.Time) error {
	return s.step(ctx, st, func(tx *Tx) error {
		known, err := catalogue(ctx, tx, entries)
		if err != nil {
			return err
		}
		columns := []Column{{"id", Integers}, {"attributes", Texts}, {"asked_at", Integers}, {"changed_at", Integers}}
		return tx.update(ctx, Rows{Table: "cve", Columns: columns, Keys: 1, N: len(entries), Values: func(i int, args []any) []any {
			e := known[entries[i].CVE]
			if attributes := text(entries[i].Attributes); attributes != nil && attributes != e.attributes {
				e = described{attributes, at.UnixMicro()}
			}
			return append(args, entries[i].CVE, e.attributes, at.UnixMicro(), e.changed)
		}})
	})
}

func catalogue(ctx context.Context, tx *Tx, entries []store.CatalogueRow) (map[int64]described, error) {
	ids := make([]int64, len(entries))
	for i := range entries {
		ids[i] = entries[i].CVE
	}
	known := make(map[int64]described, len(ids))
	err := inIDs(tx.engine, ids, func(condition string, args []any) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var id int64
			var attributes sql.NullString
			var changed sql.NullInt64
			err := rows.Scan(&id, &attributes, &changed)
			known[id] = described{orNull(attributes.String), micros(fromMicros(changed))}
			return err
		}, `SELECT id, attributes, changed_at FROM cve WHERE id `+condition, args...)
	})
	return known, err
}

// CatalogueRows implements store.Merge.
func (s *Store) CatalogueRows(ctx context.Context, cves []int64) (map[int64][]byte, error) {
	found := make(map[int64][]byte, len(cves))
	err := inIDs(s.engine, cves, func(condition string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			var id int64
			var attributes sql.NullString
			err := rows.Scan(&id, &attributes)
			if attributes.Valid {
				found[id] = []byte(attributes.String)
			}
			return err
		}, `SELECT id, attributes FROM cve WHERE id `+condition, args...)
	})
	return found, err
}

// CatalogueGaps implements store.Merge.
func (s *Store) CatalogueGaps(ctx context.Context, limit int) (cves []string, total int, err error) {
	err = s.each(ctx, func(rows *sql.Rows) error {
		var cve string
		err := rows.Scan(&cve)
		if total++; len(cves) < limit {
			cves = append(cves, strings.Clone(cve))
		}
		return err
	}, `SELECT cve FROM cve WHERE attributes IS NULL AND asked_at IS NULL ORDER BY cve`)
	return cves, total, err
}
