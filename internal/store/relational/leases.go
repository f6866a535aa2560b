package relational

import (
	"context"
	"database/sql"
	"time"

	"muster/internal/wire"
)

// RenewMerge implements store.Runs.
func (s *Store) RenewMerge(ctx context.Context, l wire.Lease, until time.Time) (wire.Order, error) {
	var cancel int64
	err := s.leased(ctx, l, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `UPDATE run SET lease_until = $2 WHERE id = $1 RETURNING cancel_asked`, l.Run, until.UnixMicro()).Scan(&cancel)
	})
	if cancel != 0 {
		return wire.Cancel, err
	}
	return wire.GoOn, err
}

// Leftovers implements store.Staging.
func (s *Store) Leftovers(ctx context.Context) ([]int64, error) {
	var runs []int64
	err := s.each(ctx, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		runs = append(runs, id)
		return err
	}, `SELECT DISTINCT r.id FROM run r JOIN segment s ON s.run_id = r.id WHERE r.state NOT IN ('queued', 'dispatched', 'running', 'merging')`)
	return runs, err
}
