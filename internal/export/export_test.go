package export

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster"
	"muster/internal/store"
)

var update = flag.Bool("update", false, "rewrite golden files")

var written = []string{"devices", "machines", "software", "findings", "configuration", "vulnerabilities", "history", "totals", "runs"}

func write(t *testing.T, f *fixture, o Options) string {
	t.Helper()
	var b bytes.Buffer
	n, err := Write(f.ctx, f, &b, o)
	if err != nil {
		t.Fatal(err)
	}
	lines := int64(bytes.Count(b.Bytes(), []byte("\n")))
	if (o.Format == "" || o.Format == "ndjson") && n != lines {
		t.Errorf("%s: %d rows told, %d written", o.Name, n, lines)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	f := filled(t)
	for _, name := range written {
		for _, o := range []Options{
			{Name: name, State: "all", Scope: "all"},
			{Name: name, State: "all", Scope: "all", Format: "csv", ForSpreadsheet: true},
			{Name: name},
		} {
			file := filepath.Join("testdata", name+".ndjson")
			if o.Format == "csv" {
				file = filepath.Join("testdata", name+".csv")
			} else if o.State == "" {
				file = filepath.Join("testdata", name+"-default.ndjson")
			}
			got := write(t, f, o)
			if again := write(t, f, o); again != got {
				t.Errorf("%s: a second export of the same data differs", file)
			}
			golden(t, file, got)
		}
	}
}

// golden compares with a file of testdata.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// rowsOf decodes an NDJSON export.
func rowsOf(t *testing.T, f *fixture, o Options) []map[string]any {
	t.Helper()
	var rows []map[string]any
	for line := range strings.Lines(write(t, f, o)) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%s: %v in %s", o.Name, err, line)
		}
		if len(row) != len(Columns(o.Name)) {
			t.Fatalf("%s: %d columns in a row of %d", o.Name, len(row), len(Columns(o.Name)))
		}
		rows = append(rows, row)
	}
	return rows
}

