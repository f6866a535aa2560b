package relational

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"muster"
	"muster/internal/store"
)

// Tenants implements store.Exports.
func (s *Store) Tenants(ctx context.Context) ([]string, error) {
	var all []string
	err := s.each(ctx, func(rows *sql.Rows) error {
		var tenant string
		err := rows.Scan(&tenant)
		all = append(all, tenant)
		return err
	}, `SELECT tenant_id FROM tenant`)
	slices.Sort(all) // not in SQL: collations differ
	return all, err
}

// ListedMachines implements store.Exports.
func (s *Store) ListedMachines(ctx context.Context, fn func(store.ListedMachine)) error {
	return s.view(ctx, func(tx *Tx) error {
		var all []store.ListedMachine
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var m store.ListedMachine
			var first, last sql.NullInt64
			err := rows.Scan(&m.ID, &m.Tenant, &m.MachineID, &m.Device, &first, &last)
			m.FirstSeen, m.LastSeen = fromMicros(first), fromMicros(last)
			all = append(all, m)
			return err
		}, `SELECT m.id, t.tenant_id, m.machine_id, d.device_id, m.first_seen, m.last_seen
			FROM machine m JOIN tenant t ON t.id = m.tenant_id JOIN device d ON d.id = m.device_id ORDER BY m.id`)
		if err != nil {
			return err
		}
		names, err := connectorNames(ctx, tx)
		if err != nil {
			return err
		}
		at := 0
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var machine int64
			var since sql.NullInt64
			var scope store.ScopedBy
			if err := rows.Scan(&machine, &scope.Connector, &scope.Reason, &since); err != nil {
				return err
			}
			for at < len(all) && all[at].ID < machine {
				at++
			}
			if at < len(all) && all[at].ID == machine {
				scope.Name, scope.Since = names[scope.Connector], fromMicros(since)
				all[at].Scopes = append(all[at].Scopes, scope)
			}
			return nil
		}, `SELECT machine_id, connector_id, reason, since FROM machine_scope ORDER BY machine_id, connector_id`)
		if err != nil {
			return err
		}
		for i := range all {
			fn(all[i])
		}
		return nil
	})
}

func connectorNames(ctx context.Context, q Queryer) (map[int64]string, error) {
	names := map[int64]string{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var id int64
		var name string
		err := rows.Scan(&id, &name)
		names[id] = name
		return err
	}, `SELECT id, name FROM connector`)
	return names, err
}

// RowsOf implements store.Exports.
func (s *Store) RowsOf(ctx context.Context, kind store.ItemKind, d muster.Dataset, machines []int64, fn func(store.Item)) (map[int64]time.Time, error) {
	t := itemTables[kind]
	confirmed := make(map[int64]time.Time, len(machines))
	err := s.view(ctx, func(tx *Tx) error {
		return inIDs(tx.engine, machines, func(condition string, args []any) error {
			err := each(ctx, tx, func(rows *sql.Rows) error {
				var i store.Item
				if err := scanItem(rows, &i); err != nil {
					return err
				}
				fn(i)
				return nil
			}, fmt.Sprintf(`SELECT %s FROM %s WHERE machine_id %s ORDER BY machine_id, %s`, t.columns(), kind, condition, t.item), args...)
			if err != nil {
				return err
			}
			return each(ctx, tx, func(rows *sql.Rows) error {
				var machine int64
				var at sql.NullInt64
				err := rows.Scan(&machine, &at)
				confirmed[machine] = fromMicros(at)
				return err
			}, fmt.Sprintf(`SELECT machine_id, last_confirmed FROM machine_dataset WHERE machine_id %s AND dataset = $%d`, condition, len(args)+1), append(args, string(d))...)
		})
	})
	return confirmed, err
}

// OpenFindings implements store.Exports.
func (s *Store) OpenFindings(ctx context.Context, machines []int64, fn func(store.OpenFinding)) error {
	return s.view(ctx, func(tx *Tx) error {
		return inIDs(tx.engine, machines, func(condition string, args []any) error {
			return each(ctx, tx, func(rows *sql.Rows) error {
				var f store.OpenFinding
				if err := rows.Scan(&f.Machine, &f.Exposure, &f.Facts); err != nil {
					return err
				}
				fn(f)
				return nil
			}, `SELECT machine_id, exposure_id, facts_id FROM finding WHERE closed_at IS NULL AND machine_id `+condition+` ORDER BY machine_id`, args...)
		})
	})
}

// ChangesOf implements store.Exports.
func (s *Store) ChangesOf(ctx context.Context, machines []int64, fn func(store.Change)) error {
	return s.view(ctx, func(tx *Tx) error {
		return inIDs(tx.engine, machines, func(condition string, args []any) error {
			return each(ctx, tx, func(rows *sql.Rows) error {
				var c store.Change
				var at sql.NullInt64
				if err := rows.Scan(&c.Machine, &at, &c.Attribute, &c.Old, &c.New); err != nil {
					return err
				}
				c.At = fromMicros(at)
				fn(c)
				return nil
			}, `SELECT machine_id, at, attribute, old, new FROM attribute_change WHERE machine_id `+condition, args...)
		})
	})
}
