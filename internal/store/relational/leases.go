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

// A lease begins and runs out by the engine's clock: the caller says how long it lasts.

// ClaimReading implements store.Runs. Reading starts at once where it is claimed, so the
// run passes dispatched within this transaction. The first claim fixes the settings; a
// run that lost its worker keeps those under which it has staged.
func (s *Store) ClaimReading(ctx context.Context, run int64, now, until time.Time) (wire.Lease, store.RunHead, error) {
	return s.claim(ctx, run, until, `UPDATE run SET state = 'running', fence = fence + 1, lease_until = `+s.engine.LeaseClock("$2")+` + $3, started_at = COALESCE(started_at, $2),
			settings = CASE WHEN started_at IS NULL THEN (SELECT c.settings FROM connector c WHERE c.id = run.connector_id) ELSE settings END,
			settings_version = CASE WHEN started_at IS NULL THEN (SELECT c.settings_version FROM connector c WHERE c.id = run.connector_id) ELSE settings_version END`+keepTraffic+`
		WHERE id = $1 AND state = 'queued' AND NOT EXISTS (SELECT 1 FROM run o WHERE o.connector_id = run.connector_id AND o.state IN `+activeStates+`)`,
		run, now.UnixMicro(), until.Sub(now).Microseconds())
}

// ClaimMerge implements store.Runs.
func (s *Store) ClaimMerge(ctx context.Context, run int64, now, until time.Time) (wire.Lease, store.RunHead, error) {
	clock := s.engine.LeaseClock("$2")
	return s.claim(ctx, run, until, `UPDATE run SET fence = fence + 1, lease_until = `+clock+` + $3, lost = CASE WHEN lease_until > 0 THEN lost + 1 ELSE lost END`+keepTraffic+`
		WHERE id = $1 AND state = 'merging' AND lease_until <= `+clock+`
			AND NOT EXISTS (SELECT 1 FROM run other WHERE other.tenant_id = run.tenant_id AND other.id <> run.id AND other.state = 'merging' AND other.lease_until > `+clock+`)`, run, now.UnixMicro(), until.Sub(now).Microseconds())
}

func (s *Store) claim(ctx context.Context, run int64, until time.Time, query string, args ...any) (lease wire.Lease, h store.RunHead, err error) {
	err = s.update(ctx, func(tx *Tx) error {
		// Claims of one tenant come one after the other: only one of its runs may merge.
		if _, err := tx.ExecContext(ctx, `UPDATE tenant SET tenant_id = tenant_id WHERE id = (SELECT tenant_id FROM run WHERE id = $1)`, run); err != nil {
			return err
		}
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
func (s *Store) Renew(ctx context.Context, l wire.Lease, now, until time.Time, p wire.Progress) (wire.Order, error) {
	return s.renew(ctx, l, `UPDATE run SET lease_until = `+s.engine.LeaseClock("$2")+` + $3, api_calls = calls_before + $4, bytes = bytes_before + $5, throttled = throttled_before + $6
		WHERE id = $1 RETURNING cancel_asked`, l.Run, now.UnixMicro(), until.Sub(now).Microseconds(), p.Traffic.APICalls, p.Traffic.Bytes, p.Traffic.Throttled.Microseconds())
}

// RenewMerge implements store.Runs.
func (s *Store) RenewMerge(ctx context.Context, l wire.Lease, now, until time.Time) (wire.Order, error) {
	return s.renew(ctx, l, `UPDATE run SET lease_until = `+s.engine.LeaseClock("$2")+` + $3 WHERE id = $1 RETURNING cancel_asked`, l.Run, now.UnixMicro(), until.Sub(now).Microseconds())
}

func (s *Store) renew(ctx context.Context, l wire.Lease, query string, args ...any) (wire.Order, error) {
	var cancel int64
	err := s.leasedRepeat(ctx, l, func(tx *Tx) error { return tx.QueryRowContext(ctx, query, args...).Scan(&cancel) })
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
	err := s.update(ctx, func(tx *Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE run SET lost = lost + 1, lease_until = 0, fence = fence + 1,
				state = CASE WHEN lost + 1 >= $2 THEN 'abandoned' ELSE 'queued' END,
				finished_at = CASE WHEN lost + 1 >= $2 THEN $3 ELSE finished_at END
			WHERE id = $1 AND lease_until <= `+s.engine.LeaseClock("$3")+` AND state IN ('dispatched', 'running') RETURNING state`, run, muster.AbandonAfter, now.UnixMicro()).Scan(&state)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("run %d is not lost: %w", run, muster.ErrConflict)
		}
		return err
	})
	return state, err
}
