package relational

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

// states writes a SQL list of run states from the one table of moves.
func states(all []muster.RunState) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = "'" + string(s) + "'"
	}
	return "(" + strings.Join(quoted, ", ") + ")"
}

// abandonAfter is how often a run may lose its worker (SPEC §4).
const abandonAfter = 3

const runColumns = `r.id, r.connector_id, c.name, c.tenant_id, r.settings, r.settings_version, r.state, r.full_read, r.fence, r.lease_until, r.lost, r.cancel_asked, COALESCE(r.tenant_id, 0), COALESCE(t.tenant_id, '')`

const runTables = ` FROM run r JOIN connector c ON c.id = r.connector_id LEFT JOIN tenant t ON t.id = r.tenant_id `

func scanRun(row interface{ Scan(...any) error }) (store.RunHead, error) {
	var h store.RunHead
	var settings string
	var lease sql.NullInt64
	var full, cancel int64
	err := row.Scan(&h.ID, &h.Connector.ID, &h.Connector.Name, &h.Connector.Tenant, &settings, &h.SettingsVersion, &h.State, &full, &h.Fence, &lease, &h.Lost, &cancel, &h.Tenant, &h.TenantGUID)
	if err != nil {
		return h, err
	}
	h.Full, h.CancelAsked, h.LeaseUntil = full != 0, cancel != 0, fromMicros(lease)
	h.Connector.Version = h.SettingsVersion
	return h, json.Unmarshal([]byte(settings), &h.Connector.Settings)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// QueueRun implements store.Runs.
func (s *Store) QueueRun(ctx context.Context, connector int64, trigger string, full bool, now time.Time) (int64, error) {
	var id int64
	err := s.update(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `SELECT id FROM run WHERE connector_id = $1 AND state = 'queued'`, connector).Scan(&id)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO run (connector_id, server, trigger_kind, state, settings, settings_version, full_read, queued_at)
			SELECT id, 'Cloud', $2, 'queued', settings, settings_version, $3, $4 FROM connector WHERE id = $1 RETURNING id`,
			connector, trigger, flag(full), now.UnixMicro()).Scan(&id)
	})
	return id, err
}

// ActiveRun implements store.Runs.
func (s *Store) ActiveRun(ctx context.Context, connector int64) (store.RunHead, bool, error) {
	h, err := scanRun(s.read.QueryRowContext(ctx, `SELECT `+runColumns+runTables+`
		WHERE r.connector_id = $1 AND r.state IN ('dispatched', 'running', 'merging')`, connector))
	if errors.Is(err, sql.ErrNoRows) {
		return h, false, nil
	}
	return h, err == nil, s.explain(err)
}

// Run implements store.Runs.
func (s *Store) Run(ctx context.Context, id int64) (store.RunHead, error) {
	h, err := scanRun(s.read.QueryRowContext(ctx, `SELECT `+runColumns+runTables+`WHERE r.id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return h, fmt.Errorf("run %d: %w", id, muster.ErrNotFound)
	}
	return h, s.explain(err)
}

// ClaimReading implements store.Runs. Reading starts at once where it is claimed, so the
// run passes dispatched within this transaction.
func (s *Store) ClaimReading(ctx context.Context, run int64, now, until time.Time) (wire.Lease, store.RunHead, error) {
	return s.claim(ctx, run, until, `UPDATE run SET state = 'running', fence = fence + 1, lease_until = $2, started_at = COALESCE(started_at, $3)
		WHERE id = $1 AND state = 'queued'`, run, until.UnixMicro(), now.UnixMicro())
}

// ClaimMerge implements store.Runs.
func (s *Store) ClaimMerge(ctx context.Context, run int64, now, until time.Time) (wire.Lease, store.RunHead, error) {
	return s.claim(ctx, run, until, `UPDATE run SET fence = fence + 1, lease_until = $2 WHERE id = $1 AND state = 'merging' AND lease_until <= $3`,
		run, until.UnixMicro(), now.UnixMicro())
}

func (s *Store) claim(ctx context.Context, run int64, until time.Time, query string, args ...any) (lease wire.Lease, h store.RunHead, err error) {
	err = s.update(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, query, args...))
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("run %d cannot be claimed: %w", run, muster.ErrConflict)
		}
		h, err = scanRun(tx.QueryRowContext(ctx, `SELECT `+runColumns+runTables+`WHERE r.id = $1`, run))
		return err
	})
	return wire.Lease{Run: run, Fence: h.Fence, Until: until}, h, err
}