// TestContract compares the columns with the contract's, and their order in the file.
func TestContract(t *testing.T) {
	for name, want := range map[string]string{
		"devices":         "device_name° device_id° display_name fqdn os_name os_version os_build aad_device_id tenant_ids machine_ids connectors tags device_group health_status onboarding_status risk_score exposure_level device_value excluded first_seen last_seen assessed_at in_scope scope_reason open_critical open_high open_medium open_low",
		"machines":        "tenant_id° machine_id° device_id connectors in_scope scope_reason out_of_scope_since assessed_at …",
		"software":        "tenant_id° machine_id° vendor° name° version° origin° state first_seen last_confirmed ended_at end_of_support_status end_of_support_date disk_paths registry_paths",
		"findings":        "tenant_id° machine_id° vendor° name° version° cve° severity cvss exploitability state first_seen last_confirmed fixed_at reopened recommended_update recommended_update_id recommended_update_url recommendation disk_paths registry_paths",
		"configuration":   "tenant_id° machine_id° configuration_id° category subcategory impact is_compliant is_applicable timestamp last_confirmed",
		"vulnerabilities": "cve° name description severity cvss cvss_vector epss published_on updated_on public_exploit exploit_verified exploit_in_kit devices_open",
		"history":         "tenant_id° machine_id° at° attribute° old new",
		"totals":          "day° organisation° severity° platform° device_group° open opened fixed reopened entered_scope left_scope",
		"runs":            "id° connector server trigger state queued_at started_at finished_at error_code api_calls throttled_seconds bytes …",
		"audit":           "at° id° actor action object before after address",
	} {
		d := exports[name]
		var got []string
		for _, c := range d.columns {
			if c.sorted {
				c.name += "°"
			}
			got = append(got, c.name)
		}
		fields := strings.Fields(want)
		if rest, open := strings.CutSuffix(want, " …"); open {
			fields = strings.Fields(rest)
			got = got[:len(fields)]
		}
		if diff := cmp.Diff(fields, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if len(order) != len(exports) {
		t.Error("an export is missing from Names")
	}
	if c := Columns("machines"); !slices.Contains(c, "Network.TCPIP.BoundAdapter") || !slices.Contains(c, "Security.Antivirus.Mode") || slices.ContainsFunc(c, func(s string) bool { return strings.Contains(s, "[]") }) {
		t.Errorf("machine columns: %q", c)
	}
}

// TestOrder checks the order marks against the rows: bytewise, null first.
func TestOrder(t *testing.T) {
	f := filled(t)
	for _, name := range written {
		rows := rowsOf(t, f, Options{Name: name, State: "all", Scope: "all"})
		if len(rows) < 2 {
			t.Errorf("%s: %d rows prove no order", name, len(rows))
		}
		key := func(row map[string]any) []string {
			var k []string
			for _, c := range exports[name].columns {
				if !c.sorted {
					continue
				}
				switch v := row[c.name].(type) {
				case nil:
					k = append(k, "")
				case float64:
					k = append(k, fmt.Sprintf("+%020.0f", v))
				case string:
					k = append(k, "+"+v)
				}
			}
			return k
		}
		for i := 1; i < len(rows); i++ {
			if slices.Compare(key(rows[i-1]), key(rows[i])) >= 0 {
				t.Errorf("%s: %q before %q", name, key(rows[i-1]), key(rows[i]))
			}
		}
	}
}

// TestCSV reads the files back with another reader and compares them with NDJSON.
func TestCSV(t *testing.T) {
	f := filled(t)
	for _, name := range written {
		o := Options{Name: name, State: "all", Scope: "all"}
		rows := rowsOf(t, f, o)
		o.Format = "csv"
		raw := write(t, f, o)
		if strings.Count(raw, "\r\n") < len(rows)+1 {
			t.Errorf("%s: lines do not end with CRLF", name)
		}
		records, err := csv.NewReader(strings.NewReader(raw)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(records) != len(rows)+1 {
			t.Fatalf("%s: %d records for %d rows", name, len(records), len(rows))
		}
		for i, row := range rows {
			for c, column := range records[0] {
				var want string
				switch v := row[column].(type) {
				case nil:
				case string:
					want = v
				default:
					var b bytes.Buffer
					e := json.NewEncoder(&b)
					e.SetEscapeHTML(false)
					if err := e.Encode(v); err != nil {
						t.Fatal(err)
					}
					want = strings.TrimSpace(b.String())
				}
				if got := records[i+1][c]; got != want {
					t.Errorf("%s.%s: %q, want %q", name, column, got, want)
				}
			}
		}
	}
}

func TestForSpreadsheet(t *testing.T) {
	w := &csvWriter{guard: true}
	for in, want := range map[string]string{"=1+1": "'=1+1", "+1": "'+1", "-2": "'-2", "@x": "'@x", "\tx": "'\tx", "\rx": "\"'\rx\"", "a=1": "a=1", "": "", `=a"b`: `"'=a""b"`} {
		if got := string(w.cell(nil, []byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	w.guard = false
	if got := string(w.cell(nil, []byte("=1+1"))); got != "=1+1" {
		t.Errorf("unasked: %q", got)
	}
}

func TestFilters(t *testing.T) {
	f := filled(t)
	keys := func(o Options, columns ...string) string {
		var all []string
		for _, row := range rowsOf(t, f, o) {
			var k []string
			for _, c := range columns {
				k = append(k, fmt.Sprint(row[c]))
			}
			all = append(all, strings.Join(k, " "))
		}
		return strings.Join(all, "; ")
	}
	for _, c := range []struct {
		options Options
		columns []string
		want    string
	}{
		{Options{Name: "machines"}, []string{"machine_id", "device_id"}, "m1 d-1; m3 d-3; m1 d-0"},
		{Options{Name: "machines", Scope: "out"}, []string{"machine_id", "scope_reason"}, "m0 superseded; m2 stale"},
		{Options{Name: "machines", Connectors: []string{"SOUTH"}}, []string{"tenant_id", "machine_id"}, tenantB + " m1"},
		{Options{Name: "machines", Connectors: []string{"north two"}, Scope: "all"}, []string{"machine_id", "connectors", "in_scope", "scope_reason", "out_of_scope_since"}, "m1 [north two] false tag 2026-03-02T06:00:00Z"},
		{Options{Name: "machines", Connectors: []string{"north two", "North"}, Scope: "all"}, []string{"machine_id", "in_scope"}, "m0 false; m1 true; m2 false; m3 true"},
		{Options{Name: "machines", Tenants: []string{strings.ToUpper(tenantB)}}, []string{"device_id"}, "d-0"},
		{Options{Name: "findings"}, []string{"machine_id", "cve"}, "m1 TVM-2026-0001; m1 CVE-2026-0001; m1 CVE-2026-0002; m1 CVE-2026-0001"},
		{Options{Name: "findings", State: "fixed"}, []string{"cve", "last_confirmed", "fixed_at"}, "CVE-2025-9999 2026-02-27T06:00:00Z 2026-02-28T06:00:00Z"},
		{Options{Name: "findings", Scope: "out", State: "all"}, []string{"machine_id", "cve"}, "m0 CVE-2026-0002; m2 CVE-2020-0007"},
		{Options{Name: "software"}, []string{"name", "version", "origin", "state"}, "reader 1.2.3 inventory installed; reader 1.2.3 vulnerability rows installed"},
		{Options{Name: "software", State: "fixed"}, []string{"name", "version", "state", "ended_at"}, `=cmd 1,"2" no_longer_reported 2026-02-24T06:00:00Z; reader 1.2.2 removed 2026-02-26T06:00:00Z`},
		{Options{Name: "configuration"}, []string{"configuration_id", "timestamp", "last_confirmed"}, "scid-10 2026-03-01T02:59:00Z 2026-03-01T03:00:00Z; scid-20 2026-03-01T03:00:00Z 2026-03-01T03:00:00Z; scid-30 2026-03-01T03:00:00Z 2026-03-01T03:00:00Z"},
		{Options{Name: "vulnerabilities"}, []string{"cve", "devices_open"}, "CVE-2026-0001 2; CVE-2026-0002 1; TVM-2026-0001 1"},
		{Options{Name: "vulnerabilities", State: "fixed"}, []string{"cve", "devices_open"}, "CVE-2025-9999 0"},
		{Options{Name: "vulnerabilities", Scope: "out"}, []string{"cve", "devices_open"}, "CVE-2020-0007 0; CVE-2026-0002 1"},
		{Options{Name: "vulnerabilities", Tenants: []string{tenantB}}, []string{"cve", "devices_open"}, "CVE-2026-0001 1"},
		{Options{Name: "devices"}, []string{"device_name", "device_id"}, "<nil> d-3; SRV-1 d-0; SRV-1 d-1"},
		{Options{Name: "devices", Scope: "out"}, []string{"device_name", "scope_reason", "open_critical", "assessed_at"}, "GONE stale <nil> 2026-01-24T06:00:00Z"},
		{Options{Name: "devices", Connectors: []string{"north two"}, Scope: "all"}, []string{"device_id", "machine_ids", "in_scope"}, "d-1 [m1] false"},
		{Options{Name: "history", Connectors: []string{"South"}}, []string{"attribute"}, ""},
		{Options{Name: "runs", Connectors: []string{"south"}}, []string{"id", "state"}, "3 succeeded; 4 queued"},
		{Options{Name: "runs", Tenants: []string{tenantA}}, []string{"id", "error_code"}, "1 <nil>; 2 no_licence"},
	} {
		if got := keys(c.options, c.columns...); got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.options, got, c.want)
		}
	}
}

// TestDevice: attributes come from the newest machine that has them, findings once.
func TestDevice(t *testing.T) {
	f := filled(t)
	rows := rowsOf(t, f, Options{Name: "devices", Tenants: []string{tenantA}})
	got := rows[1]
	want := map[string]any{
		"device_id": "d-1", "device_name": "SRV-1", "device_group": "Lab", "first_seen": "2025-12-01T06:00:00Z", "last_seen": "2026-03-01T06:00:00.25Z",
		"assessed_at": "2026-03-01T06:00:00Z", "open_critical": 1.0, "open_high": 1.0, "open_medium": 0.0, "open_low": 1.0, "in_scope": true, "scope_reason": nil,
	}
	for column, v := range want {
		if got[column] != v {
			t.Errorf("%s is %v, want %v", column, got[column], v)
		}
	}
	if diff := cmp.Diff([]any{"m0", "m1"}, got["machine_ids"]); diff != "" {
		t.Error(diff)
	}
	if never := rows[0]; never["device_id"] != "d-3" || never["open_critical"] != nil || never["assessed_at"] != nil {
		t.Errorf("a device that nobody has judged: %v", never)
	}
}

func TestPlace(t *testing.T) {
	at := func(reason muster.Reason, n int) store.ScopedBy { return store.ScopedBy{Reason: reason, Since: day(n)} }
	for name, c := range map[string]struct {
		scopes []store.ScopedBy
		in     bool
		reason muster.Reason
		since  time.Time
	}{
		"nobody":               {nil, false, "", time.Time{}},
		"one in":               {[]store.ScopedBy{at("", 1)}, true, "", time.Time{}},
		"one of two in":        {[]store.ScopedBy{at(muster.OutTag, 5), at("", 1)}, true, "", time.Time{}},
		"the last to let go":   {[]store.ScopedBy{at(muster.OutTag, 1), at(muster.OutStale, 4)}, false, muster.OutStale, day(4)},
		"at the same time":     {[]store.ScopedBy{at(muster.OutTag, 4), at(muster.OutStale, 4)}, false, muster.OutStale, day(4)},
		"merged since":         {[]store.ScopedBy{at("", 1), at(muster.OutMerged, 3)}, false, muster.OutMerged, day(3)},
		"merged, then not":     {[]store.ScopedBy{at("", 4), at(muster.OutMerged, 3)}, true, "", time.Time{}},
		"superseded and stale": {[]store.ScopedBy{at(muster.OutSuperseded, 3), at(muster.OutStale, 9)}, false, muster.OutStale, day(9)},
	} {
		p := picked{ListedMachine: store.ListedMachine{Scopes: c.scopes}}
		p.place()
		if p.inScope != c.in || p.reason != c.reason || !p.since.Equal(c.since) {
			t.Errorf("%s: %v %q %v", name, p.inScope, p.reason, p.since)
		}
	}
}

func TestRefused(t *testing.T) {
	f := filled(t)
	for code, o := range map[string]Options{
		"invalid_export":          {Name: "everything"},
		"invalid_format":          {Name: "findings", Format: "xlsx"},
		"invalid_state":           {Name: "findings", State: "closed"},
		"invalid_scope":           {Name: "findings", Scope: "inside"},
		"invalid_connector":       {Name: "findings", Connectors: []string{"nobody"}},
		"invalid_tenant":          {Name: "findings", Tenants: []string{"nowhere"}},
		"invalid_for_spreadsheet": {Name: "findings", ForSpreadsheet: true},
	} {
		var b bytes.Buffer
		_, err := Write(f.ctx, f, &b, o)
		if e := muster.AsError(err); e == nil || e.Code != code || e.Advice == "" || !errors.Is(err, muster.ErrInvalid) || b.Len() > 0 {
			t.Errorf("%+v: %v, %d bytes", o, err, b.Len())
		}
	}
	for _, o := range []Options{{Name: "totals", Connectors: []string{"North"}}} {
		var b bytes.Buffer
		if _, err := Write(f.ctx, f, &b, o); muster.AsError(err).Code != "invalid_connector" || b.Len() > 0 {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for _, name := range []string{"audit"} {
		_, err := Write(f.ctx, f, &bytes.Buffer{}, Options{Name: name})
		if e := muster.AsError(err); e == nil || e.Code != "invalid_export" || !strings.Contains(e.Message, "not in this version") || len(Columns(name)) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEmpty: no data is columns or nothing, never an error.
func TestEmpty(t *testing.T) {
	f := open(t)
	for _, name := range written {
		if got := write(t, f, Options{Name: name}); got != "" {
			t.Errorf("%s: %q", name, got)
		}
		if got := write(t, f, Options{Name: name, Format: "csv"}); got != strings.Join(Columns(name), ",")+"\r\n" {
			t.Errorf("%s: %q", name, got)
		}
		columns, rows := readParquet(t, []byte(write(t, f, Options{Name: name, Format: "parquet"})))
		if len(rows) > 0 || !slices.Equal(columns, Columns(name)) {
			t.Errorf("%s: %d rows of %q", name, len(rows), columns)
		}
	}
}

// gauge is a reader of the database and a taker of bytes that sees how they interleave.
type gauge struct {
	Stores
	reads, atFirstByte int
	fail               error
}

func (g *gauge) RowsOf(ctx context.Context, kind store.ItemKind, d muster.Dataset, machines []int64, each func(store.Item)) (map[int64]time.Time, error) {
	g.reads++
	return g.Stores.RowsOf(ctx, kind, d, machines, each)
}

func (g *gauge) Write(p []byte) (int, error) {
	if g.atFirstByte == 0 {
		g.atFirstByte = g.reads
	}
	return len(p), g.fail
}

// TestStreams: rows leave while machines are still to be read, and a reader that has
// gone ends the work.
func TestStreams(t *testing.T) {
	f := open(t)
	run := f.run("North", tenantA, day(0))
	const machines = 5 * block
	f.many(run, machines, 20, 100)

	g := &gauge{Stores: f}
	n, err := Write(f.ctx, g, g, Options{Name: "findings"})
	f.ok(err)
	if n != machines*20 || g.reads != 5 || g.atFirstByte != 1 {
		t.Errorf("%d rows; %d of %d reads before the first byte", n, g.atFirstByte, g.reads)
	}
	g = &gauge{Stores: f, fail: errors.New("gone")}
	if _, err := Write(f.ctx, g, g, Options{Name: "findings"}); !errors.Is(err, g.fail) || g.reads != 1 {
		t.Errorf("%v after %d reads", err, g.reads)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if _, err := Write(ctx, f, g, Options{Name: "findings"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
