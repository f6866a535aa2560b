package ingest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"muster"
	"muster/internal/store"
	"muster/internal/store/relational"
	"muster/internal/store/sqlite"
	"muster/internal/wire"
)

// estate is a database with machines that lists are applied to, as a merge does it.
type estate struct {
	testing.TB
	*relational.Store
	path string
	at   time.Time
}

func newEstate(t testing.TB) *estate {
	t.Helper()
	path := filepath.Join(t.TempDir(), "muster.db")
	s, err := sqlite.Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &estate{t, s, path, day(50)}
}

func (e *estate) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("unexpected error: %v", err)
	}
}

func (e *estate) tenant(name string) int64 {
	e.Helper()
	id, err := e.TenantID(e.Context(), name)
	e.ok(err)
	return id
}

// list applies a list of machines of one tenant and reconciles. Where a store is given, it
// stands between reconciliation and the database.
func (e *estate) list(tenant string, machines ...node) {
	e.Helper()
	e.ok(e.apply(tenant, e.Store, machines))
}

func (e *estate) apply(tenant string, s fleetStore, machines []node) error {
	e.Helper()
	ctx := e.Context()
	e.at = e.at.Add(time.Hour)
	connector, err := e.SaveConnector(ctx, tenant, muster.Settings{TenantID: tenant, Datasets: muster.DefaultDatasets()}, e.at)
	e.ok(err)
	run, err := e.QueueRun(ctx, connector.ID, "sync", false, e.at)
	e.ok(err)
	l, _, err := e.ClaimReading(ctx, run, e.at, e.at.Add(time.Minute))
	e.ok(err)
	e.ok(e.BindTenant(ctx, l, tenant))
	e.ok(e.BeginDataset(ctx, l, muster.Machines, e.at))
	e.ok(e.EndReading(ctx, l, wire.Outcome{TenantID: tenant}, e.at))
	l, _, err = e.ClaimMerge(ctx, run, e.at, e.at.Add(time.Minute))
	e.ok(err)
	var names []string
	for _, m := range machines {
		names = append(names, m.machine)
	}
	ids, err := e.MachineIDs(ctx, e.tenant(tenant), names)
	e.ok(err)
	before, err := e.Machines(ctx, ids)
	e.ok(err)
	step := store.MachineStep{Step: store.Step{Lease: l, Dataset: muster.Machines, Cursor: 1}, Connector: connector.ID}
	for i, m := range machines {
		step.Machines = append(step.Machines, store.MachineRow{
			ID: ids[i], Attributes: []byte(`{}`), FirstSeen: earliest(before[ids[i]].FirstSeen, m.firstSeen), LastSeen: m.lastSeen,
			Keys: orBefore(m.keys, before[ids[i]].Keys), MergedInto: m.mergedInto, ListedAt: e.at,
		})
	}
	e.ok(e.MergeMachines(ctx, step))
	err = regroup(ctx, s, l, e.tenant(tenant), e.at, nil)
	e.ok(e.EndRun(ctx, l, muster.Succeeded, nil, nil, e.at))
	return err
}

// forget deletes a machine, as retention does.
func (e *estate) forget(machine string) {
	e.Helper()
	db, err := sql.Open("sqlite", "file://"+e.path+"?_pragma=foreign_keys(1)&_pragma=busy_timeout(20000)")
	e.ok(err)
	_, err = db.ExecContext(e.Context(), `DELETE FROM machine WHERE machine_id = ?`, machine)
	e.ok(errors.Join(err, db.Close()))
}

// devices lists the devices of some tenants by their machines, and their ids by the first.
func (e *estate) devices(tenants ...string) (machines []string, ids map[string]string) {
	e.Helper()
	members := map[string][]string{}
	for _, t := range tenants {
		e.ok(e.TenantMachines(e.Context(), e.tenant(t), func(m store.MachineRow) error {
			name := m.MachineID
			if m.Superseded {
				name += "!"
			}
			members[m.Device] = append(members[m.Device], name)
			return nil
		}))
	}
	ids = map[string]string{}
	for id, names := range members {
		slices.Sort(names)
		all := strings.Join(names, " ")
		machines, ids[all] = append(machines, all), id
	}
	slices.Sort(machines)
	return machines, ids
}

