package relational

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"muster/internal/store"
)

const dayLayout = "2006-01-02"

// pendingFlows adds up what moved of a tenant since its last day with a complete read.
func pendingFlows(ctx context.Context, q Queryer, tenant int64) (map[store.Bucket]store.Flow, []int64, error) {
	sums := map[store.Bucket]store.Flow{}
	var ids []int64
	err := each(ctx, q, func(rows *sql.Rows) error {
		var id int64
		var text []byte
		var all []flowJSON
		if err := rows.Scan(&id, &text); err != nil {
			return err
		}
		if err := json.Unmarshal(text, &all); err != nil {
			return fmt.Errorf("flows of tenant %d: %w", tenant, err)
		}
		ids = append(ids, id)
		for _, f := range all {
			sum := sums[f.Bucket]
			sum.Add(f.Flow)
			sums[f.Bucket] = sum
		}
		return nil
	}, `SELECT id, flows FROM total_delta WHERE tenant_id = $1 ORDER BY id`, tenant)
	return sums, ids, err
}

// closeDay makes totals of what moved until a complete read. A snapshot that is older than
// the last day's, because another connector read it, is added to that day.
func closeDay(ctx context.Context, tx *Tx, tenant int64, snapshot time.Time) error {
	var last sql.NullString
	var asOf sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT MAX(day), MAX(as_of) FROM total_day WHERE tenant_id = $1`, tenant).Scan(&last, &asOf)
	if err != nil {
		return err
	}
	day := max(snapshot.UTC().Format(dayLayout), last.String)
	flows, ids, err := pendingFlows(ctx, tx, tenant)
	if err != nil {
		return err
	}
	totals := map[store.Bucket]store.Total{}
	if last.Valid {
		err := eachTotal(ctx, tx, func(t store.Total) {
			if day != last.String {
				t.Day, t.Flow = day, store.Flow{}
			}
			totals[t.Bucket] = t
		}, `tenant_id = $1 AND day = $2`, tenant, last.String)
		if err != nil {
			return err
		}
	}
	for b, f := range flows {
		t := totals[b]
		t.Day, t.Bucket = day, b
		t.Open += f.Net()
		t.Add(f)
		totals[b] = t
	}
	maps.DeleteFunc(totals, func(_ store.Bucket, t store.Total) bool { return t.Open == 0 && t.Flow == store.Flow{} })
	if _, err := tx.ExecContext(ctx, `INSERT INTO total_day (tenant_id, day, as_of) VALUES ($1, $2, $3) ON CONFLICT (tenant_id, day) DO UPDATE SET as_of = excluded.as_of`,
		tenant, day, max(snapshot.UnixMicro(), asOf.Int64)); err != nil {
		return err
	}
	if err := saveTotals(ctx, tx, tenant, totals); err != nil {
		return err
	}
	return inIDs(tx.engine, ids, func(condition string, args []any) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM total_delta WHERE id `+condition, args...)
		return err
	})
}

var totalColumns = []Column{
	{"tenant_id", Integers},
	{"day", Texts},
	{"organisation", Texts},
	{"severity", Texts},
	{"platform", Texts},
	{"device_group", Texts},
	{"open", Integers},
	{"opened", Integers},
	{"fixed", Integers},
	{"reopened", Integers},
	{"entered_scope", Integers},
	{"left_scope", Integers},
}

func saveTotals(ctx context.Context, tx *Tx, tenant int64, totals map[store.Bucket]store.Total) error {
	order := slices.SortedFunc(maps.Keys(totals), compareBuckets)
	return tx.insert(ctx, Rows{Table: "total", Columns: totalColumns, Keys: 6, Conflict: Replace, N: len(order), Values: func(i int, args []any) []any {
		t := totals[order[i]]
		return append(args, tenant, t.Day, t.Organisation, t.Severity, t.Platform, t.Group, t.Open, t.Opened, t.Fixed, t.Reopened, t.Entered, t.Left)
	}})
}

func eachTotal(ctx context.Context, q Queryer, fn func(store.Total), where string, args ...any) error {
	return each(ctx, q, func(rows *sql.Rows) error {
		var t store.Total
		err := rows.Scan(&t.Day, &t.Organisation, &t.Severity, &t.Platform, &t.Group, &t.Open, &t.Opened, &t.Fixed, &t.Reopened, &t.Entered, &t.Left)
		fn(t)
		return err
	}, `SELECT day, organisation, severity, platform, device_group, open, opened, fixed, reopened, entered_scope, left_scope FROM total WHERE `+where+`
		ORDER BY day, organisation, severity, platform, device_group`, args...)
}

// TotalsOf implements store.Exports.
func (s *Store) TotalsOf(ctx context.Context, tenant string, fn func(store.Total)) ([]store.TotalDay, error) {
	const own = `tenant_id = (SELECT id FROM tenant WHERE tenant_id = $1)`
	var days []store.TotalDay
	err := s.view(ctx, func(tx *Tx) error {
		if err := eachTotal(ctx, tx, fn, own, tenant); err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var d store.TotalDay
			var asOf sql.NullInt64
			err := rows.Scan(&d.Day, &asOf)
			d.AsOf = fromMicros(asOf)
			days = append(days, d)
			return err
		}, `SELECT day, as_of FROM total_day WHERE `+own+` ORDER BY day`, tenant)
	})
	return days, err
}

// FixTimes implements store.Counts.
func (s *Store) FixTimes(ctx context.Context, tenant int64, from, until time.Time, fn func(severity string, days, findings int64)) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		var severity string
		var days, findings int64
		err := rows.Scan(&severity, &days, &findings)
		fn(severity, days, findings)
		return err
	}, `SELECT severity, days, COUNT(*) FROM (
			SELECT COALESCE(c.severity, '') AS severity, CASE WHEN f.closed_at > f.first_seen THEN (f.closed_at - f.first_seen) / 86400000000 ELSE 0 END AS days
			FROM finding f JOIN machine m ON m.id = f.machine_id JOIN facts x ON x.id = f.facts_id LEFT JOIN finding_class c ON c.id = x.class_id
			WHERE m.tenant_id = $1 AND f.closed_at >= $2 AND f.closed_at < $3 AND f.first_seen IS NOT NULL) fixed
		GROUP BY severity, days ORDER BY severity, days`, tenant, from.UnixMicro(), until.UnixMicro())
}
