package relational

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"

	"muster"
	"muster/internal/store"
)

// member is a machine as counting looks at it.
type member struct {
	id, tenant, device int64 // device 0 = none yet
	counted            bool
	platform, group    string
	lastSeen           int64
	tenantID, machine  string
}

// members reads machines by a column of theirs.
func members(ctx context.Context, tx *Tx, column string, ids []int64) (map[int64]*member, error) {
	found := map[int64]*member{}
	err := inIDs(tx.engine, ids, func(condition string, args []any) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			m := &member{lastSeen: math.MinInt64}
			var last sql.NullInt64
			err := rows.Scan(&m.id, &m.tenant, &m.device, &m.counted, &m.platform, &m.group, &last, &m.tenantID, &m.machine)
			if last.Valid {
				m.lastSeen = last.Int64
			}
			found[m.id] = m
			return err
		}, `SELECT m.id, m.tenant_id, COALESCE(m.device_id, 0), m.counted, m.platform, m.device_group, m.last_seen, t.tenant_id, m.machine_id
			FROM machine m JOIN tenant t ON t.id = m.tenant_id WHERE `+column+` `+condition, args...)
	})
	return found, err
}

// newest orders the machines of a device: the first one's values are shown.
func newest(a, b *member) int {
	return cmp.Or(cmp.Compare(b.lastSeen, a.lastSeen), cmp.Compare(a.tenantID, b.tenantID), cmp.Compare(a.machine, b.machine))
}

// settleCounted finds out anew which machines count: those that a connector has in scope,
// unless they were merged or superseded since the last one let them in. Exports go by the
// same rule.
func settleCounted(ctx context.Context, tx *Tx, machines []int64) error {
	counted := make(map[int64]bool, len(machines))
	err := inIDs(tx.engine, machines, func(condition string, args []any) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var id int64
			var entered, ended sql.NullInt64
			err := rows.Scan(&id, &entered, &ended)
			counted[id] = entered.Valid && (!ended.Valid || entered.Int64 > ended.Int64)
			return err
		}, `SELECT machine_id, MAX(CASE WHEN reason = '' THEN since END), MAX(CASE WHEN reason IN ('`+string(muster.OutMerged)+`', '`+string(muster.OutSuperseded)+`') THEN since END)
			FROM machine_scope WHERE machine_id `+condition+` GROUP BY machine_id`, args...)
	})
	if err != nil {
		return err
	}
	return tx.update(ctx, Rows{Table: "machine", Columns: []Column{{"id", Integers}, {"counted", Integers}}, Keys: 1, N: len(machines), Values: func(i int, args []any) []any {
		return append(args, machines[i], flag(counted[machines[i]]))
	}})
}

// kinds of rows that devices are counted by, as bits.
const (
	findingsBit = 1 << iota
	installedBit
	reportedBit
	everyBit = findingsBit | installedBit | reportedBit
)

var countedKinds = []struct {
	bit  int
	kind store.ItemKind
}{{findingsBit, store.Findings}, {installedBit, store.InstalledSoftware}, {reportedBit, store.ReportedSoftware}}

// counting is what one transaction moves of what is counted.
type counting struct {
	store *Store
	tx    *Tx
	fresh bool // nothing was counted before

	was, now    map[int64]*member // of all devices that are concerned
	devices     map[int64]int     // device → kinds of rows to look at
	given       map[int64]map[store.ItemKind]*store.Difference
	before      map[store.ItemKind]map[int64][]store.Standing // by machine
	after       map[store.ItemKind]map[int64][]store.Standing
	byFacts     map[int64]int64 // classes
	names       map[int64]store.Class
	tallies     map[tally]int64
	flows       map[int64]map[store.Bucket]store.Flow // by tenant
	counts      map[int64]store.DeviceCounts          // devices whose counts moved
	machineRows [][3]int64                            // machine, class, findings
}