func (e *estate) expect(what string, want []string, tenants ...string) map[string]string {
	e.Helper()
	got, ids := e.devices(append(tenants, "t")...)
	if diff := cmp.Diff(want, got); diff != "" {
		e.Fatalf("%s (-want +got):\n%s", what, diff)
	}
	return ids
}

func (e *estate) answers(id string) string {
	e.Helper()
	now, err := e.Device(e.Context(), id)
	e.ok(err)
	return now
}

func (e *estate) operator() *Operator {
	return NewOperator(e.Store, func() time.Time { return e.at }, "ada")
}

// TestStoredDevices follows a device through re-imaging, a decision, and what its ids answer.
func TestStoredDevices(t *testing.T) {
	e := newEstate(t)
	a, b, c := lived("a", 1, 5, keys{EntraID: "x"}), lived("b", 6, 9, keys{EntraID: "x"}), lived("c", 1, 9, keys{HostName: "c"})
	e.list("t", b, c)
	first := e.expect("at first", []string{"b", "c"})
	e.list("t", a, b, c)
	joined := e.expect("an older one joins", []string{"a! b", "c"})
	if e.answers(first["b"]) != joined["a! b"] || e.answers(joined["a! b"]) != joined["a! b"] {
		t.Error("the id that b had answers with another device")
	}
	members, err := e.DeviceMachines(t.Context(), joined["a! b"])
	e.ok(err)
	var why []store.Link
	for _, m := range members {
		why = append(why, m.Links...)
	}
	if len(why) != 1 || why[0].Reason != muster.JoinedByEntraID || why[0].Value != "x" || !why[0].Since.Equal(e.at) {
		t.Errorf("the reasons are %+v", why)
	}

	split, err := e.operator().Split(t.Context(), first["b"], []string{"b"})
	e.ok(err)
	apart := e.expect("split", []string{"a", "b", "c"})
	if split != apart["b"] || e.answers(first["b"]) != apart["b"] || e.answers(joined["a! b"]) != apart["a"] {
		t.Error("after the split an id answers with the other device")
	}
	e.list("t", a, b, c)
	e.expect("no list undoes it", []string{"a", "b", "c"})
	e.list("t", lived("n", 20, 21, keys{EntraID: "x"}))
	e.expect("a new life follows the youngest", []string{"a", "b! n", "c"})

	back, err := e.operator().Join(t.Context(), apart["a"], first["b"])
	e.ok(err)
	all := e.expect("joined again", []string{"a! b! n", "c"})
	if back != all["a! b! n"] {
		t.Error("the joined device has another id")
	}
	_, err = e.operator().Join(t.Context(), first["b"], apart["c"])
	e.ok(err)
	e.expect("strangers joined", []string{"a! b! c! n"})
	e.list("t", a, b, c)
	e.expect("no list undoes that", []string{"a! b! c! n"})
}

func TestOperatorRefusals(t *testing.T) {
	e := newEstate(t)
	e.list("t", lived("a", 1, 5, keys{EntraID: "x"}), lived("b", 6, 9, keys{EntraID: "x"}), lived("m", 1, 2, keys{}).merged("b"), lived("c", 1, 9, keys{}))
	e.list("other", lived("z", 1, 9, keys{}))
	ids := e.expect("at first", []string{"a! b m", "c", "z"}, "other")
	for what, err := range map[string]func() error{
		"a stranger":        func() error { _, err := e.operator().Split(t.Context(), ids["a! b m"], []string{"c"}); return err },
		"all":               func() error { _, err := e.operator().Split(t.Context(), ids["c"], []string{"c"}); return err },
		"nobody":            func() error { _, err := e.operator().Split(t.Context(), ids["c"], nil); return err },
		"no device":         func() error { _, err := e.operator().Split(t.Context(), "d-0", []string{"c"}); return err },
		"a merged one":      func() error { _, err := e.operator().Split(t.Context(), ids["a! b m"], []string{"m"}); return err },
		"its survivor":      func() error { _, err := e.operator().Split(t.Context(), ids["a! b m"], []string{"b"}); return err },
		"with itself":       func() error { _, err := e.operator().Join(t.Context(), ids["c"], ids["c"]); return err },
		"with no device":    func() error { _, err := e.operator().Join(t.Context(), ids["c"], "d-0"); return err },
		"of another tenant": func() error { _, err := e.operator().Join(t.Context(), ids["c"], ids["z"]); return err },
	} {
		if !errors.Is(err(), muster.ErrInvalid) {
			t.Errorf("%s: %v", what, err())
		}
	}
	e.expect("after the refusals", []string{"a! b m", "c", "z"}, "other")
	if _, err := e.operator().Split(t.Context(), ids["a! b m"], []string{"b", "m"}); err != nil {
		t.Error(err)
	}
	e.expect("both", []string{"a", "b m", "c"})
}

