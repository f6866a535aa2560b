package relational

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"muster"
	"muster/internal/store"
)

const machineColumns = `m.first_seen, m.last_seen, m.aad_device_id, m.merged_into, m.superseded, m.listed_at, m.unseen_since, m.missing_since`

func scanMachine(rows *sql.Rows) (m store.MachineRow, err error) {
	var device, attributes, aad, merged sql.NullString
	var first, last, listed, unseen, missing sql.NullInt64
	var superseded int64
	err = rows.Scan(&m.ID, &m.MachineID, &device, &attributes, &first, &last, &aad, &merged, &superseded, &listed, &unseen, &missing)
	m.Device, m.AADDeviceID, m.MergedInto, m.Superseded = device.String, aad.String, merged.String, superseded != 0
	if attributes.Valid {
		m.Attributes = []byte(attributes.String)
	}
	m.FirstSeen, m.LastSeen, m.ListedAt = fromMicros(first), fromMicros(last), fromMicros(listed)
	m.UnseenSince, m.MissingSince = fromMicros(unseen), fromMicros(missing)
	return m, err
}

// Machines implements store.Merge.
func (s *Store) Machines(ctx context.Context, ids []int64) (map[int64]store.MachineRow, error) {
	found := make(map[int64]store.MachineRow, len(ids))
	err := inIDs(ids, func(list string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			m, err := scanMachine(rows)
			found[m.ID] = m
			return err
		}, `SELECT m.id, m.machine_id, d.device_id, m.attributes, `+machineColumns+` FROM machine m LEFT JOIN device d ON d.id = m.device_id WHERE m.id IN `+list, args...)
	})
	return found, err
}

// TenantMachines implements store.Merge.
func (s *Store) TenantMachines(ctx context.Context, tenant int64, fn func(store.MachineRow) error) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		m, err := scanMachine(rows)
		if err != nil {
			return err
		}
		return fn(m)
	}, `SELECT m.id, m.machine_id, d.device_id, NULL, `+machineColumns+` FROM machine m LEFT JOIN device d ON d.id = m.device_id WHERE m.tenant_id = $1 ORDER BY m.id`, tenant)
}

// ConnectorScopes implements store.Merge.
func (s *Store) ConnectorScopes(ctx context.Context, connector int64, fn func(store.ScopeRow)) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		var r store.ScopeRow
		var since sql.NullInt64
		err := rows.Scan(&r.Machine, &r.Reason, &since)
		r.Since = fromMicros(since)
		fn(r)
		return err
	}, `SELECT machine_id, reason, since FROM machine_scope WHERE connector_id = $1`, connector)
}

// step runs one merge transaction: lease proved, data written, counts and cursor moved.
func (s *Store) step(ctx context.Context, st store.Step, fn func(tx *transaction) error) error {
	return s.leased(ctx, st.Lease, func(tx *transaction) error {
		if err := fn(tx); err != nil {
			return err
		}
		return addCounts(ctx, tx, st.Lease.Run, st.Dataset, st.Counts, `, merge_cursor = $12`, st.Cursor)
	})
}

// MergeMachines implements store.Merge.
func (s *Store) MergeMachines(ctx context.Context, st store.MachineStep) error {
	return s.step(ctx, st.Step, func(tx *transaction) error {
		devices, err := deviceIDs(ctx, tx, st.Machines)
		if err != nil {
			return err
		}
		update, err := tx.PrepareContext(ctx, `UPDATE machine SET device_id = $2, attributes = $3, first_seen = $4, last_seen = $5, aad_device_id = $6, merged_into = $7,
			superseded = $8, listed_at = $9, unseen_since = $10, missing_since = $11 WHERE id = $1`)
		if err != nil {
			return err
		}
		defer update.Close()
		for _, m := range st.Machines {
			_, err := update.ExecContext(ctx, m.ID, devices[m.Device], text(m.Attributes), micros(m.FirstSeen), micros(m.LastSeen), orNull(m.AADDeviceID), orNull(m.MergedInto),
				flag(m.Superseded), micros(m.ListedAt), micros(m.UnseenSince), micros(m.MissingSince))
			if err != nil {
				return err
			}
		}
		if err := saveScopes(ctx, tx, st.Connector, st.Scopes); err != nil {
			return err
		}
		if err := forgetAssessments(ctx, tx, st.Entered); err != nil {
			return err
		}
		return saveChanges(ctx, tx, st.Lease.Run, st.Changes)
	})
}