// count runs change, which moves machines between devices, scopes and groups, or the rows
// that the differences name, and moves what is counted with it.
func (s *Store) count(ctx context.Context, tx *Tx, machines []int64, differences []store.Difference, change func() error) error {
	slices.Sort(machines)
	if machines = slices.Compact(machines); len(machines) == 0 {
		return change()
	}
	if err := lockGroup(ctx, tx, machines[0]); err != nil {
		return err
	}
	before, err := members(ctx, tx, "m.id", machines)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	after := before
	if differences == nil {
		if after, err = members(ctx, tx, "m.id", machines); err != nil {
			return err
		}
	}
	c := s.counting(tx)
	for i := range differences {
		d := &differences[i]
		if c.given[d.Machine] == nil {
			c.given[d.Machine] = map[store.ItemKind]*store.Difference{}
		}
		c.given[d.Machine][d.Kind] = d
	}
	if err := c.concerned(ctx, before, after); err != nil {
		return err
	}
	return c.run(ctx, before, after)
}

func (s *Store) counting(tx *Tx) *counting {
	return &counting{
		store: s, tx: tx, devices: map[int64]int{}, given: map[int64]map[store.ItemKind]*store.Difference{}, tallies: map[tally]int64{},
		flows: map[int64]map[store.Bucket]store.Flow{}, counts: map[int64]store.DeviceCounts{}, byFacts: map[int64]int64{}, names: map[int64]store.Class{},
	}
}

// lockGroup keeps others from moving machines between devices of these tenants meanwhile.
func lockGroup(ctx context.Context, tx *Tx, machine int64) error {
	_, err := tx.ExecContext(ctx, `UPDATE tenant SET regroups = regroups WHERE id IN (SELECT m.tenant_id FROM machine m WHERE m.id = $1 UNION
		SELECT b.tenant_id FROM machine m JOIN tenant_group a ON a.tenant_id = m.tenant_id JOIN tenant_group b ON b.group_id = a.group_id WHERE m.id = $1)`, machine)
	return err
}

// concerned finds the devices that must be looked at, and for which kinds of rows.
func (c *counting) concerned(ctx context.Context, before, after map[int64]*member) error {
	mark := func(device int64, bits int) {
		if device != 0 {
			c.devices[device] |= bits
		}
	}
	var seen []int64 // devices whose machines may have another order
	for id, now := range after {
		was := before[id]
		if (was.counted || now.counted) && (was.device != now.device || was.counted != now.counted) {
			mark(was.device, everyBit)
			mark(now.device, everyBit)
		}
		if now.counted && now.device != 0 && was.lastSeen != now.lastSeen {
			seen = append(seen, now.device)
		}
		for _, k := range countedKinds {
			if d := c.given[id][k.kind]; d != nil && now.counted {
				mark(now.device, k.bit)
			}
		}
	}
	slices.Sort(seen)
	return inIDs(c.tx.engine, slices.Compact(seen), func(condition string, args []any) error {
		return each(ctx, c.tx, func(rows *sql.Rows) error {
			var device int64
			err := rows.Scan(&device)
			mark(device, findingsBit)
			return err
		}, `SELECT device_id FROM machine WHERE counted = 1 AND device_id `+condition+` GROUP BY device_id HAVING COUNT(*) > 1`, args...)
	})
}

// run compares before and after and writes what has moved.
func (c *counting) run(ctx context.Context, before, after map[int64]*member) error {
	var err error
	if c.now, err = members(ctx, c.tx, "m.device_id", slices.Sorted(maps.Keys(c.devices))); err != nil {
		return err
	}
	c.was = make(map[int64]*member, len(c.now))
	for id, m := range c.now {
		if c.was[id] = m; before[id] != nil {
			c.was[id] = before[id]
		}
	}
	if err := c.rows(ctx); err != nil {
		return err
	}
	if err := c.compareDevices(ctx); err != nil {
		return err
	}
	if err := c.compareMachines(ctx, after); err != nil {
		return err
	}
	if err := c.moved(ctx, before, after); err != nil {
		return err
	}
	return c.write(ctx)
}