// TestSplitKeepsTheRestTogether: those who were one device over the machine that left stay one.
func TestSplitKeepsTheRestTogether(t *testing.T) {
	e := newEstate(t)
	e.list("t", lived("a", 1, 2, keys{EntraID: "x"}), lived("b", 3, 4, keys{EntraID: "x", VMID: "v"}), lived("c", 5, 6, keys{VMID: "v"}))
	ids := e.expect("at first", []string{"a! b! c"})
	_, err := e.operator().Split(t.Context(), ids["a! b! c"], []string{"b"})
	e.ok(err)
	e.expect("without b", []string{"a! c", "b"})
}

func TestTenantGroups(t *testing.T) {
	e := newEstate(t)
	a, z := lived("a", 1, 5, keys{VMID: "v"}), lived("z", 6, 9, keys{VMID: "v"})
	e.list("t", a)
	e.list("other", z)
	before := e.expect("never across tenants", []string{"a", "z"}, "other")
	e.ok(e.operator().Group(t.Context(), []int64{e.tenant("t"), e.tenant("other")}))
	joined := e.expect("unless they are grouped", []string{"a! z"}, "other")
	if e.answers(before["z"]) != joined["a! z"] {
		t.Error("an id does not answer across tenants")
	}
	e.list("other", z)
	e.expect("after a list", []string{"a! z"}, "other")
	e.ok(e.operator().Group(t.Context(), []int64{e.tenant("other")}))
	after := e.expect("and no more", []string{"a", "z"}, "other")
	if after["z"] != before["z"] || after["a"] != before["a"] {
		t.Error("the devices have other ids than before")
	}
}

// TestRetentionKeepsIDs: a device whose oldest machine is deleted keeps its id.
func TestRetentionKeepsIDs(t *testing.T) {
	e := newEstate(t)
	a, b := lived("a", 1, 5, keys{EntraID: "x"}), lived("b", 6, 9, keys{EntraID: "x"})
	e.list("t", a, b)
	id := e.expect("at first", []string{"a! b"})["a! b"]
	e.forget("a")
	e.list("t", b)
	if got := e.expect("a is deleted", []string{"b"})["b"]; got != id {
		t.Errorf("the device became %s, it was %s", got, id)
	}
	e.list("t", b, lived("n", 20, 21, keys{EntraID: "x"}))
	if got := e.expect("and goes on", []string{"b! n"})["b! n"]; got != id {
		t.Errorf("the device became %s, it was %s", got, id)
	}
	e.list("t", lived("o", 0, 0, keys{HostName: "o"}))
	e.list("t", lived("p", 1, 2, keys{HostName: "p"}))
	_, err := e.operator().Join(t.Context(), id, e.expect("strangers", []string{"b! n", "o", "p"})["p"])
	e.ok(err)
	if now := e.answers(id); now != e.expect("joined", []string{"b! n p!", "o"})["b! n p!"] {
		t.Errorf("%s answers with %s", id, now)
	}
}

