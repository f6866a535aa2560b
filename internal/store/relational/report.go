package relational

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster"
)

// Report implements store.Runs.
func (s *Store) Report(ctx context.Context, run int64) (muster.Run, error) {
	r := muster.Run{ID: run, Datasets: map[muster.Dataset]*muster.DatasetResult{}}
	err := s.view(ctx, func(tx *Tx) error {
		err := scanReport(tx.QueryRowContext(ctx, `SELECT c.name, r.server, r.trigger_kind, r.state, t.tenant_id, r.queued_at, r.started_at, r.finished_at,
				r.api_calls, r.bytes, r.throttled, r.warnings, r.error
			FROM run r JOIN connector c ON c.id = r.connector_id LEFT JOIN tenant t ON t.id = r.tenant_id WHERE r.id = $1`, run), &r)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("run %d: %w", run, muster.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error { return scanResult(rows, &r) },
			`SELECT dataset, mode, completeness, reason, source_time, `+countColumns+` FROM run_dataset WHERE run_id = $1`, run)
	})
	return r, err
}

func scanReport(row *sql.Row, r *muster.Run) error {
	var queued, started, finished sql.NullInt64
	var throttled int64
	var warnings string
	var failure, tenant sql.NullString
	err := row.Scan(&r.Connector, &r.Server, &r.Trigger, &r.State, &tenant, &queued, &started, &finished, &r.Traffic.APICalls, &r.Traffic.Bytes, &throttled, &warnings, &failure)
	if err != nil {
		return err
	}
	r.TenantID, r.QueuedAt, r.StartedAt, r.FinishedAt = tenant.String, fromMicros(queued), fromMicros(started), fromMicros(finished)
	r.Traffic.Throttled = time.Duration(throttled) * time.Microsecond
	if err := json.Unmarshal([]byte(warnings), &r.Warnings); err != nil || !failure.Valid {
		return err
	}
	return json.Unmarshal([]byte(failure.String), &r.Error)
}

func scanResult(rows *sql.Rows, r *muster.Run) error {
	var name muster.Dataset
	var d muster.DatasetResult
	var state sql.NullString
	var at sql.NullInt64
	var reason string
	if err := rows.Scan(append([]any{&name, &d.Mode, &state, &reason, &at}, countTargets(&d.Counts)...)...); err != nil {
		return err
	}
	d.Complete = state.String == string(muster.Complete)
	d.SourceTime = fromMicros(at)
	if d.Mode == muster.ModeSkipped || !d.Complete {
		d.SkippedBecause = reason
	}
	if slices.Contains(muster.Datasets, name) { // what ingest stages beside them is no dataset
		r.Datasets[name] = &d
	}
	return nil
}