// rows has the rows of all machines that count before or after: given, or read.
func (c *counting) rows(ctx context.Context) error {
	c.before, c.after = map[store.ItemKind]map[int64][]store.Standing{}, map[store.ItemKind]map[int64][]store.Standing{}
	for _, k := range countedKinds {
		var read []int64
		before, after := map[int64][]store.Standing{}, map[int64][]store.Standing{}
		for id, now := range c.now {
			bits := c.devices[now.device] | c.devices[c.was[id].device]
			if d := c.given[id][k.kind]; d != nil {
				before[id], after[id] = d.Before, d.After
			} else if bits&k.bit != 0 && (now.counted || c.was[id].counted) {
				read = append(read, id)
			}
		}
		slices.Sort(read)
		found, err := standing(ctx, c.tx, k.kind, read)
		if err != nil {
			return err
		}
		for id, rows := range found {
			before[id], after[id] = rows, rows
		}
		c.before[k.kind], c.after[k.kind] = before, after
	}
	return nil
}

// standing reads the open rows of machines.
func standing(ctx context.Context, tx *Tx, kind store.ItemKind, machines []int64) (map[int64][]store.Standing, error) {
	query := `SELECT f.machine_id, f.software_id, f.facts_id, f.software_id, 0 FROM ` + string(kind) + ` f WHERE f.closed_at IS NULL AND f.machine_id `
	if kind == store.Findings {
		query = `SELECT f.machine_id, f.exposure_id, f.facts_id, e.software_id, e.cve_id FROM finding f JOIN exposure e ON e.id = f.exposure_id WHERE f.closed_at IS NULL AND f.machine_id `
	}
	found := map[int64][]store.Standing{}
	err := inIDs(tx.engine, machines, func(condition string, args []any) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var machine int64
			var s store.Standing
			err := rows.Scan(&machine, &s.Item, &s.Facts, &s.Software, &s.CVE)
			found[machine] = append(found[machine], s)
			return err
		}, query+condition, args...)
	})
	return found, err
}

// classOf is the class of facts that were classified before, or in this transaction.
func (c *counting) classOf(ctx context.Context, facts int64) (int64, error) {
	if id, known := c.byFacts[facts]; known {
		return id, nil
	}
	id, known := c.store.classes.known(facts)
	if !known {
		found, err := classify(ctx, c.tx, []int64{facts})
		if err != nil {
			return 0, err
		}
		if id, known = found[facts]; !known {
			return 0, fmt.Errorf("there are no facts %d: %w", facts, store.ErrDamaged)
		}
	}
	c.byFacts[facts] = id
	return id, nil
}

// class names a class, one of this transaction too.
func (c *counting) class(ctx context.Context, id int64) (store.Class, error) {
	if class, known := c.names[id]; known {
		return class, nil
	}
	if class, known := c.store.classes.name(id); known {
		c.names[id] = class
		return class, nil
	}
	all, err := allClasses(ctx, c.tx)
	if err != nil {
		return store.Class{}, err
	}
	class, known := all[id]
	if !known {
		return class, fmt.Errorf("there is no class %d: %w", id, store.ErrDamaged)
	}
	c.names = all
	return class, nil
}

// census is what one device adds to the counts.
type census struct {
	tenant int64 // the smallest of its counted machines; 0 = none counts
	sets   map[store.TallyKind][]int64
	counts store.DeviceCounts
}

