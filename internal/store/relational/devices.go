package relational

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"muster"
	"muster/internal/store"
)

// grouped selects the tenants that share devices with tenant $1, itself among them.
const grouped = `(SELECT t.id FROM tenant t LEFT JOIN tenant_group g ON g.tenant_id = t.id
	WHERE t.id = $1 OR g.group_id = (SELECT group_id FROM tenant_group WHERE tenant_id = $1))`

// Grouping implements store.Devices.
func (s *Store) Grouping(ctx context.Context, tenant int64) (store.Grouping, error) {
	g := store.Grouping{Orphans: map[string]bool{}}
	err := s.view(ctx, func(tx *Tx) error {
		g = store.Grouping{Orphans: map[string]bool{}}
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var t store.TenantDevices
			err := rows.Scan(&t.Tenant, &t.GUID, &t.Regroups)
			g.Tenants = append(g.Tenants, t)
			return err
		}, `SELECT id, tenant_id, regroups FROM tenant WHERE id IN `+grouped+` ORDER BY id`, tenant)
		if err != nil {
			return err
		}
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var k store.GroupKey
			var until sql.NullInt64
			err := rows.Scan(&k.Machine, &k.Kind, &k.Value, &until)
			k.Until = fromMicros(until)
			g.Keys = append(g.Keys, k)
			return err
		}, `SELECT k.machine_id, k.kind, k.value, k.until FROM machine_key k JOIN machine m ON m.id = k.machine_id WHERE m.tenant_id IN `+grouped+` ORDER BY k.machine_id`, tenant)
		if err != nil {
			return err
		}
		if g.Links, err = links(ctx, tx, `JOIN machine m ON m.id = l.machine_id WHERE m.tenant_id IN `+grouped, tenant); err != nil {
			return err
		}
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var d store.Decision
			var at sql.NullInt64
			var apart int64
			err := rows.Scan(&d.A, &d.B, &apart, &at, &d.By)
			d.Apart, d.At = apart != 0, fromMicros(at)
			g.Decisions = append(g.Decisions, d)
			return err
		}, `SELECT machine_a, machine_b, apart, decided_at, decided_by FROM device_decision ORDER BY machine_a, machine_b`)
		if err != nil {
			return err
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			g.Orphans[id] = true
			return err
		}, `SELECT device_id FROM device WHERE founder_id IS NULL`)
	})
	return g, err
}

func links(ctx context.Context, q Queryer, where string, args ...any) ([]store.Link, error) {
	var all []store.Link
	err := each(ctx, q, func(rows *sql.Rows) error {
		var l store.Link
		var since sql.NullInt64
		err := rows.Scan(&l.Machine, &l.Partner, &l.Reason, &l.Value, &since)
		l.Since = fromMicros(since)
		all = append(all, l)
		return err
	}, `SELECT l.machine_id, l.partner_id, l.reason, l.value, l.since FROM machine_link l `+where+` ORDER BY l.machine_id, l.partner_id`, args...)
	return all, err
}

