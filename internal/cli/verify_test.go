package cli

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"muster/internal/defender/emulator"
	"muster/internal/verify"
)

// damages are statements that each make one kind of thing wrong; the kinds named besides
// cannot but go with it.
var damages = []struct {
	kind, statement string
	besides         []string
}{
	{"digest", `UPDATE finding SET first_seen = first_seen - 1 WHERE closed_at IS NULL AND machine_id = (SELECT MIN(machine_id) FROM machine_dataset WHERE dataset = 'vulnerabilities' AND digest IS NOT NULL)`, nil},
	{"digest", `UPDATE machine_dataset SET digest = x'00' WHERE dataset = 'configuration' AND machine_id = (SELECT MIN(machine_id) FROM machine_dataset WHERE dataset = 'configuration')`, nil},
	{"digest", `DELETE FROM installed_software WHERE closed_at IS NULL AND machine_id = (SELECT MIN(machine_id) FROM machine_dataset WHERE dataset = 'software' AND digest IS NOT NULL)`, []string{"open_rows", "device_tally"}},
	{"open_rows", `UPDATE machine_dataset SET open_rows = open_rows + 1 WHERE dataset = 'vulnerabilities' AND machine_id = (SELECT MIN(machine_id) FROM finding)`, nil},
	{"last_confirmed", `UPDATE machine_dataset SET last_confirmed = NULL WHERE dataset = 'software' AND open_rows > 0`, nil},
	{"judgement", `UPDATE machine_dataset SET assessed_at = looked_at + 1 WHERE dataset = 'software' AND assessed_at IS NOT NULL`, nil},
	{"judgement", `UPDATE machine_dataset SET looked_at = NULL WHERE dataset = 'software' AND assessed_at IS NOT NULL`, nil},
	{"document", `UPDATE machine_dataset SET attributes = NULL WHERE dataset = 'antivirus'`, nil},
	{"unknown_machine", `INSERT INTO machine_scope VALUES (999999, 1, '', 1)`, nil},
	{"unknown_machine", `INSERT INTO machine_dataset (machine_id, dataset) VALUES (999999, 'software')`, nil},
	{"unknown_machine", `INSERT INTO attribute_change VALUES (999999, 1, 'DeviceName', NULL, '1', 1)`, nil},
	{"unknown_machine", `INSERT INTO configuration_result (machine_id, configuration_id, facts_id) VALUES (999999, 1, 1)`, nil},
	{"unknown_connector", `INSERT INTO machine_scope VALUES (1, 999999, '', 1)`, nil},
	{"unknown_tenant", `INSERT INTO dataset_state (tenant_id, dataset, rows_read, mapping_version) VALUES (999999, 'software', 0, '')`, nil},
	{"unknown_text", `DELETE FROM configuration WHERE id = (SELECT configuration_id FROM configuration_result LIMIT 1)`, nil},
	{"unknown_text", `DELETE FROM exposure WHERE id = (SELECT exposure_id FROM finding LIMIT 1)`, []string{"device_tally"}},
	{"unknown_text", `DELETE FROM software WHERE id = (SELECT software_id FROM installed_software LIMIT 1)`, nil},
	{"unknown_text", `DELETE FROM cve WHERE id = (SELECT cve_id FROM exposure WHERE cve_id <> 0 LIMIT 1)`, nil},
	{"unknown_facts", `DELETE FROM facts WHERE id = (SELECT facts_id FROM configuration_result WHERE facts_id NOT IN (SELECT facts_id FROM item_event WHERE facts_id IS NOT NULL) LIMIT 1)`, nil},
	{"unknown_evidence", `DELETE FROM evidence WHERE hash = (SELECT evidence FROM finding WHERE evidence IS NOT NULL LIMIT 1)`, nil},
	{"closed_row", `UPDATE finding SET confirmed = NULL WHERE closed_at IS NOT NULL`, nil},
	{"closed_row", `UPDATE finding SET confirmed = 1 WHERE closed_at IS NULL`, nil},
	{"event", `DELETE FROM item_event WHERE event = 'closed'`, nil},
	{"event", `UPDATE finding SET reopened = reopened + 1`, nil},
	{"event", `INSERT INTO item_event VALUES (1, 'finding', 999999, 1, 'closed', NULL)`, nil},
	{"event", `INSERT INTO item_event SELECT machine_id, 'finding', exposure_id, 1, 'closed', NULL FROM finding WHERE closed_at IS NULL AND reopened = 0 LIMIT 1`, nil},
	{"event", `UPDATE item_event SET facts_id = 999999 WHERE event = 'changed'`, nil},
	{"event", `UPDATE item_event SET event = 'vanished' WHERE event = 'changed'`, nil},
	{"device", `UPDATE machine SET device_id = NULL WHERE id = (SELECT MIN(id) FROM machine WHERE listed_at IS NOT NULL)`, nil},
	{"device", `INSERT INTO device (device_id) VALUES ('d-0')`, nil},
	{"counted", `UPDATE machine SET counted = 0 WHERE id = (SELECT MIN(machine_id) FROM configuration_result)`, []string{"device_count", "device_tally", "total"}},
	{"counted", `UPDATE machine SET device_group = 'x' WHERE id = (SELECT MIN(id) FROM machine WHERE counted = 0)`, nil},
	{"finding_class", `UPDATE facts SET class_id = (SELECT MIN(id) FROM finding_class WHERE id <> class_id) WHERE id = (SELECT facts_id FROM finding WHERE closed_at IS NULL LIMIT 1)`, nil},
	{"machine_count", `UPDATE machine_count SET findings = findings + 1 WHERE machine_id = (SELECT MIN(machine_id) FROM machine_count)`, nil},
	{"machine_count", `INSERT INTO machine_count SELECT MAX(machine_id), 999999, 1 FROM machine_count`, nil},
	{"device_count", `UPDATE device_count SET high = high + 1 WHERE device_id = (SELECT MIN(device_id) FROM device_count)`, nil},
	{"device_count", `DELETE FROM device_count WHERE device_id = (SELECT MIN(device_id) FROM device_count WHERE high > 0)`, nil},
	{"device_tally", `UPDATE device_tally SET devices = devices + 1 WHERE kind = 'cve'`, nil},
	{"device_tally", `DELETE FROM device_tally WHERE kind = 'exposed'`, nil},
	{"device_tally", `INSERT INTO tally_delta (tenant_id, deltas) VALUES (1, x'020102')`, nil},
	{"total", `UPDATE total SET open = open + 1 WHERE day = (SELECT MIN(day) FROM total)`, nil},
	{"total", `DELETE FROM total WHERE day = (SELECT MAX(day) FROM total) AND open > 0`, nil},
	{"total", `INSERT INTO total_delta (tenant_id, flows) VALUES (1, '[{"Organisation":"Default","Severity":"High","Opened":1}]')`, nil},
	{"total", `INSERT INTO total SELECT tenant_id, '2020-01-01', organisation, severity, platform, device_group, 0, 1, 1, 0, 0, 0 FROM total LIMIT 1`, nil},
	{"present", `UPDATE dataset_state SET present = x'ff' WHERE dataset = 'software'`, nil},
	{"run_state", `UPDATE run SET state = 'lost' WHERE id = 1`, nil},
	{"run_state", `UPDATE run SET finished_at = NULL WHERE id = 1`, nil},
	{"run_state", `UPDATE run SET tenant_id = NULL WHERE id = 1`, nil},
	{"run_state", `UPDATE run_dataset SET merged = 0 WHERE run_id = 1 AND dataset = 'software'`, nil},
	{"run_counts", `UPDATE run_dataset SET rows_new = rows_new + 1 WHERE run_id = 1 AND dataset = 'software'`, nil},
	{"unknown_run", `INSERT INTO run_rejected VALUES (999999, 'software', 1, '', '')`, nil},
	{"unknown_run", `INSERT INTO segment (run_id, dataset, records, chunks, created_at) VALUES (999999, 'software', 0, 0, 1)`, nil},
	{"leftover", `INSERT INTO segment (run_id, dataset, records, chunks, created_at) VALUES (1, 'software', 0, 0, 1)`, nil},
	{"leftover", `PRAGMA foreign_keys = 0; INSERT INTO run_part VALUES (1, 'software', 'a')`, nil},
	{"leftover", `INSERT INTO segment_chunk VALUES (999999, 0, 0, x'00')`, nil},
	{"segment", `UPDATE run SET scope = x'00' WHERE id = 1`, []string{"leftover"}},
	{"facts_hash", `UPDATE facts SET attributes = '{}' WHERE id = 1`, nil},
	{"evidence_hash", `UPDATE evidence SET disk_paths = '["x"]' WHERE hash = (SELECT MIN(hash) FROM evidence)`, nil},
}

