package relational

import (
	"context"
	"database/sql"
	"slices"

	"muster/internal/store"
)

// flow tells how the findings of one machine moved.
func (c *counting) flow(ctx context.Context, m *member, d *store.Difference) error {
	before, after := d.Before, d.After
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(before) == 0 || len(after) > 0 && after[0].Item < before[0].Item:
			f := store.Flow{Opened: 1}
			if after[0].Back {
				f = store.Flow{Reopened: 1}
			}
			if err := c.move(ctx, m, after[0].Facts, f); err != nil {
				return err
			}
			after = after[1:]
		case len(after) == 0 || before[0].Item < after[0].Item:
			if err := c.move(ctx, m, before[0].Facts, store.Flow{Fixed: 1}); err != nil {
				return err
			}
			before = before[1:]
		default:
			if err := c.changed(ctx, m, before[0].Facts, after[0].Facts); err != nil {
				return err
			}
			before, after = before[1:], after[1:]
		}
	}
	return nil
}

// changed lets a finding whose severity is another leave one bucket and enter another.
func (c *counting) changed(ctx context.Context, m *member, was, is int64) error {
	if was == is {
		return nil
	}
	a, err := c.severity(ctx, was)
	if err != nil {
		return err
	}
	b, err := c.severity(ctx, is)
	if err != nil || a == b {
		return err
	}
	c.put(m, a, store.Flow{Left: 1})
	c.put(m, b, store.Flow{Entered: 1})
	return nil
}

func (c *counting) move(ctx context.Context, m *member, facts int64, f store.Flow) error {
	severity, err := c.severity(ctx, facts)
	if err == nil {
		c.put(m, severity, f)
	}
	return err
}

func (c *counting) severity(ctx context.Context, facts int64) (string, error) {
	id, err := c.classOf(ctx, facts)
	if err != nil {
		return "", err
	}
	class, err := c.class(ctx, id)
	return class.Severity, err
}

func (c *counting) put(m *member, severity string, f store.Flow) {
	if c.flows[m.tenant] == nil {
		c.flows[m.tenant] = map[store.Bucket]store.Flow{}
	}
	b := store.Bucket{Organisation: store.DefaultOrganisation, Severity: severity, Platform: m.platform, Group: m.group}
	sum := c.flows[m.tenant][b]
	sum.Add(f)
	c.flows[m.tenant][b] = sum
}

// moved lets the findings of machines that came, went, or are of another group or platform
// leave one bucket and enter another.
func (c *counting) moved(ctx context.Context, before, after map[int64]*member) error {
	var ids []int64
	for id, now := range after {
		was := before[id]
		if was.counted != now.counted || now.counted && (was.platform != now.platform || was.group != now.group) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	type count struct{ machine, class, findings int64 }
	var counts []count
	err := inIDs(c.tx.engine, ids, func(condition string, args []any) error {
		return each(ctx, c.tx, func(rows *sql.Rows) error {
			var n count
			err := rows.Scan(&n.machine, &n.class, &n.findings)
			counts = append(counts, n)
			return err
		}, `SELECT machine_id, class_id, findings FROM machine_count WHERE findings > 0 AND machine_id `+condition, args...)
	})
	if err != nil {
		return err
	}
	for _, n := range counts {
		class, err := c.class(ctx, n.class)
		if err != nil {
			return err
		}
		if was := before[n.machine]; was.counted {
			c.put(was, class.Severity, store.Flow{Left: n.findings})
		}
		if now := after[n.machine]; now.counted {
			c.put(now, class.Severity, store.Flow{Entered: n.findings})
		}
	}
	return nil
}