// take counts the machines of a device that count, newest first.
func (c *counting) take(ctx context.Context, machines []*member, rows map[store.ItemKind]map[int64][]store.Standing, bits int) (census, error) {
	out := census{sets: map[store.TallyKind][]int64{}}
	slices.SortFunc(machines, newest)
	seen := map[int64]bool{}
	for _, m := range machines {
		if out.tenant == 0 || m.tenant < out.tenant {
			out.tenant = m.tenant
		}
		for _, r := range rows[store.Findings][m.id] {
			out.sets[store.DevicesByCVE] = append(out.sets[store.DevicesByCVE], r.CVE)
			out.sets[store.DevicesExposed] = append(out.sets[store.DevicesExposed], r.Software)
			if bits&findingsBit == 0 || len(machines) > 1 && seen[r.Item] {
				continue
			}
			if len(machines) > 1 {
				seen[r.Item] = true
			}
			if err := c.add(ctx, &out.counts, r.Facts); err != nil {
				return out, err
			}
		}
		for _, r := range rows[store.InstalledSoftware][m.id] {
			out.sets[store.DevicesInstalled] = append(out.sets[store.DevicesInstalled], r.Software)
		}
		for _, r := range rows[store.ReportedSoftware][m.id] {
			out.sets[store.DevicesReportedFor] = append(out.sets[store.DevicesReportedFor], r.Software)
		}
	}
	for kind, items := range out.sets {
		slices.Sort(items)
		out.sets[kind] = slices.Compact(items)
	}
	return out, nil
}

func (c *counting) add(ctx context.Context, counts *store.DeviceCounts, facts int64) error {
	id, err := c.classOf(ctx, facts)
	if err != nil {
		return err
	}
	class, err := c.class(ctx, id)
	if err != nil {
		return err
	}
	at := slices.Index(store.Severities[:], class.Severity)
	if at < 0 {
		at = len(store.Severities)
	}
	if counts.Open[at]++; exploitable(class) {
		counts.Exploitable[at]++
	}
	return nil
}

// compareDevices counts every device that is concerned as it was and as it is.
func (c *counting) compareDevices(ctx context.Context) error {
	was, now := map[int64][]*member{}, map[int64][]*member{}
	for id, m := range c.now {
		if before := c.was[id]; before.counted {
			was[before.device] = append(was[before.device], before)
		}
		if m.counted {
			now[m.device] = append(now[m.device], m)
		}
	}
	for device, bits := range c.devices {
		var before census
		var err error
		if !c.fresh {
			if before, err = c.take(ctx, was[device], c.before, bits); err != nil {
				return err
			}
		}
		after, err := c.take(ctx, now[device], c.after, bits)
		if err != nil {
			return err
		}
		for kind, items := range before.sets {
			for _, item := range items {
				c.tallies[tally{before.tenant, kind, item}]--
			}
		}
		for kind, items := range after.sets {
			for _, item := range items {
				c.tallies[tally{after.tenant, kind, item}]++
			}
		}
		if before.counts != after.counts {
			c.counts[device] = after.counts
		}
	}
	return nil
}

// compareMachines counts the findings of the machines whose rows moved, and how.
func (c *counting) compareMachines(ctx context.Context, now map[int64]*member) error {
	for id, given := range c.given {
		d := given[store.Findings]
		if d == nil {
			continue
		}
		was, err := c.byClass(ctx, d.Before)
		if err != nil {
			return err
		}
		is, err := c.byClass(ctx, d.After)
		if err != nil {
			return err
		}
		for class, n := range is {
			if was[class] != n {
				c.machineRows = append(c.machineRows, [3]int64{id, class, n})
			}
		}
		for class := range was {
			if is[class] == 0 {
				c.machineRows = append(c.machineRows, [3]int64{id, class, 0})
			}
		}
		if m := now[id]; m != nil && m.counted {
			if err := c.flow(ctx, m, d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *counting) byClass(ctx context.Context, rows []store.Standing) (map[int64]int64, error) {
	n := map[int64]int64{}
	for i := range rows {
		class, err := c.classOf(ctx, rows[i].Facts)
		if err != nil {
			return nil, err
		}
		n[class]++
	}
	return n, nil
}
