package ingest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster"
	"muster/internal/export"
	"muster/internal/store"
	"muster/internal/store/relational"
	"muster/internal/store/sqlite"
	"muster/internal/wire"
)

var errKill = fmt.Errorf("killed")

// plant is Stores that die before the n-th write transaction of a merge.
type plant struct {
	*relational.Store
	left int // -1 = never
	hook func(n string)
}

func (p *plant) die(what string) error {
	if p.hook != nil {
		p.hook(what)
	}
	if p.left == 0 {
		return errKill
	}
	if p.left > 0 {
		p.left--
	}
	return nil
}

func (p *plant) MergeMachines(ctx context.Context, s store.MachineStep) error {
	if err := p.die("MergeMachines"); err != nil {
		return err
	}
	return p.Store.MergeMachines(ctx, s)
}

func (p *plant) MergeMissing(ctx context.Context, s store.MachineStep) error {
	if err := p.die("MergeMissing"); err != nil {
		return err
	}
	return p.Store.MergeMissing(ctx, s)
}

func (p *plant) MergeDocuments(ctx context.Context, s store.DocumentStep) error {
	if err := p.die("MergeDocuments"); err != nil {
		return err
	}
	return p.Store.MergeDocuments(ctx, s)
}

func (p *plant) MergeItems(ctx context.Context, s store.ItemStep) error {
	if err := p.die("MergeItems"); err != nil {
		return err
	}
	return p.Store.MergeItems(ctx, s)
}

func (p *plant) EndMerge(ctx context.Context, s store.Step, tenant int64, st *store.DatasetState) error {
	if err := p.die("EndMerge"); err != nil {
		return err
	}
	return p.Store.EndMerge(ctx, s, tenant, st)
}

func (p *plant) DropStaged(ctx context.Context, run int64) error {
	if err := p.die("DropStaged"); err != nil {
		return err
	}
	return p.Store.DropStaged(ctx, run)
}

type rig struct {
	t    *testing.T
	db   *plant
	sink *Sink
	now  time.Time
}

func newRig(t *testing.T) *rig {
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "m.db"), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	r := &rig{t: t, db: &plant{Store: db, left: -1}, now: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
	r.restart()
	return r
}