// BindTenant implements store.Runs.
func (s *Store) BindTenant(ctx context.Context, l wire.Lease, tenant string) error {
	id, err := s.TenantID(ctx, tenant)
	if err != nil {
		return err
	}
	return s.leased(ctx, l, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE run SET tenant_id = $2 WHERE id = $1`, l.Run, id)
		return err
	})
}

// Renew implements store.Runs.
func (s *Store) Renew(ctx context.Context, l wire.Lease, until time.Time, p wire.Progress) (wire.Order, error) {
	var cancel int64
	err := s.leased(ctx, l, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `UPDATE run SET lease_until = $2, api_calls = $3, bytes = $4, throttled = $5 WHERE id = $1 RETURNING cancel_asked`,
			l.Run, until.UnixMicro(), p.Traffic.APICalls, p.Traffic.Bytes, p.Traffic.Throttled.Microseconds()).Scan(&cancel)
	})
	if cancel != 0 {
		return wire.Cancel, err
	}
	return wire.GoOn, err
}

// EndReading implements store.Runs.
func (s *Store) EndReading(ctx context.Context, l wire.Lease, o wire.Outcome, now time.Time) error {
	state, finished := muster.Merging, any(nil)
	switch {
	case o.Cancelled:
		state, finished = muster.Cancelled, now.UnixMicro()
	case o.Error != nil:
		state, finished = muster.Failed, now.UnixMicro()
	}
	warnings, failure, err := notices(o.Warnings, o.Error)
	if err != nil {
		return err
	}
	return s.leased(ctx, l, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE run SET state = $2, finished_at = $3, warnings = $4, error = $5, api_calls = $6, bytes = $7, throttled = $8, lease_until = 0
			WHERE id = $1 AND state IN `+states(state.Before()), l.Run, string(state), finished, warnings, failure, o.Traffic.APICalls, o.Traffic.Bytes, o.Traffic.Throttled.Microseconds()))
		if err == nil && n == 0 {
			err = fmt.Errorf("run %d cannot become %s: %w", l.Run, state, muster.ErrConflict)
		}
		return err
	})
}

func notices(warnings []muster.Notice, failure *muster.Notice) (string, any, error) {
	if warnings == nil {
		warnings = []muster.Notice{}
	}
	w, err := json.Marshal(warnings)
	if err != nil || failure == nil {
		return string(w), nil, err
	}
	f, err := json.Marshal(failure)
	return string(w), string(f), err
}

// EndRun implements store.Runs.
func (s *Store) EndRun(ctx context.Context, l wire.Lease, state muster.RunState, warnings []muster.Notice, failure *muster.Notice, now time.Time) error {
	w, f, err := notices(warnings, failure)
	if err != nil {
		return err
	}
	return s.leased(ctx, l, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE run SET state = $2, finished_at = $3, warnings = $4, error = $5, lease_until = 0 WHERE id = $1 AND state IN `+states(state.Before()),
			l.Run, string(state), now.UnixMicro(), w, f))
		if err == nil && n == 0 {
			err = fmt.Errorf("run %d cannot become %s: %w", l.Run, state, muster.ErrConflict)
		}
		return err
	})
}

// Requeue implements store.Runs.
func (s *Store) Requeue(ctx context.Context, run int64, now time.Time) (muster.RunState, error) {
	var state muster.RunState
	err := s.update(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE run SET lost = lost + 1, lease_until = 0, fence = fence + 1,
				state = CASE WHEN lost + 1 >= $2 THEN 'abandoned' ELSE 'queued' END,
				finished_at = CASE WHEN lost + 1 >= $2 THEN $3 ELSE finished_at END
			WHERE id = $1 AND lease_until <= $3 AND state IN ('dispatched', 'running') RETURNING state`, run, abandonAfter, now.UnixMicro()).Scan(&state)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("run %d is not lost: %w", run, muster.ErrConflict)
		}
		return err
	})
	return state, err
}

