package relational

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"muster"
	"muster/internal/store"
)

const machineColumns = `m.first_seen, m.last_seen, m.aad_device_id, m.vm_id, m.host_name, m.fqdn, m.mac_addresses, m.merged_into, m.superseded, m.listed_at, m.unseen_since, m.missing_since`

func scanMachine(rows *sql.Rows) (m store.MachineRow, err error) {
	var device, attributes, entra, vm, host, fqdn, macs, merged sql.NullString
	var first, last, listed, unseen, missing sql.NullInt64
	var superseded int64
	err = rows.Scan(&m.ID, &m.MachineID, &device, &attributes, &first, &last, &entra, &vm, &host, &fqdn, &macs, &merged, &superseded, &listed, &unseen, &missing)
	m.Device, m.MergedInto, m.Superseded = device.String, merged.String, superseded != 0
	m.Keys = store.MatchKeys{EntraID: entra.String, VMID: vm.String, HostName: host.String, FQDN: fqdn.String}
	if macs.String != "" {
		m.Keys.MACs = strings.Split(macs.String, " ")
	}
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
	err := inIDs(s.engine, ids, func(condition string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			m, err := scanMachine(rows)
			found[m.ID] = m
			return err
		}, `SELECT m.id, m.machine_id, d.device_id, m.attributes, `+machineColumns+` FROM machine m LEFT JOIN device d ON d.id = m.device_id WHERE m.id `+condition, args...)
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
// A crash only moves the cursor back; the end of the run makes all of them last.
func (s *Store) step(ctx context.Context, st store.Step, fn func(tx *Tx) error) error {
	return s.leased(ctx, st.Lease, func(tx *Tx) error {
		if err := tx.engine.Hasten(ctx, tx); err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		return addCounts(ctx, tx, st.Lease.Run, st.Dataset, st.Counts, `, merge_cursor = $12`, st.Cursor)
	})
}

// MergeMachines implements store.Merge.
func (s *Store) MergeMachines(ctx context.Context, st store.MachineStep) error {
	return s.step(ctx, st.Step, func(tx *Tx) error {
		machines, scoped := concernedBy(&st)
		return s.count(ctx, tx, machines, nil, func() error {
			if err := saveMachines(ctx, tx, st.Machines); err != nil {
				return err
			}
			if err := saveDevices(ctx, tx, devicesOf(st.Machines), nil); err != nil {
				return err
			}
			if err := saveScopes(ctx, tx, st.Connector, st.Scopes); err != nil {
				return err
			}
			if err := settleCounted(ctx, tx, scoped); err != nil {
				return err
			}
			if err := forgetAssessments(ctx, tx, st.Entered); err != nil {
				return err
			}
			return saveChanges(ctx, tx, st.Lease.Run, st.Changes)
		})
	})
}

// concernedBy lists the machines of a step, and those whose scope it changes.
func concernedBy(st *store.MachineStep) (machines, scoped []int64) {
	for i := range st.Machines {
		machines = append(machines, st.Machines[i].ID)
	}
	for _, r := range st.Scopes {
		scoped = append(scoped, r.Machine)
	}
	return append(machines, scoped...), scoped
}

func saveMachines(ctx context.Context, tx *Tx, machines []store.MachineRow) error {
	places := make([][2]string, len(machines))
	for i := range machines {
		var err error
		if places[i], err = placeOf(machines[i].Attributes); err != nil {
			return fmt.Errorf("machine %d: %w", machines[i].ID, err)
		}
	}
	columns := []Column{
		{"id", Integers},
		{"attributes", Texts},
		{"first_seen", Integers},
		{"last_seen", Integers},
		{"aad_device_id", Texts},
		{"vm_id", Texts},
		{"host_name", Texts},
		{"fqdn", Texts},
		{"mac_addresses", Texts},
		{"merged_into", Texts},
		{"listed_at", Integers},
		{"unseen_since", Integers},
		{"missing_since", Integers},
		{"platform", Texts},
		{"device_group", Texts},
	}
	return tx.update(ctx, Rows{Table: "machine", Columns: columns, Keys: 1, N: len(machines), Values: func(i int, args []any) []any {
		m := &machines[i]
		return append(args, m.ID, text(m.Attributes), micros(m.FirstSeen), micros(m.LastSeen), orNull(m.Keys.EntraID), orNull(m.Keys.VMID), orNull(m.Keys.HostName), orNull(m.Keys.FQDN),
			orNull(strings.Join(m.Keys.MACs, " ")), orNull(m.MergedInto), micros(m.ListedAt), micros(m.UnseenSince), micros(m.MissingSince), places[i][0], places[i][1])
	}})
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

func saveScopes(ctx context.Context, tx *Tx, connector int64, scopes []store.ScopeRow) error {
	columns := []Column{{"machine_id", Integers}, {"connector_id", Integers}, {"reason", Texts}, {"since", Integers}}
	return tx.insert(ctx, Rows{Table: "machine_scope", Columns: columns, Keys: 2, Conflict: Replace, N: len(scopes), Values: func(i int, args []any) []any {
		return append(args, scopes[i].Machine, connector, string(scopes[i].Reason), scopes[i].Since.UnixMicro())
	}})
}

func forgetAssessments(ctx context.Context, tx *Tx, machines []int64) error {
	return inIDs(tx.engine, machines, func(condition string, args []any) error {
		_, err := tx.ExecContext(ctx, `UPDATE machine_dataset SET looked_at = NULL, assessed_at = NULL, empty_at = NULL, digest = NULL WHERE machine_id `+condition, args...)
		return err
	})
}

func saveChanges(ctx context.Context, tx *Tx, run int64, changes []store.Change) error {
	columns := []Column{{"machine_id", Integers}, {"at", Integers}, {"attribute", Texts}, {"old", Texts}, {"new", Texts}, {"run_id", Integers}}
	return tx.insert(ctx, Rows{Table: "attribute_change", Columns: columns, Keys: 3, Conflict: Keep, N: len(changes), Values: func(i int, args []any) []any {
		c := &changes[i]
		return append(args, c.Machine, c.At.UnixMicro(), c.Attribute, text(c.Old), text(c.New), run)
	}})
}

// MergeMissing implements store.Merge.
func (s *Store) MergeMissing(ctx context.Context, st store.MachineStep) error {
	return s.step(ctx, st.Step, func(tx *Tx) error {
		_, scoped := concernedBy(&st)
		return s.count(ctx, tx, scoped, nil, func() error {
			columns := []Column{{"id", Integers}, {"unseen_since", Integers}, {"missing_since", Integers}}
			err := tx.update(ctx, Rows{Table: "machine", Columns: columns, Keys: 1, N: len(st.Machines), Values: func(i int, args []any) []any {
				return append(args, st.Machines[i].ID, micros(st.Machines[i].UnseenSince), micros(st.Machines[i].MissingSince))
			}})
			if err != nil {
				return err
			}
			if err := saveScopes(ctx, tx, st.Connector, st.Scopes); err != nil {
				return err
			}
			return settleCounted(ctx, tx, scoped)
		})
	})
}

// States implements store.Merge.
func (s *Store) States(ctx context.Context, d muster.Dataset, machines []int64) (map[int64]store.State, error) {
	found := make(map[int64]store.State, len(machines))
	err := inIDs(s.engine, machines, func(condition string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			st, err := scanState(rows)
			found[st.Machine] = st
			return err
		}, fmt.Sprintf(`SELECT `+stateColumns+` FROM machine_dataset WHERE machine_id %s AND dataset = $%d`, condition, len(args)+1), append(args, string(d))...)
	})
	return found, err
}