// Regroup implements store.Devices.
func (s *Store) Regroup(ctx context.Context, r store.Regrouping) error {
	run := s.update
	if r.Lease.Run != 0 {
		run = func(ctx context.Context, fn func(*Tx) error) error { return s.leased(ctx, r.Lease, fn) }
	}
	return run(ctx, func(tx *Tx) error {
		if err := countRegroups(ctx, tx, r.Tenants); err != nil {
			return err
		}
		machines := make([]int64, len(r.Machines))
		for i := range machines {
			machines[i] = r.Machines[i].Machine
		}
		err := s.count(ctx, tx, machines, nil, func() error { return saveDevices(ctx, tx, r.Machines, r.Founders) })
		if err != nil {
			return err
		}
		for _, table := range []string{"machine_key", "machine_link"} {
			err := inIDs(tx.engine, r.Replaced, func(condition string, args []any) error {
				_, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE machine_id `+condition, args...)
				return err
			})
			if err != nil {
				return err
			}
		}
		return saveReasons(ctx, tx, &r)
	})
}

// countRegroups refuses a piece that was made of what is not so any more.
func countRegroups(ctx context.Context, tx *Tx, tenants []store.TenantDevices) error {
	for _, t := range tenants {
		n, err := affected(tx.ExecContext(ctx, `UPDATE tenant SET regroups = regroups + 1 WHERE id = $1 AND regroups = $2`, t.Tenant, t.Regroups))
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("the devices of tenant %s were written meanwhile: %w", t.GUID, muster.ErrConflict)
		}
	}
	return nil
}

func devicesOf(machines []store.MachineRow) []store.Grouped {
	var all []store.Grouped
	for _, m := range machines {
		if m.Device != "" {
			all = append(all, store.Grouped{Machine: m.ID, Device: m.Device, Superseded: m.Superseded})
		}
	}
	return all
}

// saveDevices adds devices and puts machines into theirs.
func saveDevices(ctx context.Context, tx *Tx, machines []store.Grouped, founders []store.Founder) error {
	founders = slices.SortedFunc(slices.Values(founders), func(a, b store.Founder) int { return cmp.Compare(a.Device, b.Device) }) // locks in one order
	err := tx.insert(ctx, Rows{Table: "device", Columns: []Column{{"device_id", Texts}, {"founder_id", Integers}}, Keys: 1, Conflict: Replace, N: len(founders), Values: func(i int, args []any) []any {
		return append(args, founders[i].Device, founders[i].Machine)
	}})
	if err != nil || len(machines) == 0 {
		return err
	}
	var names []string
	for _, m := range machines {
		names = append(names, m.Device)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	d := dictionary{table: "device", columns: []Column{{"device_id", Texts}}}
	keys, ids := textKeys(names), make([]int64, len(names))
	missing, err := d.lookUp(ctx, tx.engine, tx, keys, ids, nil)
	if err == nil && len(missing) > 0 {
		err = d.add(ctx, tx, keys, ids, missing)
	}
	if err != nil {
		return err
	}
	byName := make(map[string]int64, len(names))
	for i, id := range ids {
		byName[names[i]] = id
	}
	columns := []Column{{"id", Integers}, {"device_id", Integers}, {"superseded", Integers}}
	return tx.update(ctx, Rows{Table: "machine", Columns: columns, Keys: 1, N: len(machines), Values: func(i int, args []any) []any {
		return append(args, machines[i].Machine, byName[machines[i].Device], flag(machines[i].Superseded))
	}})
}

func saveReasons(ctx context.Context, tx *Tx, r *store.Regrouping) error {
	columns := []Column{{"machine_id", Integers}, {"kind", Texts}, {"value", Texts}, {"until", Integers}}
	err := tx.insert(ctx, Rows{Table: "machine_key", Columns: columns, Keys: 3, N: len(r.Keys), Values: func(i int, args []any) []any {
		k := &r.Keys[i]
		return append(args, k.Machine, string(k.Kind), k.Value, micros(k.Until))
	}})
	if err != nil {
		return err
	}
	columns = []Column{{"machine_id", Integers}, {"partner_id", Integers}, {"reason", Texts}, {"value", Texts}, {"since", Integers}}
	err = tx.insert(ctx, Rows{Table: "machine_link", Columns: columns, Keys: 2, N: len(r.Links), Values: func(i int, args []any) []any {
		l := &r.Links[i]
		return append(args, l.Machine, l.Partner, string(l.Reason), l.Value, l.Since.UnixMicro())
	}})
	if err != nil {
		return err
	}
	columns = []Column{{"machine_a", Integers}, {"machine_b", Integers}, {"apart", Integers}, {"decided_at", Integers}, {"decided_by", Texts}}
	return tx.insert(ctx, Rows{Table: "device_decision", Columns: columns, Keys: 2, Conflict: Replace, N: len(r.Decisions), Values: func(i int, args []any) []any {
		d := &r.Decisions[i]
		return append(args, min(d.A, d.B), max(d.A, d.B), flag(d.Apart), d.At.UnixMicro(), d.By)
	}})
}

// GroupTenants implements store.Devices.
func (s *Store) GroupTenants(ctx context.Context, tenants []int64) error {
	return s.update(ctx, func(tx *Tx) error {
		for _, t := range tenants {
			// Whatever was read of the tenants before does not hold any more.
			if _, err := tx.ExecContext(ctx, `UPDATE tenant SET regroups = regroups + 1 WHERE id IN `+grouped, t); err != nil {
				return err
			}
		}
		groups, err := tenantGroups(ctx, tx, tenants)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM tenant_group`); err != nil {
			return err
		}
		var rows [][2]int64
		for _, group := range groups {
			for _, t := range group {
				rows = append(rows, [2]int64{t, slices.Min(group)})
			}
		}
		columns := []Column{{"tenant_id", Integers}, {"group_id", Integers}}
		return tx.insert(ctx, Rows{Table: "tenant_group", Columns: columns, Keys: 1, N: len(rows), Values: func(i int, args []any) []any {
			return append(args, rows[i][0], rows[i][1])
		}})
	})
}

// tenantGroups lists the groups of more than one tenant, after these have left theirs and
// become one.
func tenantGroups(ctx context.Context, tx *Tx, joined []int64) ([][]int64, error) {
	byID := map[int64][]int64{}
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var tenant, group int64
		err := rows.Scan(&tenant, &group)
		if !slices.Contains(joined, tenant) {
			byID[group] = append(byID[group], tenant)
		}
		return err
	}, `SELECT tenant_id, group_id FROM tenant_group`)
	groups := append(slices.Collect(maps.Values(byID)), joined)
	return slices.DeleteFunc(groups, func(group []int64) bool { return len(group) < 2 }), err
}

