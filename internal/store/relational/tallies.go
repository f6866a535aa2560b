package relational

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"muster/internal/store"
	"muster/internal/wire"
)

// tally is one number of devices.
type tally struct {
	tenant int64
	kind   store.TallyKind
	item   int64
}

// tallyKinds give every kind a number for encoded deltas; never reorder.
var tallyKinds = []store.TallyKind{store.DevicesByCVE, store.DevicesExposed, store.DevicesInstalled, store.DevicesReportedFor}

func compareTallies(a, b tally) int {
	return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.kind, b.kind), cmp.Compare(a.item, b.item))
}

func encodeDeltas(order []tally, deltas map[tally]int64) []byte {
	var out []byte
	for _, t := range order {
		out = append(out, byte(slices.Index(tallyKinds, t.kind)))
		out = binary.AppendUvarint(out, uint64(t.item))
		out = binary.AppendVarint(out, deltas[t])
	}
	return out
}

// addDeltas adds encoded deltas of a tenant.
func addDeltas(sums map[tally]int64, tenant int64, data []byte) error {
	for len(data) > 0 {
		kind := int(data[0])
		item, n := binary.Uvarint(data[1:])
		if n <= 0 || kind >= len(tallyKinds) {
			return fmt.Errorf("deltas of tenant %d: %w", tenant, store.ErrDamaged)
		}
		data = data[1+n:]
		delta, n := binary.Varint(data)
		if n <= 0 {
			return fmt.Errorf("deltas of tenant %d: %w", tenant, store.ErrDamaged)
		}
		data = data[n:]
		sums[tally{tenant, tallyKinds[kind], int64(item)}] += delta
	}
	return nil
}

// flowJSON is a bucket's flow as total_delta keeps it.
type flowJSON struct {
	store.Bucket
	store.Flow
}

// write saves what has moved. Tallies are added up at the end of a merge: each step
// touches most of them a little.
func (c *counting) write(ctx context.Context) error {
	slices.SortFunc(c.machineRows, func(a, b [3]int64) int { return slices.Compare(a[:], b[:]) })
	columns := []Column{{"machine_id", Integers}, {"class_id", Integers}, {"findings", Integers}}
	err := c.tx.insert(ctx, Rows{Table: "machine_count", Columns: columns, Keys: 2, Conflict: Replace, N: len(c.machineRows), Values: func(i int, args []any) []any {
		r := c.machineRows[i]
		return append(args, r[0], r[1], r[2])
	}})
	if err != nil {
		return err
	}
	devices := slices.Sorted(maps.Keys(c.counts))
	err = c.tx.insert(ctx, Rows{Table: "device_count", Columns: deviceCountColumns, Keys: 1, Conflict: Replace, N: len(devices), Values: func(i int, args []any) []any {
		n := c.counts[devices[i]]
		args = append(args, devices[i])
		for _, v := range n.Open {
			args = append(args, v)
		}
		for _, v := range n.Exploitable {
			args = append(args, v)
		}
		return args
	}})
	if err != nil {
		return err
	}
	maps.DeleteFunc(c.tallies, func(_ tally, n int64) bool { return n == 0 })
	order := slices.SortedFunc(maps.Keys(c.tallies), compareTallies)
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && order[to].tenant == order[from].tenant {
			to++
		}
		if _, err := c.tx.ExecContext(ctx, `INSERT INTO tally_delta (tenant_id, deltas) VALUES ($1, $2)`, order[from].tenant, encodeDeltas(order[from:to], c.tallies)); err != nil {
			return err
		}
		from = to
	}
	return c.writeFlows(ctx)
}

var deviceCountColumns = []Column{
	{"device_id", Integers},
	{"critical", Integers},
	{"high", Integers},
	{"medium", Integers},
	{"low", Integers},
	{"other", Integers},
	{"exploitable_critical", Integers},
	{"exploitable_high", Integers},
	{"exploitable_medium", Integers},
	{"exploitable_low", Integers},
	{"exploitable_other", Integers},
}