func (r *rig) restart() {
	r.sink = New(r.db, func() time.Time { return r.now }, slog.New(slog.DiscardHandler))
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

type (
	mach struct{ id, merged, aad, tag, first, last string }
	vuln struct{ machine, product, cve, seen string }
)

type texter struct{ b *wire.Batch }

func (x texter) c(s string) int32 {
	if s == "" {
		return wire.NullCell
	}
	x.b.Texts = append(x.b.Texts, s)
	return int32(len(x.b.Texts) - 1)
}

func machineBatch(seq int64, ms ...mach) *wire.Batch {
	b := &wire.Batch{Dataset: "machines", Sequence: seq}
	x := texter{b}
	t := wire.Table{Name: "machine", Columns: []wire.Column{
		{Name: "id", Kind: wire.Text},
		{Name: "mergedIntoMachineId", Kind: wire.Text},
		{Name: "aadDeviceId", Kind: wire.Text},
		{Name: "firstSeen", Kind: wire.Text},
		{Name: "lastSeen", Kind: wire.Text},
		{Name: "computerDnsName", Kind: wire.Text},
		{Name: "machineTags", Kind: wire.Texts},
	}}
	for i, m := range ms {
		tags := wire.NullCell
		if m.tag != "" {
			b.Lists = append(b.Lists, []int32{x.c(m.tag)})
			tags = int32(len(b.Lists) - 1)
		}
		t.Cells = append(t.Cells, x.c(m.id), x.c(m.merged), x.c(m.aad), x.c(m.first), x.c(m.last), x.c(m.id+".example"), tags)
		b.Rows = append(b.Rows, int64(i))
	}
	b.Tables = []wire.Table{t}
	return b
}

func micro(s string) int64 {
	if s == "" {
		return wire.Null
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t.UnixMicro()
}

func vulnBatch(seq int64, vs ...vuln) *wire.Batch {
	b := &wire.Batch{Dataset: "vulnerabilities", Sequence: seq, Numbers: []string{"firstSeenTimestamp", "lastSeenTimestamp"}}
	x := texter{b}
	txt := func(names ...string) (c []wire.Column) {
		for _, n := range names {
			c = append(c, wire.Column{Name: n, Kind: wire.Text})
		}
		return c
	}
	b.Tables = []wire.Table{
		{Name: "machine", Columns: txt("deviceId")},
		{Name: "exposure", Columns: txt("softwareVendor", "softwareName", "softwareVersion", "cveId")},
		{Name: "facts", Columns: txt("vulnerabilitySeverityLevel")},
	}
	b.Tables[2].Cells = []int32{x.c("High")}
	for i, v := range vs {
		b.Tables[0].Cells = append(b.Tables[0].Cells, x.c(v.machine))
		b.Tables[1].Cells = append(b.Tables[1].Cells, x.c("v"), x.c(v.product), x.c("1"), x.c(v.cve))
		b.Rows = append(b.Rows, int64(i), int64(i), 0, micro(v.seen), micro(v.seen))
	}
	return b
}

func confBatch(seq int64, vs ...vuln) *wire.Batch {
	b := &wire.Batch{Dataset: "configuration", Sequence: seq, Numbers: []string{"timestamp"}}
	x := texter{b}
	txt := func(names ...string) (c []wire.Column) {
		for _, n := range names {
			c = append(c, wire.Column{Name: n, Kind: wire.Text})
		}
		return c
	}
	b.Tables = []wire.Table{{Name: "machine", Columns: txt("deviceId")}, {Name: "configuration", Columns: txt("configurationId")}, {Name: "facts", Columns: txt("isCompliant")}}
	b.Tables[2].Cells = []int32{x.c("true")}
	for i, v := range vs {
		b.Tables[0].Cells = append(b.Tables[0].Cells, x.c(v.machine))
		b.Tables[1].Cells = append(b.Tables[1].Cells, x.c(v.product))
		b.Rows = append(b.Rows, int64(i), int64(i), 0, micro(v.seen))
	}
	return b
}

const tenantID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"

type reading struct {
	rig   *rig
	lease wire.Lease
	seq   map[string]int64
}

func settingsOf(f muster.Filter) muster.Settings {
	return muster.Settings{
		TenantID: "contoso.example", ClientID: "11111111-1111-1111-1111-111111111111", Cloud: "commercial", Filter: f,
		Datasets: []muster.Dataset{muster.Machines, muster.Vulnerabilities, muster.Configuration},
	}
}

func (r *rig) begin(connector string, f muster.Filter) *reading {
	r.t.Helper()
	ctx := r.t.Context()
	c, err := r.db.SaveConnector(ctx, connector, settingsOf(f), r.now)
	r.must(err)
	run, err := r.db.QueueRun(ctx, c.ID, "sync", false, r.now)
	r.must(err)
	l, _, err := r.db.ClaimReading(ctx, run, r.now, r.now.Add(15*time.Second))
	r.must(err)
	r.must(r.sink.SignedIn(ctx, l, tenantID))
	return &reading{r, l, map[string]int64{}}
}

// lose gives the reading to another process.
func (g *reading) lose() {
	r := g.rig
	r.now = r.now.Add(time.Minute)
	_, err := r.db.Requeue(r.t.Context(), g.lease.Run, r.now)
	r.must(err)
	r.restart()
	g.lease, _, err = r.db.ClaimReading(r.t.Context(), g.lease.Run, r.now, r.now.Add(15*time.Second))
	r.must(err)
}

func (g *reading) list(at time.Time, ms ...mach) {
	g.rig.t.Helper()
	g.stage(muster.Machines, at, machineBatch(1, ms...))
	g.done(muster.Machines, at, muster.Complete)
	_, err := g.rig.sink.Scope(g.rig.t.Context(), g.lease)
	g.rig.must(err)
}

func (g *reading) stage(d muster.Dataset, at time.Time, batches ...*wire.Batch) {
	g.rig.t.Helper()
	ctx := g.rig.t.Context()
	g.rig.must(g.rig.sink.Begin(ctx, g.lease, d, at))
	for _, b := range batches {
		g.rig.must(g.rig.sink.Stage(ctx, g.lease, b))
	}
}

func (g *reading) done(d muster.Dataset, at time.Time, state muster.Completeness) {
	g.rig.t.Helper()
	g.rig.must(g.rig.sink.Done(g.rig.t.Context(), g.lease, d, wire.Completeness{Mode: muster.ModeFull, State: state, SourceTime: at}))
}

func (g *reading) read(d muster.Dataset, at time.Time, batches ...*wire.Batch) {
	g.rig.t.Helper()
	g.stage(d, at, batches...)
	g.done(d, at, muster.Complete)
}

func (g *reading) end() {
	g.rig.t.Helper()
	g.rig.must(g.rig.db.EndReading(g.rig.t.Context(), g.lease, wire.Outcome{TenantID: tenantID}, g.rig.now))
}

func (g *reading) merge() []muster.Notice {
	g.rig.t.Helper()
	g.end()
	return g.mergeOnly()
}

func (g *reading) mergeOnly() []muster.Notice {
	r := g.rig
	r.t.Helper()
	ctx := r.t.Context()
	l, _, err := r.db.ClaimMerge(ctx, g.lease.Run, r.now, r.now.Add(15*time.Second))
	r.must(err)
	w, err := r.sink.Merge(ctx, l)
	r.must(err)
	r.must(r.db.EndRun(ctx, l, muster.Succeeded, w, nil, r.now))
	return w
}

func (r *rig) export(name string, more ...string) string {
	r.t.Helper()
	var out bytes.Buffer
	o := export.Options{Name: name, State: "all", Scope: "all"}
	if len(more) > 0 {
		o.Connectors = more
	}
	_, err := export.Write(r.t.Context(), r.db.Store, &out, o)
	r.must(err)
	return out.String()
}

func (r *rig) everything() string {
	var b strings.Builder
	for _, n := range []string{"devices", "machines", "software", "findings", "configuration", "vulnerabilities", "history", "totals"} {
		b.WriteString("== " + n + "\n" + r.export(n))
	}
	return b.String()
}

func at(d, h int) time.Time { return time.Date(2026, 5, d, h, 0, 0, 0, time.UTC) }
func ts(d, h int) string    { return at(d, h).Format(time.RFC3339) }

// ---------------------------------------------------------------- tests
