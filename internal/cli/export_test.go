package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"muster/internal/defender/emulator"
)

// exportColumns are the contract's, in its order.
var exportColumns = map[string]string{
	"devices": "device_name device_id display_name fqdn os_name os_version os_build aad_device_id tenant_ids machine_ids connectors tags device_group health_status " +
		"onboarding_status risk_score exposure_level device_value excluded first_seen last_seen assessed_at in_scope scope_reason open_critical open_high open_medium open_low",
	"software": "tenant_id machine_id vendor name version origin state first_seen last_confirmed ended_at end_of_support_status end_of_support_date disk_paths registry_paths",
	"findings": "tenant_id machine_id vendor name version cve severity cvss exploitability state first_seen last_confirmed fixed_at reopened recommended_update " +
		"recommended_update_id recommended_update_url recommendation disk_paths registry_paths",
	"configuration":   "tenant_id machine_id configuration_id category subcategory impact is_compliant is_applicable timestamp last_confirmed",
	"vulnerabilities": "cve name description severity cvss cvss_vector epss published_on updated_on public_exploit exploit_verified exploit_in_kit devices_open",
	"history":         "tenant_id machine_id at attribute old new",
}

// TestExportForms: every export has the contract's columns, the same rows as NDJSON and
// as CSV, to standard output and to a file, and the same bytes twice.
func TestExportForms(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 30, Seed: 81})
	db := tempDatabase(t)
	f.sync(db)
	f.at(1)
	f.sync(db)
	for _, what := range []string{"devices", "machines", "software", "findings", "configuration", "vulnerabilities", "history", "totals", "runs"} {
		args := []string{"export", what, "--db", "sqlite:" + db, "--state", "all", "--scope", "all"}
		_, lines, _ := f.muster(args...)
		if _, again, _ := f.muster(args...); lines == "" || again != lines {
			t.Errorf("%s: two exports of the same data differ, or are empty", what)
		}
		file := filepath.Join(t.TempDir(), "out")
		code, out, errs := f.muster(append(args, "-o", file)...)
		if written, err := os.ReadFile(file); err != nil || code != exitDone || out != "" || string(written) != lines {
			t.Errorf("%s: -o ends with %d, prints %q and writes %d bytes of %d (%v)", what, code, out, len(written), len(lines), err)
		}
		if !strings.HasSuffix(errs, " rows of "+what+" written to "+file+"\n") {
			t.Errorf("%s: -o says %q", what, errs)
		}
		_, text, _ := f.muster(append(args, "--format", "csv")...)
		table, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if want, fixed := exportColumns[what]; fixed && strings.Join(table[0], " ") != want {
			t.Errorf("%s has the columns %v", what, table[0])
		}
		sameRows(t, what, lines, table)
		sameParquet(t, f, append(args, "--format", "parquet"), lines)
	}
}

// sameParquet looks at an export as Parquet: as many rows as NDJSON, the same columns, and
// the same bytes to standard output and to a file.
func sameParquet(t *testing.T, f *farSide, args []string, lines string) {
	t.Helper()
	what, file := args[1], filepath.Join(t.TempDir(), "out.parquet")
	_, out, _ := f.muster(args...)
	code, _, errs := f.muster(append(args, "-o", file)...)
	if written, err := os.ReadFile(file); code != exitDone || err != nil || string(written) != out {
		t.Fatalf("%s: -o ends with %d (%s) and differs from standard output (%v)", what, code, errs, err)
	}
	read, err := parquet.OpenFile(strings.NewReader(out), int64(len(out)))
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, field := range read.Schema().Fields() {
		columns = append(columns, field.Name())
	}
	if _, order := orderedRow(t, json.NewDecoder(strings.NewReader(lines))); !slices.Equal(columns, order) {
		t.Errorf("%s: NDJSON has the columns %v, Parquet %v", what, order, columns)
	}
	if want := strings.Count(lines, "\n"); read.NumRows() != int64(want) {
		t.Errorf("%s: %d rows as Parquet, %d as NDJSON", what, read.NumRows(), want)
	}
}