// TestDevicesOfAnOlderSchema: devices that know no founder keep their ids and get one.
func TestDevicesOfAnOlderSchema(t *testing.T) {
	e := newEstate(t)
	a, b, c := lived("a", 1, 5, keys{EntraID: "x"}), lived("b", 6, 9, keys{EntraID: "x"}), lived("c", 1, 9, keys{HostName: "c"})
	ids, err := e.MachineIDs(t.Context(), e.tenant("t"), []string{"a", "b", "c"})
	e.ok(err)
	one, other := deviceID("t", "a"), deviceID("t", "c")
	e.ok(e.Regroup(t.Context(), store.Regrouping{Machines: []store.Grouped{{Machine: ids[0], Device: one, Superseded: true}, {Machine: ids[1], Device: one}, {Machine: ids[2], Device: other}}}))
	for range 2 {
		e.list("t", a, b, c)
		got := e.expect("after a list", []string{"a! b", "c"})
		if got["a! b"] != one || got["c"] != other {
			t.Errorf("the devices became %v", got)
		}
		grouping, err := e.Grouping(t.Context(), e.tenant("t"))
		e.ok(err)
		if len(grouping.Orphans) > 0 {
			t.Errorf("without a founder are still %v", grouping.Orphans)
		}
	}
}

// TestRegroupBeginsAnew: a piece that comes too late is worked out again, and one that is
// interrupted after any piece is finished by the next.
func TestRegroupBeginsAnew(t *testing.T) {
	e := newEstate(t)
	machines := []node{lived("a", 1, 5, keys{EntraID: "x"}), lived("b", 6, 9, keys{EntraID: "x"}), lived("c", 1, 9, keys{HostName: "c"})}
	meddler := &meddler{estate: e, before: func() { e.ok(e.GroupTenants(t.Context(), []int64{e.tenant("t")})) }}
	e.ok(e.apply("t", meddler, machines))
	e.expect("in spite of the other", []string{"a! b", "c"})
	if meddler.calls < 3 {
		t.Errorf("%d pieces were written", meddler.calls)
	}

	for stop := 1; stop <= 2; stop++ {
		e := newEstate(t)
		lost := errors.New("lost")
		if err := e.apply("t", &interrupted{estate: e, left: stop - 1, err: lost}, machines); !errors.Is(err, lost) {
			t.Fatalf("error %v", err)
		}
		e.list("t", machines...)
		e.expect("after it", []string{"a! b", "c"})
	}
}

// meddler lets somebody else write once before the first piece.
type meddler struct {
	*estate
	before func()
	calls  int
}

func (m *meddler) Regroup(ctx context.Context, r store.Regrouping) error {
	if m.calls++; m.calls == 1 {
		m.before()
	}
	return m.estate.Regroup(ctx, r)
}

// interrupted fails after some pieces.
type interrupted struct {
	*estate
	left int
	err  error
}

func (i *interrupted) Regroup(ctx context.Context, r store.Regrouping) error {
	if i.left == 0 {
		return i.err
	}
	i.left--
	return i.estate.Regroup(ctx, r)
}

// TestStoredOrder: what the database holds does not depend on the order of arrival either.
func TestStoredOrder(t *testing.T) {
	e := newEstate(t)
	tries := 0
	rapid.Check(t, func(rt *rapid.T) {
		machines := anyMachines(rt)
		if len(machines) == 0 {
			return
		}
		at := rapid.IntRange(0, len(machines)).Draw(rt, "at first")
		tries++
		one, two := fmt.Sprint("one-", tries), fmt.Sprint("two-", tries)
		e.list(one, machines...)
		e.list(two, machines[at:]...)
		e.list(two, machines[:at]...)
		want, _ := e.devices(one)
		got, ids := e.devices(two)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-at once +in two lists):\n%s", diff)
		}
		w := &world{}
		w.list(machines...)
		for _, n := range w.nodes { // named after the oldest machine
			founder := w.nodes[n.founder].machine
			if !slices.Contains(slices.Collect(maps.Values(ids)), deviceID(two, founder)) {
				rt.Fatalf("no device is named after %s", founder)
			}
		}
	})
}