// TestVerifyFindsDamage damages a database in every way and expects to be told of that alone.
func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 20, Seed: 71, NullCVERows: true})
	good := tempDatabase(t)
	for _, day := range []int{0, 1, 9} {
		f.at(day)
		f.sync(good)
	}
	told := map[string]bool{}
	for _, d := range damages {
		db := unverified(t, good)
		execute(t, db, d.statement)
		report := f.verify(t, db)
		var kinds []string
		for _, p := range report.Problems {
			kinds = append(kinds, p.Kind)
			told[p.Kind] = true
			if p.Count == 0 || len(p.Examples) == 0 || p.Meaning == "" {
				t.Errorf("%s: %+v", d.statement, p)
			}
		}
		want := append([]string{d.kind}, d.besides...)
		if report.OK || !sameTexts(kinds, want) {
			t.Errorf("%s is told as %v, want %v", d.statement, report.Problems, want)
		}
	}
	for _, m := range verify.Meanings {
		if !told[m.Kind] {
			t.Errorf("no damage was told as %s", m.Kind)
		}
	}
}

func sameTexts(a, b []string) bool {
	have := map[string]bool{}
	for _, s := range a {
		have[s] = true
	}
	for _, s := range b {
		if !have[s] {
			return false
		}
	}
	return len(a) == len(b)
}

