package relational

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"muster/internal/store"
	"muster/internal/wire"
)

// recountBlock is how many machines one transaction counts anew.
const recountBlock = 64

// Recount implements store.Counts. It begins anew after a kill: nothing that it has
// counted is believed before all is.
func (s *Store) Recount(ctx context.Context, l wire.Lease, tenant int64) error {
	var counted bool
	if err := s.row(ctx, `SELECT counted FROM tenant WHERE id = $1`, tenant).Scan(&counted); err != nil || counted {
		return err
	}
	err := s.leased(ctx, l, func(tx *Tx) error {
		for _, table := range []string{"device_tally", "tally_delta", "total_delta", "total", "total_day"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE tenant_id = $1`, tenant); err != nil {
				return err
			}
		}
		return nil
	})
	for above, more := int64(0), true; more && err == nil; {
		err = s.leased(ctx, l, func(tx *Tx) (err error) {
			above, more, err = s.recountBlock(ctx, tx, tenant, above)
			return err
		})
	}
	if err != nil {
		return err
	}
	return s.leased(ctx, l, func(tx *Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tenant SET counted = 1 WHERE id = $1`, tenant)
		return err
	})
}

// recountBlock counts the machines after one id as if none had been counted. A device is
// counted with the first of its machines.
func (s *Store) recountBlock(ctx context.Context, tx *Tx, tenant, above int64) (last int64, more bool, err error) {
	machines, attributes, err := listedFrom(ctx, tx, tenant, above)
	if err != nil || len(machines) == 0 {
		return above, false, err
	}
	if err := lockGroup(ctx, tx, machines[0]); err != nil {
		return 0, false, err
	}
	if err := savePlaces(ctx, tx, machines, attributes); err != nil {
		return 0, false, err
	}
	now, err := members(ctx, tx, "m.id", machines)
	if err != nil {
		return 0, false, err
	}
	found, err := standing(ctx, tx, store.Findings, machines)
	if err != nil {
		return 0, false, err
	}
	c := s.counting(tx)
	c.fresh = true
	was := make(map[int64]*member, len(now))
	for id, m := range now {
		before := *m
		before.counted = false
		was[id] = &before
		c.given[id] = map[store.ItemKind]*store.Difference{store.Findings: {Machine: id, Kind: store.Findings, After: found[id]}}
	}
	if err := c.firstOf(ctx, now); err != nil {
		return 0, false, err
	}
	// What stands has not been opened now: it comes into what is counted.
	if err := c.run(ctx, was, was); err != nil {
		return 0, false, err
	}
	moved := s.counting(tx)
	if err := moved.moved(ctx, was, now); err != nil {
		return 0, false, err
	}
	return machines[len(machines)-1], true, moved.writeFlows(ctx)
}

// listedFrom reads machines of a tenant with greater ids, and what they show.
func listedFrom(ctx context.Context, tx *Tx, tenant, above int64) (machines []int64, attributes [][]byte, err error) {
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var id int64
		var document sql.NullString
		err := rows.Scan(&id, &document)
		machines, attributes = append(machines, id), append(attributes, []byte(document.String))
		return err
	}, `SELECT id, attributes FROM machine WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, above, recountBlock)
	return machines, attributes, err
}

// savePlaces saves what machines are counted by.
func savePlaces(ctx context.Context, tx *Tx, machines []int64, attributes [][]byte) error {
	places := make([][2]string, len(machines))
	for i, document := range attributes {
		var err error
		if places[i], err = placeOf(document); err != nil {
			return fmt.Errorf("machine %d: %w", machines[i], err)
		}
	}
	err := tx.update(ctx, Rows{Table: "machine", Columns: []Column{{"id", Integers}, {"platform", Texts}, {"device_group", Texts}}, Keys: 1, N: len(machines), Values: func(i int, args []any) []any {
		return append(args, machines[i], places[i][0], places[i][1])
	}})
	if err != nil {
		return err
	}
	if err := settleCounted(ctx, tx, machines); err != nil {
		return err
	}
	return inIDs(tx.engine, machines, func(condition string, args []any) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM machine_count WHERE machine_id `+condition, args...)
		return err
	})
}

// firstOf marks the devices whose first machine is among these.
func (c *counting) firstOf(ctx context.Context, machines map[int64]*member) error {
	var devices []int64
	for _, m := range machines {
		if m.device != 0 {
			devices = append(devices, m.device)
		}
	}
	slices.Sort(devices)
	return inIDs(c.tx.engine, slices.Compact(devices), func(condition string, args []any) error {
		return each(ctx, c.tx, func(rows *sql.Rows) error {
			var device, first int64
			err := rows.Scan(&device, &first)
			if machines[first] != nil {
				c.devices[device] = everyBit
			}
			return err
		}, `SELECT device_id, MIN(id) FROM machine WHERE device_id `+condition+` GROUP BY device_id`, args...)
	})
}
