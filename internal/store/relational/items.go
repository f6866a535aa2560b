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

const itemColumns = 8

func (t itemTable) columns() string {
	return fmt.Sprintf("machine_id, %s, facts_id, evidence, %s, closed_at, confirmed, reopened", t.item, t.number)
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
	return inIDs(machines, func(list string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			var i store.Item
			if err := scanItem(rows, &i); err != nil {
				return err
			}
			fn(i)
			return nil
		}, fmt.Sprintf(`SELECT %s FROM %s WHERE machine_id IN %s ORDER BY machine_id, %s`, t.columns(), kind, list, t.item), args...)
	})
}

// MergeItems implements store.Merge.
func (s *Store) MergeItems(ctx context.Context, st store.ItemStep) error {
	return s.step(ctx, st.Step, func(tx *transaction) error {
		for _, kind := range slices.Sorted(maps.Keys(st.Items)) {
			items, t := st.Items[kind], itemTables[kind]
			head := fmt.Sprintf(`INSERT INTO %s (%s)`, kind, t.columns())
			tail := fmt.Sprintf(`ON CONFLICT (machine_id, %s) DO UPDATE SET facts_id = excluded.facts_id, evidence = excluded.evidence, %s = excluded.%s,
				closed_at = excluded.closed_at, confirmed = excluded.confirmed, reopened = excluded.reopened`, t.item, t.number, t.number)
			err := tx.insertRows(ctx, head, tail, itemColumns, len(items), func(i int, args []any) []any { return itemValues(&items[i], args) })
			if err != nil {
				return err
			}
		}
		err := tx.insertRows(ctx, `INSERT INTO item_event (machine_id, kind, item_id, at, event, facts_id)`, `ON CONFLICT DO NOTHING`, 6, len(st.Events), func(i int, args []any) []any {
			e := &st.Events[i]
			var facts any
			if e.Facts != 0 {
				facts = e.Facts
			}
			return append(args, e.Machine, string(e.Kind), e.ID, e.At.UnixMicro(), e.Event, facts)
		})
		if err != nil {
			return err
		}
		return saveStates(ctx, tx, st.Dataset, st.States)
	})
}

// MergeCatalogue implements store.Merge.
func (s *Store) MergeCatalogue(ctx context.Context, st store.Step, entries []store.CatalogueRow, at time.Time) error {
	return s.step(ctx, st, func(tx *transaction) error {
		update, err := tx.PrepareContext(ctx, `UPDATE cve SET attributes = COALESCE($2, attributes), asked_at = $3,
			changed_at = CASE WHEN COALESCE($2, attributes) = attributes OR $2 IS NULL THEN changed_at ELSE $3 END WHERE id = $1`)
		if err != nil {
			return err
		}
		defer update.Close()
		for _, r := range entries {
			if _, err := update.ExecContext(ctx, r.CVE, text(r.Attributes), at.UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}

// CatalogueRows implements store.Merge.
func (s *Store) CatalogueRows(ctx context.Context, cves []int64) (map[int64][]byte, error) {
	found := make(map[int64][]byte, len(cves))
	err := inIDs(cves, func(list string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			var id int64
			var attributes sql.NullString
			err := rows.Scan(&id, &attributes)
			if attributes.Valid {
				found[id] = []byte(attributes.String)
			}
			return err
		}, `SELECT id, attributes FROM cve WHERE id IN `+list, args...)
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