// verify gives the report of muster verify --json, and holds the exit code to it.
func (f *farSide) verify(t *testing.T, db string) verify.Report {
	t.Helper()
	code, out, errs := f.muster("verify", "--db", "sqlite:"+db, "--json")
	var report verify.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || (code == exitDone) != report.OK || code != exitDone && code != exitFailed || errs != "" {
		t.Fatalf("verify ended with %d: %v, %s%s", code, err, out, errs)
	}
	return report
}

// TestVerifyStaged: what a run that is under way has staged is read to its end.
func TestVerifyStaged(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 3, Seed: 72})
	db := filepath.Join(t.TempDir(), "muster.db")
	h := f.hold(db, f.now)
	h.claim(t)
	pack := func(raw ...byte) string {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("x'%x'", w.EncodeAll(raw, nil))
	}
	good := pack(1, 1, 0, 0, 1, 1, 7) // two records of key 1
	for _, c := range []struct {
		data    string
		records int
		ok      bool
	}{{good, 2, true}, {good, 3, false}, {pack(1, 1, 5), 1, false}, {"x'00'", 1, false}} {
		execute(t, db, `DELETE FROM segment; DELETE FROM segment_chunk`)
		execute(t, db, fmt.Sprintf(`INSERT INTO segment (id, run_id, dataset, records, chunks, created_at) VALUES (1, 1, 'software', %d, 1, 1)`, c.records))
		execute(t, db, `INSERT INTO segment_chunk VALUES (1, 0, `+checksum(t, c.data)+`, `+c.data+`)`)
		if r := f.verify(t, db); r.OK != c.ok || r.Checked.Segments != 1 || !c.ok && r.Problems[0].Kind != "segment" {
			t.Errorf("%d records in %s: %+v", c.records, c.data, r)
		}
	}
	execute(t, db, `UPDATE segment SET records = 2`)
	execute(t, db, `UPDATE segment_chunk SET data = `+good+`, checksum = 1`)
	if r := f.verify(t, db); r.OK || r.Problems[0].Kind != "segment" {
		t.Errorf("a wrong checksum: %+v", r)
	}
}

// checksum is that of a chunk written as an SQL blob.
func checksum(t *testing.T, blob string) string {
	t.Helper()
	data, err := hex.DecodeString(blob[2 : len(blob)-1])
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

// TestVerifyPrints: one line for a database in which all agrees, one for each kind of
// problem, and the usual errors.
func TestVerifyPrints(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 5, Seed: 73})
	good := tempDatabase(t)
	f.sync(good, "--datasets", "machines")
	code, out, errs := f.muster("verify", "--db", "sqlite:"+good)
	if want := "5 machines, 0 rows, 0 digests, 0 facts, 0 evidences and 0 staged segments verified: all agree\n"; code != exitDone || out != want || errs != "" {
		t.Errorf("%d: %q%s, want %q", code, out, errs, want)
	}
	db := unverified(t, good)
	execute(t, db, `INSERT INTO machine_scope VALUES (999999, 1, '', 1)`)
	code, out, errs = f.muster("verify", "--db", "sqlite:"+db)
	if want := "1 unknown_machine: something hangs on a machine that does not exist; e.g. held_in machine_scope, machine_id 999999, connector_id 1\n"; code != exitFailed || !strings.HasPrefix(out, want) || errs != "" {
		t.Errorf("%d: %q%s", code, out, errs)
	}
	code, out, _ = f.muster("verify", "--db", "sqlite:"+db+"-none", "--json")
	if code != exitUsage || !strings.Contains(out, `"invalid_db"`) {
		t.Errorf("%d: %s", code, out)
	}
}
