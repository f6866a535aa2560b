package relational

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"muster"
	"muster/internal/store"
	"muster/internal/wire"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keptRejections is how many rejected rows of a dataset are kept with their reasons.
const keptRejections = 20

// BeginDataset implements store.Staging.
func (s *Store) BeginDataset(ctx context.Context, l wire.Lease, d muster.Dataset, snapshot time.Time) error {
	return s.leasedRepeat(ctx, l, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO run_dataset (run_id, dataset, source_time) VALUES ($1, $2, $3)
			ON CONFLICT (run_id, dataset) DO UPDATE SET source_time = excluded.source_time, sequence = 0, sequence_fence = 0`, l.Run, string(d), micros(snapshot))
		return err
	})
}

// Stage implements store.Staging.
func (s *Store) Stage(ctx context.Context, l wire.Lease, st store.Staged, now time.Time) error {
	return s.leasedRepeat(ctx, l, func(tx *Tx) error {
		held, err := holds(ctx, tx, l, st)
		if err != nil || held {
			return err
		}
		if err := addCounts(ctx, tx, l.Run, st.Dataset, st.Counts, `, sequence = $12, sequence_fence = $13`, st.Sequence, l.Fence); err != nil {
			return err
		}
		if err := insertSegment(ctx, tx, l.Run, st, now); err != nil {
			return err
		}
		columns := []Column{{"run_id", Integers}, {"dataset", Texts}, {"part", Texts}}
		err = tx.insert(ctx, Rows{Table: "run_part", Columns: columns, Keys: 3, Conflict: Keep, N: len(st.Parts), Values: func(i int, args []any) []any {
			return append(args, l.Run, string(st.Dataset), st.Parts[i])
		}})
		if err != nil {
			return err
		}
		return keepRejected(ctx, tx, l.Run, st)
	})
}

// holds tells whether this step came before, under this lease and since the dataset was begun.
func holds(ctx context.Context, tx *Tx, l wire.Lease, st store.Staged) (bool, error) {
	var sequence, fence int64
	err := tx.QueryRowContext(ctx, `SELECT sequence, sequence_fence FROM run_dataset WHERE run_id = $1 AND dataset = $2`, l.Run, string(st.Dataset)).Scan(&sequence, &fence)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil // addCounts says what is wrong
	}
	return fence == l.Fence && st.Sequence <= sequence, err
}

func insertSegment(ctx context.Context, tx *Tx, run int64, st store.Staged, now time.Time) error {
	if len(st.Chunks) == 0 {
		return nil
	}
	var id int64
	err := tx.QueryRowContext(ctx, `INSERT INTO segment (run_id, dataset, records, chunks, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		run, string(st.Dataset), st.Records, len(st.Chunks), now.UnixMicro()).Scan(&id)
	if err != nil {
		return err
	}
	columns := []Column{{"segment_id", Integers}, {"n", Integers}, {"checksum", Integers}, {"data", Bytes}}
	return tx.insert(ctx, Rows{Table: "segment_chunk", Columns: columns, Keys: 2, N: len(st.Chunks), Values: func(i int, args []any) []any {
		return append(args, id, i, int64(crc32.Checksum(st.Chunks[i], castagnoli)), st.Chunks[i])
	}})
}

func keepRejected(ctx context.Context, tx *Tx, run int64, st store.Staged) error {
	if len(st.Rejected) == 0 {
		return nil
	}
	var have int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM run_rejected WHERE run_id = $1 AND dataset = $2`, run, string(st.Dataset)).Scan(&have); err != nil {
		return err
	}
	keep := min(len(st.Rejected), keptRejections-have)
	columns := []Column{{"run_id", Integers}, {"dataset", Texts}, {"n", Integers}, {"machine", Texts}, {"reason", Texts}}
	return tx.insert(ctx, Rows{Table: "run_rejected", Columns: columns, Keys: 3, N: max(0, keep), Values: func(i int, args []any) []any {
		return append(args, run, string(st.Dataset), have+i, st.Rejected[i].Machine, st.Rejected[i].Reason)
	}})
}

// addCounts adds to a dataset's counters; more sets further columns from $12 on.
func addCounts(ctx context.Context, tx *Tx, run int64, d muster.Dataset, c muster.Counts, more string, args ...any) error {
	values := append([]any{run, string(d)}, countValues(c)...)
	n, err := affected(tx.ExecContext(ctx, `UPDATE run_dataset SET rows_read = rows_read + $3, rows_new = rows_new + $4, rows_changed = rows_changed + $5,
		rows_unchanged = rows_unchanged + $6, rows_closed = rows_closed + $7, rows_reopened = rows_reopened + $8, rows_out = rows_out + $9,
		rows_rejected = rows_rejected + $10, rows_duplicate = rows_duplicate + $11`+more+` WHERE run_id = $1 AND dataset = $2`, append(values, args...)...))
	if err == nil && n == 0 {
		err = fmt.Errorf("dataset %s of run %d was not begun", d, run)
	}
	return err
}

// EndDataset implements store.Staging.
func (s *Store) EndDataset(ctx context.Context, l wire.Lease, d muster.Dataset, c wire.Completeness) error {
	return s.leasedRepeat(ctx, l, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO run_dataset (run_id, dataset, mode, completeness, reason, source_time) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (run_id, dataset) DO UPDATE SET mode = excluded.mode, completeness = excluded.completeness, reason = excluded.reason,
				source_time = COALESCE(excluded.source_time, run_dataset.source_time)`,
			l.Run, string(d), string(c.Mode), string(c.State), c.Reason, micros(c.SourceTime))
		if err != nil || len(c.Warnings) == 0 {
			return err
		}
		warnings, err := addWarnings(ctx, tx, l.Run, c.Warnings)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE run SET warnings = $2 WHERE id = $1`, l.Run, warnings)
		return err
	})
}

// RestartDataset implements store.Staging.
func (s *Store) RestartDataset(ctx context.Context, l wire.Lease, d muster.Dataset) error {
	return s.leasedRepeat(ctx, l, func(tx *Tx) error {
		for _, query := range []string{
			`DELETE FROM segment_chunk WHERE segment_id IN (SELECT id FROM segment WHERE run_id = $1 AND dataset = $2)`,
			`DELETE FROM segment WHERE run_id = $1 AND dataset = $2`,
			`DELETE FROM run_part WHERE run_id = $1 AND dataset = $2`,
			`DELETE FROM run_rejected WHERE run_id = $1 AND dataset = $2`,
			`DELETE FROM run_dataset WHERE run_id = $1 AND dataset = $2`,
		} {
			if _, err := tx.ExecContext(ctx, query, l.Run, string(d)); err != nil {
				return err
			}
		}
		return nil
	})
}

// StagedDatasets implements store.Staging.
func (s *Store) StagedDatasets(ctx context.Context, run int64) (map[muster.Dataset]store.StagedDataset, error) {
	staged := map[muster.Dataset]store.StagedDataset{}
	err := s.view(ctx, func(tx *Tx) error {
		if err := stagedDatasets(ctx, tx, run, staged); err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var d muster.Dataset
			var part string
			if err := rows.Scan(&d, &part); err != nil {
				return err
			}
			st := staged[d]
			st.Parts = append(st.Parts, part)
			staged[d] = st
			return nil
		}, `SELECT dataset, part FROM run_part WHERE run_id = $1 ORDER BY dataset, part`, run)
	})
	return staged, err
}

func stagedDatasets(ctx context.Context, tx *Tx, run int64, staged map[muster.Dataset]store.StagedDataset) error {
	return each(ctx, tx, func(rows *sql.Rows) error {
		var d muster.Dataset
		var st store.StagedDataset
		var state sql.NullString
		var at sql.NullInt64
		var merged int64
		targets := append([]any{&d, &st.Completeness.Mode, &state, &st.Completeness.Reason, &at, &st.Cursor, &merged}, countTargets(&st.Counts)...)
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		st.Completeness.State = muster.Completeness(state.String)
		st.Snapshot = fromMicros(at)
		st.Completeness.SourceTime, st.Merged = st.Snapshot, merged != 0
		staged[d] = st
		return nil
	}, `SELECT dataset, mode, completeness, reason, source_time, merge_cursor, merged, `+countColumns+` FROM run_dataset WHERE run_id = $1`, run)
}

// RejectedRows implements store.Staging.
func (s *Store) RejectedRows(ctx context.Context, run int64, d muster.Dataset) ([]wire.Rejected, error) {
	var rejected []wire.Rejected
	err := s.each(ctx, func(rows *sql.Rows) error {
		var r wire.Rejected
		err := rows.Scan(&r.Machine, &r.Reason)
		rejected = append(rejected, r)
		return err
	}, `SELECT machine, reason FROM run_rejected WHERE run_id = $1 AND dataset = $2 ORDER BY n`, run, string(d))
	return rejected, err
}

// Segments implements store.Staging.
func (s *Store) Segments(ctx context.Context, run int64, d muster.Dataset) ([]store.Segment, error) {
	var all []store.Segment
	err := s.each(ctx, func(rows *sql.Rows) error {
		var seg store.Segment
		err := rows.Scan(&seg.ID, &seg.Records, &seg.Chunks)
		all = append(all, seg)
		return err
	}, `SELECT id, records, chunks FROM segment WHERE run_id = $1 AND dataset = $2 ORDER BY id`, run, string(d))
	return all, err
}

// ReadChunk implements store.Staging.
func (s *Store) ReadChunk(ctx context.Context, segment int64, n int) ([]byte, error) {
	var sum int64
	var data []byte
	err := s.row(ctx, `SELECT checksum, data FROM segment_chunk WHERE segment_id = $1 AND n = $2`, segment, n).Scan(&sum, &data)
	if errors.Is(err, sql.ErrNoRows) || err == nil && int64(crc32.Checksum(data, castagnoli)) != sum {
		return nil, fmt.Errorf("segment %d, chunk %d: %w", segment, n, store.ErrDamaged)
	}
	return data, err
}

// SaveScope implements store.Staging.
func (s *Store) SaveScope(ctx context.Context, l wire.Lease, scope []byte, sourceTime time.Time) error {
	if scope == nil {
		scope = []byte{} // an empty scope was decided too
	}
	return s.leasedRepeat(ctx, l, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE run SET scope = $2, source_time = $3 WHERE id = $1`, l.Run, scope, sourceTime.UnixMicro())
		return err
	})
}