// TestExportParquetOnTerminal: Parquet is refused where somebody looks, and not elsewhere.
func TestExportParquetOnTerminal(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 3, Seed: 86})
	db := tempDatabase(t)
	f.sync(db)
	const terminal = "/dev/ptmx" // a new one each time it is opened
	screen, err := os.OpenFile(terminal, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	for _, c := range []struct {
		args    []string
		refused bool
	}{
		{[]string{"--format", "parquet"}, true},
		{[]string{"--format", "parquet", "-o", "-"}, true},
		{[]string{"--format", "parquet", "-o", terminal}, true},
		{[]string{"--format", "parquet", "-o", os.DevNull}, false},
		{[]string{"--format", "csv"}, false},
	} {
		var errs bytes.Buffer
		a := App{Args: append([]string{"export", "runs", "--db", "sqlite:" + db}, c.args...), Stdout: screen, Stderr: &errs, Getenv: func(string) string { return "" }, Now: func() time.Time { return f.now }}
		code := a.Run(t.Context())
		if want := map[bool]int{true: exitUsage, false: exitDone}[c.refused]; code != want {
			t.Errorf("%v: exit code %d, want %d: %s", c.args, code, want, &errs)
		}
		if c.refused {
			f.expectLine(badInput{code: "invalid_output", exit: exitUsage, says: "terminal"}, errs.String())
		}
	}
}

// sameRows compares NDJSON with CSV, cell by cell.
func sameRows(t *testing.T, what, lines string, table [][]string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(lines))
	for n, record := range table[1:] {
		row, order := orderedRow(t, d)
		if !slices.Equal(order, table[0]) {
			t.Fatalf("%s, row %d: NDJSON has the columns %v, CSV %v", what, n, order, table[0])
		}
		for i, cell := range record {
			want := string(row[table[0][i]])
			if text := ""; want == "null" {
				want = ""
			} else if json.Unmarshal([]byte(want), &text) == nil {
				want = text
			}
			if cell != want {
				t.Fatalf("%s, row %d: %s is %q as CSV and %q as NDJSON", what, n, table[0][i], cell, want)
			}
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("%s: NDJSON has more rows than CSV", what)
	}
}

// orderedRow reads an object and the order of its members.
func orderedRow(t *testing.T, d *json.Decoder) (map[string]json.RawMessage, []string) {
	t.Helper()
	var raw json.RawMessage
	row := map[string]json.RawMessage{}
	if err := errors.Join(d.Decode(&raw), json.Unmarshal(raw, &row)); err != nil {
		t.Fatal(err)
	}
	var order []string
	members := json.NewDecoder(bytes.NewReader(raw))
	for _, err := members.Token(); err == nil && members.More(); { // after the brace
		name, err := members.Token()
		var value json.RawMessage
		if err = errors.Join(err, members.Decode(&value)); err != nil {
			t.Fatal(err)
		}
		order = append(order, name.(string))
	}
	return row, order
}

// TestExportFilters: connectors, tenants, scope and state pick rows; a name that nobody
// has is an error, not an empty answer.
func TestExportFilters(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 30, Seed: 82})
	other := newFarSide(t, emulator.Options{Devices: 10, Seed: 83})
	db := tempDatabase(t)
	f.sync(db, "--stale-days", "30")
	other.sync(db, "--connector", "Other tenant")
	count := func(what string, flags ...string) int { return len(f.export(db, what, flags...)) }
	for _, c := range []struct {
		name      string
		got, want int
	}{
		{"both tenants", count("machines", "--scope", "all"), 40},
		{"one tenant", count("machines", "--scope", "all", "--tenant", other.server.TenantID()), 10},
		{"both by name", count("machines", "--scope", "all", "--tenant", other.server.TenantID(), "--tenant", strings.ToUpper(f.server.TenantID())), 40},
		{"one connector", count("machines", "--scope", "all", "--connector", "OTHER tenant"), 10},
		{"in and out", count("machines", "--scope", "in") + count("machines", "--scope", "out"), 40},
		{"open and fixed", count("findings", "--state", "open") + count("findings", "--state", "fixed"), count("findings", "--state", "all")},
	} {
		if c.got != c.want || c.got == 0 {
			t.Errorf("%s: %d rows, want %d", c.name, c.got, c.want)
		}
	}
	if in, all := count("machines"), count("machines", "--scope", "all"); in == all {
		t.Errorf("%d machines of %d are in scope", in, all)
	}
}

