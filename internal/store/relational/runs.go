package relational

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

// activeStates are the states in which somebody works, or should work, on a run.
const activeStates = `('dispatched', 'running', 'merging')`

const runColumns = `r.id, r.connector_id, c.name, c.tenant_id, r.settings, r.settings_version, r.state, r.full_read, r.fence, r.lease_until, r.lost, r.cancel_asked, COALESCE(r.tenant_id, 0), COALESCE(t.tenant_id, '')`

const runTables = ` FROM run r JOIN connector c ON c.id = r.connector_id LEFT JOIN tenant t ON t.id = r.tenant_id `

func scanRun(row scanner, more ...any) (store.RunHead, error) {
	var h store.RunHead
	var settings string
	var lease, full, cancel int64
	err := row.Scan(append([]any{
		&h.ID, &h.Connector.ID, &h.Connector.Name, &h.Connector.Tenant, &settings, &h.SettingsVersion, &h.State, &full, &h.Fence, &lease, &h.Lost, &cancel, &h.Tenant, &h.TenantGUID,
	}, more...)...)
	if err != nil {
		return h, err
	}
	h.Full, h.CancelAsked = full != 0, cancel != 0
	if lease != 0 { // 0 = held by nobody
		h.LeaseUntil = time.UnixMicro(lease).UTC()
	}
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
	err := s.update(ctx, func(tx *Tx) error {
		// Whoever queues a run of this connector at the same time comes after us.
		n, err := affected(tx.ExecContext(ctx, `UPDATE connector SET settings_version = settings_version WHERE id = $1`, connector))
		if err == nil && n == 0 {
			err = fmt.Errorf("connector %d: %w", connector, muster.ErrNotFound)
		}
		if err != nil {
			return err
		}
		// A run that lost its worker comes first: it goes on where it stopped.
		err = tx.QueryRowContext(ctx, `SELECT id FROM run WHERE connector_id = $1 AND state = 'queued' ORDER BY id LIMIT 1`, connector).Scan(&id)
		switch {
		case err == nil && full:
			_, err = tx.ExecContext(ctx, `UPDATE run SET full_read = 1 WHERE id = $1`, id)
			return err
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO run (connector_id, server, trigger_kind, state, settings, settings_version, full_read, queued_at)
			SELECT id, 'Cloud', $2, 'queued', settings, settings_version, $3, $4 FROM connector WHERE id = $1 RETURNING id`,
			connector, trigger, flag(full), now.UnixMicro()).Scan(&id)
	})
	return id, err
}

// ActiveRun implements store.Runs.
func (s *Store) ActiveRun(ctx context.Context, connector int64, now time.Time) (h store.RunHead, held, active bool, err error) {
	var left int64
	h, err = scanRun(s.row(ctx, `SELECT `+runColumns+`, r.lease_until - `+s.engine.LeaseClock("$2")+runTables+`
		WHERE r.connector_id = $1 AND r.state IN `+activeStates, connector, now.UnixMicro()), &left)
	if errors.Is(err, sql.ErrNoRows) {
		return h, false, false, nil
	}
	return h, left > 0, err == nil, err
}

// Run implements store.Runs.
func (s *Store) Run(ctx context.Context, id int64) (store.RunHead, error) {
	h, err := scanRun(s.row(ctx, `SELECT `+runColumns+runTables+`WHERE r.id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return h, fmt.Errorf("run %d: %w", id, muster.ErrNotFound)
	}
	return h, err
}

// BindTenant implements store.Runs.
func (s *Store) BindTenant(ctx context.Context, l wire.Lease, tenant string) error {
	return s.leasedRepeat(ctx, l, func(tx *Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO tenant (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING`, tenant); err != nil {
			return err
		}
		var id int64
		if err := tx.QueryRowContext(ctx, `SELECT id FROM tenant WHERE tenant_id = $1`, tenant).Scan(&id); err != nil {
			return err
		}
		n, err := affected(tx.ExecContext(ctx, `UPDATE run SET tenant_id = $2 WHERE id = $1 AND (tenant_id IS NULL OR tenant_id = $2)`, l.Run, id))
		if err == nil && n == 0 {
			err = fmt.Errorf("run %d reads another tenant: %w", l.Run, muster.ErrConflict)
		}
		return err
	})
}

// AskCancel implements store.Runs.
func (s *Store) AskCancel(ctx context.Context, run int64, now time.Time) error {
	return s.update(ctx, func(tx *Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE run SET cancel_asked = 1, state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END,
				finished_at = CASE WHEN state = 'queued' THEN $2 ELSE finished_at END
			WHERE id = $1 AND state IN `+states(muster.Cancelled.Before()), run, now.UnixMicro()))
		if err == nil && n == 0 {
			err = fmt.Errorf("run %d cannot be cancelled: %w", run, muster.ErrConflict)
		}
		return err
	})
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
	_, failure, err := notices(nil, o.Error)
	if err != nil {
		return err
	}
	return s.leased(ctx, l, func(tx *Tx) error {
		warnings, err := addWarnings(ctx, tx, l.Run, o.Warnings)
		if err != nil {
			return err
		}
		// The fence moves, so that the reader's lease ends with its reading.
		n, err := affected(tx.ExecContext(ctx, `UPDATE run SET state = $2, finished_at = $3, warnings = $4, error = $5, lease_until = 0, fence = fence + 1,
				api_calls = calls_before + $6, bytes = bytes_before + $7, throttled = throttled_before + $8
			WHERE id = $1 AND state IN `+states(state.Before()), l.Run, string(state), finished, warnings, failure, o.Traffic.APICalls, o.Traffic.Bytes, o.Traffic.Throttled.Microseconds()))
		if err == nil && n == 0 {
			err = fmt.Errorf("run %d cannot become %s: %w", l.Run, state, muster.ErrConflict)
		}
		return err
	})
}

// addWarnings gives the run's warnings and some more, each once, as the run keeps them.
func addWarnings(ctx context.Context, tx *Tx, run int64, more []muster.Notice) (string, error) {
	var kept string
	if err := tx.QueryRowContext(ctx, `SELECT warnings FROM run WHERE id = $1`, run).Scan(&kept); err != nil {
		return "", err
	}
	var all []muster.Notice
	if err := json.Unmarshal([]byte(kept), &all); err != nil {
		return "", err
	}
	for _, n := range more {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	text, _, err := notices(all, nil)
	return text, err
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
	if !state.Final() {
		return fmt.Errorf("a run cannot end as %s: %w", state, muster.ErrInvalid)
	}
	w, f, err := notices(warnings, failure)
	if err != nil {
		return err
	}
	return s.leased(ctx, l, func(tx *Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE run SET state = $2, finished_at = $3, warnings = $4, error = $5, lease_until = 0 WHERE id = $1 AND state IN `+states(state.Before()),
			l.Run, string(state), now.UnixMicro(), w, f))
		if err == nil && n == 0 {
			err = fmt.Errorf("run %d cannot become %s: %w", l.Run, state, muster.ErrConflict)
		}
		return err
	})
}

// Drop implements store.Runs.
func (s *Store) Drop(ctx context.Context, run int64, state muster.RunState, why muster.Notice, now time.Time) error {
	if !state.Final() {
		return fmt.Errorf("a run cannot end as %s: %w", state, muster.ErrInvalid)
	}
	w, f, err := notices(nil, &why)
	if err != nil {
		return err
	}
	err = s.update(ctx, func(tx *Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE run SET state = $2, finished_at = $3, warnings = $4, error = $5, lease_until = 0, fence = fence + 1
			WHERE id = $1 AND lease_until <= `+s.engine.LeaseClock("$3")+` AND state IN `+states(state.Before()), run, string(state), now.UnixMicro(), w, f))
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

const countColumns = `rows_read, rows_new, rows_changed, rows_unchanged, rows_closed, rows_reopened, rows_out, rows_rejected, rows_duplicate`

func countTargets(c *muster.Counts) []any {
	return []any{&c.Read, &c.New, &c.Changed, &c.Unchanged, &c.Closed, &c.Reopened, &c.OutOfScope, &c.Rejected, &c.Duplicates}
}

func countValues(c muster.Counts) []any {
	return []any{c.Read, c.New, c.Changed, c.Unchanged, c.Closed, c.Reopened, c.OutOfScope, c.Rejected, c.Duplicates}
}
