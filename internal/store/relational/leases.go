package relational

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

// ClaimReading implements store.Runs. Reading starts at once where it is claimed, so the
// run passes dispatched within this transaction. The first claim fixes the settings; a
// run that lost its worker keeps those under which it has staged.
func (s *Store) ClaimReading(ctx context.Context, run int64, now, until time.Time) (wire.Lease, store.RunHead, error) {
	return s.claim(ctx, run, until, `UPDATE run SET state = 'running', fence = fence + 1, lease_until = $2, started_at = COALESCE(started_at, $3),
			settings = CASE WHEN started_at IS NULL THEN (SELECT c.settings FROM connector c WHERE c.id = run.connector_id) ELSE settings END,
			settings_version = CASE WHEN started_at IS NULL THEN (SELECT c.settings_version FROM connector c WHERE c.id = run.connector_id) ELSE settings_version END`+keepTraffic+`
		WHERE id = $1 AND state = 'queued' AND NOT EXISTS (SELECT 1 FROM run o WHERE o.connector_id = run.connector_id AND o.state IN `+active+`)`,
		run, until.UnixMicro(), now.UnixMicro())
}

// ClaimMerge implements store.Runs.
func (s *Store) ClaimMerge(ctx context.Context, run int64, now, until time.Time) (wire.Lease, store.RunHead, error) {
	return s.claim(ctx, run, until, `UPDATE run SET fence = fence + 1, lease_until = $2, lost = CASE WHEN lease_until > 0 THEN lost + 1 ELSE lost END`+keepTraffic+`
		WHERE id = $1 AND state = 'merging' AND lease_until <= $3`, run, until.UnixMicro(), now.UnixMicro())
}

func (s *Store) claim(ctx context.Context, run int64, until time.Time, query string, args ...any) (lease wire.Lease, h store.RunHead, err error) {
	err = s.update(ctx, func(tx *transaction) error {
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

// keepTraffic sets aside what earlier leases have cost: each lease counts from zero.
const keepTraffic = `, calls_before = api_calls, bytes_before = bytes, throttled_before = throttled`

// Renew implements store.Runs.
func (s *Store) Renew(ctx context.Context, l wire.Lease, until time.Time, p wire.Progress) (wire.Order, error) {
	return s.renew(ctx, l, `UPDATE run SET lease_until = $2, api_calls = calls_before + $3, bytes = bytes_before + $4, throttled = throttled_before + $5
		WHERE id = $1 RETURNING cancel_asked`, l.Run, until.UnixMicro(), p.Traffic.APICalls, p.Traffic.Bytes, p.Traffic.Throttled.Microseconds())
}

// RenewMerge implements store.Runs.
func (s *Store) RenewMerge(ctx context.Context, l wire.Lease, until time.Time) (wire.Order, error) {
	return s.renew(ctx, l, `UPDATE run SET lease_until = $2 WHERE id = $1 RETURNING cancel_asked`, l.Run, until.UnixMicro())
}

func (s *Store) renew(ctx context.Context, l wire.Lease, query string, args ...any) (wire.Order, error) {
	var cancel int64
	err := s.leased(ctx, l, func(tx *transaction) error { return tx.QueryRowContext(ctx, query, args...).Scan(&cancel) })
	if err != nil {
		return "", err
	}
	if cancel != 0 {
		return wire.Cancel, nil
	}
	return wire.GoOn, nil
}

// Requeue implements store.Runs.
func (s *Store) Requeue(ctx context.Context, run int64, now time.Time) (muster.RunState, error) {
	var state muster.RunState
	err := s.update(ctx, func(tx *transaction) error {
		err := tx.QueryRowContext(ctx, `UPDATE run SET lost = lost + 1, lease_until = 0, fence = fence + 1,
				state = CASE WHEN lost + 1 >= $2 THEN 'abandoned' ELSE 'queued' END,
				finished_at = CASE WHEN lost + 1 >= $2 THEN $3 ELSE finished_at END
			WHERE id = $1 AND lease_until <= $3 AND state IN ('dispatched', 'running') RETURNING state`, run, muster.AbandonAfter, now.UnixMicro()).Scan(&state)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("run %d is not lost: %w", run, muster.ErrConflict)
		}
		return err
	})
	return state, err
}