// Drop implements store.Runs.
func (s *Store) Drop(ctx context.Context, run int64, state muster.RunState, why muster.Notice, now time.Time) error {
	w, f, err := notices(nil, &why)
	if err != nil {
		return err
	}
	err = s.update(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE run SET state = $2, finished_at = $3, warnings = $4, error = $5, lease_until = 0, fence = fence + 1
			WHERE id = $1 AND lease_until <= $3 AND state IN `+states(state.Before()), run, string(state), now.UnixMicro(), w, f))
		if err == nil && n == 0 {
			err = fmt.Errorf("run %d cannot become %s: %w", run, state, muster.ErrConflict)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.DropStaged(ctx, run)
}

// Report implements store.Runs.
func (s *Store) Report(ctx context.Context, run int64) (muster.Run, error) {
	r := muster.Run{ID: run, Datasets: map[muster.Dataset]*muster.DatasetResult{}}
	var queued, started, finished sql.NullInt64
	var throttled int64
	var warnings string
	var failure, tenant sql.NullString
	err := s.read.QueryRowContext(ctx, `SELECT c.name, r.server, r.trigger_kind, r.state, t.tenant_id, r.queued_at, r.started_at, r.finished_at,
			r.api_calls, r.bytes, r.throttled, r.warnings, r.error
		FROM run r JOIN connector c ON c.id = r.connector_id LEFT JOIN tenant t ON t.id = r.tenant_id WHERE r.id = $1`, run).
		Scan(&r.Connector, &r.Server, &r.Trigger, &r.State, &tenant, &queued, &started, &finished, &r.Traffic.APICalls, &r.Traffic.Bytes, &throttled, &warnings, &failure)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fmt.Errorf("run %d: %w", run, muster.ErrNotFound)
	}
	if err != nil {
		return r, s.explain(err)
	}
	r.TenantID, r.QueuedAt, r.StartedAt, r.FinishedAt = tenant.String, fromMicros(queued), fromMicros(started), fromMicros(finished)
	r.Traffic.Throttled = time.Duration(throttled) * time.Microsecond
	if err := json.Unmarshal([]byte(warnings), &r.Warnings); err != nil {
		return r, err
	}
	if failure.Valid {
		if err := json.Unmarshal([]byte(failure.String), &r.Error); err != nil {
			return r, err
		}
	}
	err = s.each(ctx, func(rows *sql.Rows) error {
		var name muster.Dataset
		var d muster.DatasetResult
		var state sql.NullString
		var at sql.NullInt64
		var reason string
		err := rows.Scan(append([]any{&name, &d.Mode, &state, &reason, &at}, countTargets(&d.Counts)...)...)
		d.Complete = state.String == string(muster.Complete)
		d.SourceTime = fromMicros(at)
		if d.Mode == muster.ModeSkipped || !d.Complete {
			d.SkippedBecause = reason
		}
		r.Datasets[name] = &d
		return err
	}, `SELECT dataset, mode, completeness, reason, source_time, `+countColumns+` FROM run_dataset WHERE run_id = $1`, run)
	return r, err
}

const countColumns = `rows_read, rows_new, rows_changed, rows_unchanged, rows_closed, rows_reopened, rows_out, rows_rejected, rows_duplicate`

func countTargets(c *muster.Counts) []any {
	return []any{&c.Read, &c.New, &c.Changed, &c.Unchanged, &c.Closed, &c.Reopened, &c.OutOfScope, &c.Rejected, &c.Duplicates}
}

func countValues(c muster.Counts) []any {
	return []any{c.Read, c.New, c.Changed, c.Unchanged, c.Closed, c.Reopened, c.OutOfScope, c.Rejected, c.Duplicates}
}

// Reserve implements store.Budgets.
func (s *Store) Reserve(ctx context.Context, key store.BudgetKey, n int, windows []store.Window, now time.Time) (wait time.Duration, err error) {
	err = s.update(ctx, func(tx *sql.Tx) error {
		var longest time.Duration
		for _, w := range windows {
			longest = max(longest, w.Span)
			var oldest sql.NullInt64
			// The call that must leave the window before n more fit in.
			err := tx.QueryRowContext(ctx, `SELECT called_at FROM rate_call WHERE tenant = $1 AND client = $2 AND endpoint = $3 AND called_at > $4
				ORDER BY called_at DESC LIMIT 1 OFFSET $5`, key.Tenant, key.Client, key.Endpoint, now.Add(-w.Span).UnixMicro(), w.Calls-n).Scan(&oldest)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			wait = max(wait, fromMicros(oldest).Add(w.Span).Sub(now))
		}
		if wait > 0 {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM rate_call WHERE called_at <= $1`, now.Add(-longest).UnixMicro()); err != nil {
			return err
		}
		return insertRows(ctx, tx, `INSERT INTO rate_call (tenant, client, endpoint, called_at)`, "", 4, n, func(_ int, args []any) []any {
			return append(args, key.Tenant, key.Client, key.Endpoint, now.UnixMicro())
		})
	})
	return wait, err
}