// Device implements store.Devices.
func (s *Store) Device(ctx context.Context, id string) (string, error) {
	var own string
	var members int64
	var founded sql.NullString
	err := s.row(ctx, `SELECT d.device_id, (SELECT COUNT(*) FROM machine m WHERE m.device_id = d.id), n.device_id
		FROM device d LEFT JOIN machine f ON f.id = d.founder_id LEFT JOIN device n ON n.id = f.device_id WHERE d.device_id = $1`, id).Scan(&own, &members, &founded)
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && members == 0 && !founded.Valid:
		return "", fmt.Errorf("there is no device %s: %w", id, muster.ErrNotFound)
	case err != nil:
		return "", s.explain(err)
	case members > 0:
		return own, nil
	}
	return founded.String, nil
}

// DeviceMachines implements store.Devices.
func (s *Store) DeviceMachines(ctx context.Context, id string) ([]store.DeviceMachine, error) {
	var all []store.DeviceMachine
	err := s.view(ctx, func(tx *Tx) error {
		all = nil
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var m store.DeviceMachine
			var merged sql.NullString
			var first, last sql.NullInt64
			var superseded int64
			err := rows.Scan(&m.Machine, &m.Tenant, &m.MachineID, &merged, &first, &last, &superseded)
			m.MergedInto, m.FirstSeen, m.LastSeen, m.Superseded = merged.String, fromMicros(first), fromMicros(last), superseded != 0
			all = append(all, m)
			return err
		}, `SELECT m.id, m.tenant_id, m.machine_id, m.merged_into, m.first_seen, m.last_seen, m.superseded
			FROM machine m JOIN device d ON d.id = m.device_id WHERE d.device_id = $1 ORDER BY m.id`, id)
		if err != nil {
			return err
		}
		why, err := links(ctx, tx, `JOIN machine m ON m.id = l.machine_id JOIN device d ON d.id = m.device_id WHERE d.device_id = $1`, id)
		for _, l := range why {
			at, _ := slices.BinarySearchFunc(all, l.Machine, func(m store.DeviceMachine, id int64) int { return cmp.Compare(m.Machine, id) })
			all[at].Links = append(all[at].Links, l)
		}
		return err
	})
	return all, err
}
