package relational

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"muster"
)

// RunsAbove implements store.Exports.
func (s *Store) RunsAbove(ctx context.Context, id int64, limit int) ([]muster.Run, error) {
	var all []muster.Run
	err := s.view(ctx, func(tx *Tx) error {
		err := each(ctx, tx, func(rows *sql.Rows) error {
			r, err := scanExportRun(rows)
			all = append(all, r)
			return err
		}, `SELECT r.id, c.name, r.server, r.trigger_kind, r.state, COALESCE(t.tenant_id, ''), r.queued_at, r.started_at, r.finished_at, r.api_calls, r.bytes, r.throttled, r.error
			FROM run r JOIN connector c ON c.id = r.connector_id LEFT JOIN tenant t ON t.id = r.tenant_id WHERE r.id > $1 ORDER BY r.id LIMIT $2`, id, limit)
		if err != nil || len(all) == 0 {
			return err
		}
		at := map[int64]int{}
		for i := range all {
			at[all[i].ID] = i
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var run int64
			var name muster.Dataset
			d := &muster.DatasetResult{}
			err := rows.Scan(append([]any{&run, &name, &d.Mode}, countTargets(&d.Counts)...)...)
			if i, ok := at[run]; ok {
				all[i].Datasets[name] = d
			}
			return err
		}, `SELECT run_id, dataset, mode, `+countColumns+` FROM run_dataset WHERE run_id > $1 AND run_id <= $2`, id, all[len(all)-1].ID)
	})
	return all, err
}

// scanExportRun reads a run without its warnings.
func scanExportRun(rows *sql.Rows) (muster.Run, error) {
	r := muster.Run{Datasets: map[muster.Dataset]*muster.DatasetResult{}}
	var queued, started, finished sql.NullInt64
	var throttled int64
	var failure sql.NullString
	err := rows.Scan(&r.ID, &r.Connector, &r.Server, &r.Trigger, &r.State, &r.TenantID, &queued, &started, &finished, &r.Traffic.APICalls, &r.Traffic.Bytes, &throttled, &failure)
	if err != nil {
		return r, err
	}
	r.QueuedAt, r.StartedAt, r.FinishedAt = fromMicros(queued), fromMicros(started), fromMicros(finished)
	r.Traffic.Throttled = time.Duration(throttled) * time.Microsecond
	if failure.Valid {
		err = json.Unmarshal([]byte(failure.String), &r.Error)
	}
	return r, err
}