// deviceIDs adds the machines' devices; a machine without one has no id.
func deviceIDs(ctx context.Context, tx *transaction, machines []store.MachineRow) (map[string]any, error) {
	var names []string
	for _, m := range machines {
		if m.Device != "" {
			names = append(names, m.Device)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	d := dictionary{table: "device", columns: []column{{"device_id", texts}}}
	keys, ids := textKeys(names), make([]int64, len(names))
	missing, err := d.lookUp(ctx, tx, keys, ids, nil)
	if err == nil && len(missing) > 0 {
		err = d.add(ctx, tx, keys, ids, missing)
	}
	byName := make(map[string]any, len(names))
	for i, id := range ids {
		byName[names[i]] = id
	}
	return byName, err
}

func text(b []byte) any {
	if b == nil {
		return nil
	}
	return string(b)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func saveScopes(ctx context.Context, tx *transaction, connector int64, scopes []store.ScopeRow) error {
	return tx.insertRows(ctx, `INSERT INTO machine_scope (machine_id, connector_id, reason, since)`,
		`ON CONFLICT (machine_id, connector_id) DO UPDATE SET reason = excluded.reason, since = excluded.since`, 4, len(scopes), func(i int, args []any) []any {
			return append(args, scopes[i].Machine, connector, string(scopes[i].Reason), scopes[i].Since.UnixMicro())
		})
}

func forgetAssessments(ctx context.Context, tx *transaction, machines []int64) error {
	return inIDs(machines, func(list string, args []any) error {
		_, err := tx.ExecContext(ctx, `UPDATE machine_dataset SET looked_at = NULL, assessed_at = NULL, empty_at = NULL, digest = NULL WHERE machine_id IN `+list, args...)
		return err
	})
}

func saveChanges(ctx context.Context, tx *transaction, run int64, changes []store.Change) error {
	return tx.insertRows(ctx, `INSERT INTO attribute_change (machine_id, at, attribute, old, new, run_id)`, `ON CONFLICT DO NOTHING`, 6, len(changes), func(i int, args []any) []any {
		c := changes[i]
		return append(args, c.Machine, c.At.UnixMicro(), c.Attribute, text(c.Old), text(c.New), run)
	})
}

// MergeMissing implements store.Merge.
func (s *Store) MergeMissing(ctx context.Context, st store.MachineStep) error {
	return s.step(ctx, st.Step, func(tx *transaction) error {
		for _, m := range st.Machines {
			_, err := tx.ExecContext(ctx, `UPDATE machine SET unseen_since = $2, missing_since = $3 WHERE id = $1`, m.ID, micros(m.UnseenSince), micros(m.MissingSince))
			if err != nil {
				return err
			}
		}
		return saveScopes(ctx, tx, st.Connector, st.Scopes)
	})
}

// States implements store.Merge.
func (s *Store) States(ctx context.Context, d muster.Dataset, machines []int64) (map[int64]store.State, error) {
	found := make(map[int64]store.State, len(machines))
	err := inIDs(machines, func(list string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			var st store.State
			var applied, looked, assessed, empty, confirmed sql.NullInt64
			var attributes sql.NullString
			err := rows.Scan(&st.Machine, &applied, &looked, &assessed, &empty, &confirmed, &st.Digest, &st.OpenRows, &attributes)
			st.Known = muster.Known{AppliedAt: fromMicros(applied), LookedAt: fromMicros(looked), AssessedAt: fromMicros(assessed), EmptyAt: fromMicros(empty)}
			st.LastConfirmed = fromMicros(confirmed)
			if attributes.Valid {
				st.Attributes = []byte(attributes.String)
			}
			found[st.Machine] = st
			return err
		}, fmt.Sprintf(`SELECT machine_id, applied_at, looked_at, assessed_at, empty_at, last_confirmed, digest, open_rows, attributes FROM machine_dataset
			WHERE machine_id IN %s AND dataset = $%d`, list, len(args)+1), append(args, string(d))...)
	})
	return found, err
}

func saveStates(ctx context.Context, tx *transaction, d muster.Dataset, states []store.State) error {
	return tx.insertRows(ctx, `INSERT INTO machine_dataset (machine_id, dataset, applied_at, looked_at, assessed_at, empty_at, last_confirmed, digest, open_rows, attributes)`,
		`ON CONFLICT (machine_id, dataset) DO UPDATE SET applied_at = excluded.applied_at, looked_at = excluded.looked_at, assessed_at = excluded.assessed_at, empty_at = excluded.empty_at,
			last_confirmed = excluded.last_confirmed, digest = excluded.digest, open_rows = excluded.open_rows, attributes = excluded.attributes`,
		10, len(states), func(i int, args []any) []any {
			st := &states[i]
			return append(args, st.Machine, string(d), micros(st.Known.AppliedAt), micros(st.Known.LookedAt), micros(st.Known.AssessedAt), micros(st.Known.EmptyAt), micros(st.LastConfirmed),
				st.Digest, st.OpenRows, text(st.Attributes))
		})
}

// MergeDocuments implements store.Merge.
func (s *Store) MergeDocuments(ctx context.Context, st store.DocumentStep) error {
	return s.step(ctx, st.Step, func(tx *transaction) error {
		if err := saveStates(ctx, tx, st.Dataset, st.States); err != nil {
			return err
		}
		return saveChanges(ctx, tx, st.Lease.Run, st.Changes)
	})
}

// DatasetState implements store.Merge.
func (s *Store) DatasetState(ctx context.Context, tenant int64, d muster.Dataset) (st store.DatasetState, err error) {
	err = s.each(ctx, func(rows *sql.Rows) error {
		var snapshot, since, guarded sql.NullInt64
		err := rows.Scan(&snapshot, &st.RowsRead, &st.MappingVersion, &since, &guarded, &st.Present)
		st.Snapshot = fromMicros(snapshot)
		st.Guard = muster.Guard{Since: fromMicros(since), Snapshot: fromMicros(guarded)}
		return err
	}, `SELECT snapshot, rows_read, mapping_version, guard_since, guard_snapshot, present FROM dataset_state WHERE tenant_id = $1 AND dataset = $2`, tenant, string(d))
	return st, err
}

// EndMerge implements store.Merge.
func (s *Store) EndMerge(ctx context.Context, st store.Step, tenant int64, state *store.DatasetState) error {
	return s.step(ctx, st, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `UPDATE run_dataset SET merged = 1 WHERE run_id = $1 AND dataset = $2`, st.Lease.Run, string(st.Dataset)); err != nil {
			return err
		}
		if state == nil {
			return nil
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO dataset_state (tenant_id, dataset, snapshot, rows_read, mapping_version, guard_since, guard_snapshot, present) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (tenant_id, dataset) DO UPDATE SET snapshot = excluded.snapshot, rows_read = excluded.rows_read, mapping_version = excluded.mapping_version,
				guard_since = excluded.guard_since, guard_snapshot = excluded.guard_snapshot, present = excluded.present`,
			tenant, string(st.Dataset), micros(state.Snapshot), state.RowsRead, state.MappingVersion, micros(state.Guard.Since), micros(state.Guard.Snapshot), state.Present)
		return err
	})
}

// ScopedElsewhere implements store.Merge.
func (s *Store) ScopedElsewhere(ctx context.Context, connector int64, fn func(int64)) error {
	return s.each(ctx, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		fn(id)
		return err
	}, `SELECT DISTINCT machine_id FROM machine_scope WHERE connector_id <> $1 AND reason = ''`, connector)
}

// AnyOpen implements store.Merge.
func (s *Store) AnyOpen(ctx context.Context, kind store.ItemKind, tenant int64) (bool, error) {
	var n int
	err := s.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM `+string(kind)+` i JOIN machine m ON m.id = i.machine_id
		WHERE m.tenant_id = $1 AND i.closed_at IS NULL LIMIT 1) one`, tenant).Scan(&n)
	return n > 0, s.explain(err)
}