const stateColumns = `machine_id, applied_at, looked_at, assessed_at, empty_at, last_confirmed, digest, open_rows, attributes`

// scanState reads the state's columns and what follows them.
func scanState(rows *sql.Rows, more ...any) (st store.State, err error) {
	var applied, looked, assessed, empty, confirmed sql.NullInt64
	var attributes sql.NullString
	err = rows.Scan(append([]any{&st.Machine, &applied, &looked, &assessed, &empty, &confirmed, &st.Digest, &st.OpenRows, &attributes}, more...)...)
	st.Known = muster.Known{AppliedAt: fromMicros(applied), LookedAt: fromMicros(looked), AssessedAt: fromMicros(assessed), EmptyAt: fromMicros(empty)}
	st.LastConfirmed = fromMicros(confirmed)
	if attributes.Valid {
		st.Attributes = []byte(attributes.String)
	}
	return st, err
}

func saveStates(ctx context.Context, tx *Tx, d muster.Dataset, states []store.State) error {
	columns := []Column{
		{"machine_id", Integers},
		{"dataset", Texts},
		{"applied_at", Integers},
		{"looked_at", Integers},
		{"assessed_at", Integers},
		{"empty_at", Integers},
		{"last_confirmed", Integers},
		{"digest", Bytes},
		{"open_rows", Integers},
		{"attributes", Texts},
	}
	return tx.insert(ctx, Rows{Table: "machine_dataset", Columns: columns, Keys: 2, Conflict: Replace, N: len(states), Values: func(i int, args []any) []any {
		st := &states[i]
		return append(args, st.Machine, string(d), micros(st.Known.AppliedAt), micros(st.Known.LookedAt), micros(st.Known.AssessedAt), micros(st.Known.EmptyAt), micros(st.LastConfirmed),
			st.Digest, st.OpenRows, text(st.Attributes))
	}})
}

// MergeDocuments implements store.Merge.
func (s *Store) MergeDocuments(ctx context.Context, st store.DocumentStep) error {
	return s.step(ctx, st.Step, func(tx *Tx) error {
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
	return s.step(ctx, st, func(tx *Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE run_dataset SET merged = 1 WHERE run_id = $1 AND dataset = $2`, st.Lease.Run, string(st.Dataset)); err != nil {
			return err
		}
		if state == nil {
			return nil
		}
		if st.Dataset == muster.Vulnerabilities && state.Guard.Since.IsZero() {
			if err := closeDay(ctx, tx, tenant, state.Snapshot); err != nil {
				return err
			}
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

// EverRead implements store.Merge.
func (s *Store) EverRead(ctx context.Context, connector int64, d muster.Dataset) (bool, error) {
	found := false
	err := s.each(ctx, func(*sql.Rows) error {
		found = true
		return nil
	}, `SELECT r.id FROM run r JOIN run_dataset s ON s.run_id = r.id
		WHERE r.connector_id = $1 AND s.dataset = $2 AND s.completeness = 'complete' AND r.state IN ('succeeded', 'succeeded_with_warnings') LIMIT 1`, connector, string(d))
	return found, err
}

// AnyOpen implements store.Merge.
func (s *Store) AnyOpen(ctx context.Context, kind store.ItemKind, tenant int64) (bool, error) {
	var n int
	err := s.row(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM `+string(kind)+` i JOIN machine m ON m.id = i.machine_id
		WHERE m.tenant_id = $1 AND i.closed_at IS NULL LIMIT 1) one`, tenant).Scan(&n)
	return n > 0, err
}