func (c *counting) writeFlows(ctx context.Context) error {
	for _, tenant := range slices.Sorted(maps.Keys(c.flows)) {
		var all []flowJSON
		for _, b := range slices.SortedFunc(maps.Keys(c.flows[tenant]), compareBuckets) {
			all = append(all, flowJSON{b, c.flows[tenant][b]})
		}
		text, err := json.Marshal(all)
		if err != nil {
			return err
		}
		if _, err := c.tx.ExecContext(ctx, `INSERT INTO total_delta (tenant_id, flows) VALUES ($1, $2)`, tenant, string(text)); err != nil {
			return err
		}
	}
	return nil
}

func compareBuckets(a, b store.Bucket) int {
	return cmp.Or(cmp.Compare(a.Organisation, b.Organisation), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Platform, b.Platform), cmp.Compare(a.Group, b.Group))
}

// foldPiece is how many tallies one transaction moves.
const foldPiece = 5000

// FoldTallies implements store.Counts. All deltas become a few that no tally is in twice;
// then each is added and forgotten in one transaction, so that it can be repeated after a
// kill at any point.
func (s *Store) FoldTallies(ctx context.Context, l wire.Lease, tenant int64) error {
	err := s.leased(ctx, l, func(tx *Tx) error { return joinDeltas(ctx, tx, tenant) })
	if err != nil {
		return err
	}
	for more := true; more; {
		err := s.leased(ctx, l, func(tx *Tx) (err error) {
			more, err = foldOne(ctx, tx, tenant)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readDeltas adds up the deltas of a tenant.
func readDeltas(ctx context.Context, q Queryer, tenant int64) (sums map[tally]int64, ids []int64, err error) {
	sums = map[tally]int64{}
	err = each(ctx, q, func(rows *sql.Rows) error {
		var id int64
		var data []byte
		if err := rows.Scan(&id, &data); err != nil {
			return err
		}
		ids = append(ids, id)
		return addDeltas(sums, tenant, data)
	}, `SELECT id, deltas FROM tally_delta WHERE tenant_id = $1 ORDER BY id`, tenant)
	maps.DeleteFunc(sums, func(_ tally, n int64) bool { return n == 0 })
	return sums, ids, err
}

func joinDeltas(ctx context.Context, tx *Tx, tenant int64) error {
	sums, ids, err := readDeltas(ctx, tx, tenant)
	if err != nil || len(ids) == 0 {
		return err
	}
	err = inIDs(tx.engine, ids, func(condition string, args []any) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM tally_delta WHERE id `+condition, args...)
		return err
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(slices.SortedFunc(maps.Keys(sums), compareTallies), foldPiece) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO tally_delta (tenant_id, deltas) VALUES ($1, $2)`, tenant, encodeDeltas(some, sums)); err != nil {
			return err
		}
	}
	return nil
}

// foldOne adds the first row of deltas to the tallies.
func foldOne(ctx context.Context, tx *Tx, tenant int64) (more bool, err error) {
	var id int64
	var data []byte
	err = each(ctx, tx, func(rows *sql.Rows) error { return rows.Scan(&id, &data) }, `SELECT id, deltas FROM tally_delta WHERE tenant_id = $1 ORDER BY id LIMIT 1`, tenant)
	if err != nil || id == 0 {
		return false, err
	}
	sums := map[tally]int64{}
	if err := addDeltas(sums, tenant, data); err != nil {
		return false, err
	}
	byKind := map[store.TallyKind][]int64{}
	for t := range sums {
		byKind[t.kind] = append(byKind[t.kind], t.item)
	}
	for kind, items := range byKind {
		known, err := deviceTallies(ctx, tx, kind, []int64{tenant}, items)
		if err != nil {
			return false, err
		}
		for item, devices := range known {
			sums[tally{tenant, kind, item}] += devices
		}
	}
	order := slices.SortedFunc(maps.Keys(sums), compareTallies)
	columns := []Column{{"tenant_id", Integers}, {"kind", Texts}, {"item_id", Integers}, {"devices", Integers}}
	err = tx.insert(ctx, Rows{Table: "device_tally", Columns: columns, Keys: 3, Conflict: Replace, N: len(order), Values: func(i int, args []any) []any {
		return append(args, order[i].tenant, string(order[i].kind), order[i].item, sums[order[i]])
	}})
	if err == nil {
		_, err = tx.ExecContext(ctx, `DELETE FROM tally_delta WHERE id = $1`, id)
	}
	return true, err
}

func deviceTallies(ctx context.Context, tx *Tx, kind store.TallyKind, tenants, items []int64) (map[int64]int64, error) {
	found := map[int64]int64{}
	err := inIDs(tx.engine, items, func(condition string, args []any) error {
		for _, tenant := range tenants {
			err := each(ctx, tx, func(rows *sql.Rows) error {
				var item, devices int64
				err := rows.Scan(&item, &devices)
				found[item] += devices
				return err
			}, fmt.Sprintf(`SELECT item_id, devices FROM device_tally WHERE item_id %s AND tenant_id = $%d AND kind = $%d AND devices <> 0`, condition, len(args)+1, len(args)+2), append(slices.Clone(args), tenant, string(kind))...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// DeviceTallies implements store.Counts.
func (s *Store) DeviceTallies(ctx context.Context, kind store.TallyKind, tenants, items []int64) (found map[int64]int64, err error) {
	err = s.view(ctx, func(tx *Tx) error {
		found, err = deviceTallies(ctx, tx, kind, tenants, items)
		return err
	})
	return found, err
}

// MachineCounts implements store.Counts.
func (s *Store) MachineCounts(ctx context.Context, machines []int64) (map[int64]map[store.Class]int64, error) {
	found := map[int64]map[store.Class]int64{}
	err := inIDs(s.engine, machines, func(condition string, args []any) error {
		return s.each(ctx, func(rows *sql.Rows) error {
			var machine, n int64
			var c store.Class
			err := rows.Scan(&machine, &c.Severity, &c.Exploitability, &n)
			if found[machine] == nil {
				found[machine] = map[store.Class]int64{}
			}
			found[machine][c] = n
			return err
		}, `SELECT n.machine_id, c.severity, c.exploitability, n.findings FROM machine_count n JOIN finding_class c ON c.id = n.class_id WHERE n.findings > 0 AND n.machine_id `+condition, args...)
	})
	return found, err
}

// DeviceCounts implements store.Counts.
func (s *Store) DeviceCounts(ctx context.Context, devices []string) (map[string]store.DeviceCounts, error) {
	d := dictionary{table: "device", columns: []Column{{"device_id", Texts}}}
	ids := make([]int64, len(devices))
	names := map[int64]string{}
	found := map[string]store.DeviceCounts{}
	err := s.view(ctx, func(tx *Tx) error {
		if _, err := d.lookUp(ctx, tx.engine, tx, textKeys(devices), ids, nil); err != nil {
			return err
		}
		for i, id := range ids {
			names[id] = devices[i]
		}
		return inIDs(tx.engine, ids, func(condition string, args []any) error {
			return each(ctx, tx, func(rows *sql.Rows) error {
				id, n, err := scanDeviceCount(rows)
				found[names[id]] = n
				return err
			}, `SELECT `+deviceCountNames()+` FROM device_count WHERE device_id `+condition, args...)
		})
	})
	return found, err
}

func deviceCountNames() string {
	r := Rows{Columns: deviceCountColumns}
	return r.Names("")
}

func scanDeviceCount(rows *sql.Rows) (device int64, n store.DeviceCounts, err error) {
	targets := []any{&device}
	for i := range n.Open {
		targets = append(targets, &n.Open[i])
	}
	for i := range n.Exploitable {
		targets = append(targets, &n.Exploitable[i])
	}
	err = rows.Scan(targets...)
	return device, n, err
}