// TestExportToDevice: a pipe is written to, not replaced by a file.
func TestExportToDevice(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 3, Seed: 85})
	db, pipe := tempDatabase(t), filepath.Join(t.TempDir(), "pipe")
	f.sync(db)
	if err := os.Symlink(os.DevNull, pipe); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := f.muster("export", "machines", "--db", "sqlite:"+db, "-o", pipe); code != exitDone {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if after, err := os.Lstat(pipe); err != nil || after.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link to a device has become %v (%v)", after.Mode(), err)
	}
}

// TestExportBadInput: what an export cannot do is told like everything else, with nothing
// on standard output and no file.
func TestExportBadInput(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 3, Seed: 84})
	db := tempDatabase(t)
	f.sync(db)
	folder := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		want badInput
	}{
		{"unknown export", []string{"invoices", "--db", "sqlite:" + db}, badInput{code: "usage", exit: exitUsage, says: "invoices"}},
		{"no export", []string{"--db", "sqlite:" + db}, badInput{code: "usage", exit: exitUsage}},
		{"no database", []string{"machines"}, badInput{code: "usage", exit: exitUsage, says: "--db"}},
		{"database not there", []string{"machines", "--db", "sqlite:" + filepath.Join(folder, "none.db")}, badInput{code: "invalid_db", exit: exitUsage, says: "no database"}},
		{"PostgreSQL not there", []string{"machines", "--db", postgresURL("127.0.0.1:1")}, badInput{code: "database_unreachable", exit: exitFailed, says: "127.0.0.1:1"}},
		{"unknown format", []string{"machines", "--db", "sqlite:" + db, "--format", "xlsx"}, badInput{code: "invalid_format", exit: exitUsage, says: "xlsx"}},
		{"unknown state", []string{"machines", "--db", "sqlite:" + db, "--state", "closed"}, badInput{code: "invalid_state", exit: exitUsage, says: "closed"}},
		{"unknown scope", []string{"machines", "--db", "sqlite:" + db, "--scope", "some"}, badInput{code: "invalid_scope", exit: exitUsage, says: "some"}},
		{"unknown connector", []string{"machines", "--db", "sqlite:" + db, "--connector", "nobody"}, badInput{code: "invalid_connector", exit: exitUsage, says: `"nobody"`}},
		{"unknown tenant", []string{"machines", "--db", "sqlite:" + db, "--tenant", unknownID}, badInput{code: "invalid_tenant", exit: exitUsage, says: unknownID}},
		{"not recorded yet", []string{"audit", "--db", "sqlite:" + db}, badInput{code: "invalid_export", exit: exitUsage, says: "audit"}},
		{"spreadsheet of NDJSON", []string{"machines", "--db", "sqlite:" + db, "--for-spreadsheet"}, badInput{code: "invalid_for_spreadsheet", exit: exitUsage}},
		{"into no folder", []string{"machines", "--db", "sqlite:" + db, "-o", filepath.Join(folder, "none", "out")}, badInput{code: "invalid_output", exit: exitUsage, says: "cannot be written"}},
		{"onto a folder", []string{"machines", "--db", "sqlite:" + db, "-o", folder}, badInput{code: "invalid_output", exit: exitUsage, says: "cannot be written"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := f.on(t)
			code, out, errs := g.muster(append([]string{"export"}, c.args...)...)
			if code != c.want.exit || out != "" {
				t.Errorf("exit code %d, want %d; standard output %q", code, c.want.exit, out)
			}
			g.expectLine(c.want, errs)
			leaksNothing(t, "standard error", errs)
			left, err := os.ReadDir(folder)
			if err != nil || len(left) > 0 {
				t.Errorf("%v was left behind (%v)", left, err)
			}
		})
	}
}