// RunScope implements store.Staging.
func (s *Store) RunScope(ctx context.Context, run int64) ([]byte, time.Time, error) {
	var scope []byte
	var decided int64
	var at sql.NullInt64
	err := s.row(ctx, `SELECT scope, CASE WHEN scope IS NULL THEN 0 ELSE 1 END, source_time FROM run WHERE id = $1`, run).Scan(&scope, &decided, &at)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("run %d: %w", run, muster.ErrNotFound)
	}
	if err != nil || decided == 0 {
		return nil, time.Time{}, err
	}
	if scope == nil {
		scope = []byte{}
	}
	return scope, fromMicros(at), nil
}

// Leftovers implements store.Staging.
func (s *Store) Leftovers(ctx context.Context) ([]int64, error) {
	var runs []int64
	err := s.each(ctx, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		runs = append(runs, id)
		return err
	}, `SELECT r.id FROM run r WHERE r.finished_at IS NOT NULL AND (r.scope IS NOT NULL OR EXISTS (SELECT 1 FROM segment s WHERE s.run_id = r.id)
		OR EXISTS (SELECT 1 FROM run_part p WHERE p.run_id = r.id)) ORDER BY r.id`)
	return runs, err
}

// DropStaged implements store.Staging.
func (s *Store) DropStaged(ctx context.Context, run int64) error {
	var segments []int64
	err := s.each(ctx, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		segments = append(segments, id)
		return err
	}, `SELECT id FROM segment WHERE run_id = $1 ORDER BY id`, run)
	if err != nil {
		return err
	}
	for _, id := range segments {
		err := s.repeat(ctx, func(tx *Tx) error {
			if _, err := tx.ExecContext(ctx, `DELETE FROM segment_chunk WHERE segment_id = $1`, id); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `DELETE FROM segment WHERE id = $1`, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.repeat(ctx, func(tx *Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM run_part WHERE run_id = $1`, run); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE run SET scope = NULL WHERE id = $1`, run)
		return err
	})
}
