package cli

import (
	"encoding/json"
	"fmt"
	"testing"

	"muster/internal/defender/emulator"
	"muster/internal/store/postgres/pgtest"
)

// TestGatheringEqualsTruth gathers emulated tenants over nine days, by every kind of
// filter, and compares all exports with what the world itself says a correct gathering
// holds.
func TestGatheringEqualsTruth(t *testing.T) {
	filters := []struct {
		name   string
		flags  []string
		expect emulator.Gathering
		roles  []string
		// database makes one; nil = an SQLite file
		database func(testing.TB) string
	}{
		{name: "no filter"},
		{name: "stale 30", flags: []string{"--stale-days", "30"}, expect: emulator.Gathering{StaleDays: 30}},
		{name: "one tag", flags: []string{"--tag", "Servers"}, expect: emulator.Gathering{Tags: []string{"Servers"}}},
		{name: "any of two tags", flags: []string{"--tag", "Servers", "--tag", "VIP"}, expect: emulator.Gathering{Tags: []string{"Servers", "VIP"}}},
		{name: "all of two tags", flags: []string{"--tag", "Servers", "--tag", "VIP", "--tags-match", "all"}, expect: emulator.Gathering{Tags: []string{"Servers", "VIP"}, AllTags: true}},
		{name: "tag in other case", flags: []string{"--tag", " sERVERS "}, expect: emulator.Gathering{Tags: []string{"sERVERS"}}},
		{name: "stale and tag", flags: []string{"--stale-days", "30", "--tag", "VIP"}, expect: emulator.Gathering{StaleDays: 30, Tags: []string{"VIP"}}},
		{name: "no filter, on PostgreSQL", database: pgtest.Database},
		{
			name: "onboarded only, software from vulnerability rows", flags: []string{"--onboarded-only"}, expect: emulator.Gathering{OnboardedOnly: true},
			roles: []string{"Machine.Read.All", "Vulnerability.Read.All"},
		},
		{
			name: "stale and tag, software from vulnerability rows, on PostgreSQL", flags: []string{"--stale-days", "30", "--tag", "VIP"}, expect: emulator.Gathering{StaleDays: 30, Tags: []string{"VIP"}},
			roles: []string{"Machine.Read.All", "Vulnerability.Read.All"}, database: pgtest.Database,
		},
	}
	for i, filter := range filters {
		t.Run(filter.name, func(t *testing.T) {
			t.Parallel()
			devices := 80
			switch {
			case soaking():
				devices = 1000
			case i == 0:
				devices = 250
			}
			f := newFarSide(t, emulator.Options{Devices: devices, Seed: uint64(11 + i), NullCVERows: i%2 == 1}, func(o *emulator.ServerOptions) { o.Roles = filter.roles })
			db := tempDatabase(t)
			if filter.database != nil {
				db = filter.database(t)
				t.Cleanup(func() { verified(t, db) })
			}
			truth := emulator.NewTruth(f.world)
			for _, day := range []int{0, 1, 2, 9} {
				f.at(day)
				g := filter.expect
				g.At, g.Day, g.SoftwareRole = f.now, day, filter.roles == nil
				truth.Gather(f.world.Day(day), g)
				f.sync(db, filter.flags...)
				compareWithTruth(t, f, db, truth, fmt.Sprintf("day %d", day))
				again := f.sync(db, append([]string{"--full"}, filter.flags...)...)
				for name, d := range again.Datasets {
					if d.New+d.Changed+d.Closed+d.Reopened != 0 {
						t.Errorf("day %d again: %s reports %+v", day, name, d)
					}
				}
				truth.Gather(f.world.Day(day), g)
				compareWithTruth(t, f, db, truth, fmt.Sprintf("day %d again", day))
				if t.Failed() {
					return
				}
			}
		})
	}
}

func compareWithTruth(t *testing.T, f *farSide, db string, truth *emulator.Truth, when string) {
	t.Helper()
	for _, c := range []struct {
		what string
		want []map[string]any
	}{
		{"machines", truth.Machines()},
		{"devices", truth.Devices()},
		{"findings", truth.Findings()},
		{"software", truth.Software()},
		{"configuration", truth.Configuration()},
		{"vulnerabilities", truth.Vulnerabilities()},
		{"totals", truth.Totals()},
	} {
		compareRows(t, when+", "+c.what, f.export(db, c.what, "--state", "all", "--scope", "all"), c.want)
	}
}

// keys tell the rows of an export apart, but for devices, whose own id is Muster's.
var keys = []string{"tenant_id", "machine_id", "machine_ids", "vendor", "name", "version", "origin", "cve", "configuration_id"}

// totalKeys tell the rows of daily totals apart.
var totalKeys = []string{"day", "organisation", "severity", "platform", "device_group"}

// compareRows compares two sets of rows and shows the first differences, column by column.
func compareRows(t *testing.T, what string, got, want []map[string]any) {
	t.Helper()
	if len(want) == 0 {
		t.Errorf("%s: the truth is empty, which proves nothing", what)
	}
	have, expected := byKey(t, got), byKey(t, want)
	if len(have) != len(got) || len(expected) != len(want) {
		t.Errorf("%s: rows with the same key: %d of %d, in the truth %d of %d", what, len(have), len(got), len(expected), len(want))
	}
	different := map[string]int{} // by column, or what is wrong with the row as a whole
	example := map[string]string{}
	note := func(column, text string) {
		if different[column]++; different[column] == 1 {
			example[column] = text
		}
	}
	for key, row := range have {
		truth, found := expected[key]
		if !found {
			note("row that should not be", key)
			continue
		}
		for column := range truth {
			if _, there := row[column]; !there {
				note(column+" is not a column", key)
			}
		}
		for column, value := range row {
			if a, b := jsonText(t, value), jsonText(t, truth[column]); column != "device_id" && a != b {
				note(column, fmt.Sprintf("%s, the truth is %s, of %s", a, b, key))
			}
		}
	}
	for key := range expected {
		if _, found := have[key]; !found {
			note("row that is missing", key)
		}
	}
	for column, n := range different {
		t.Errorf("%s: %s: %d of %d rows differ, e.g. %.600s", what, column, n, len(want), example[column])
	}
}

func byKey(t *testing.T, rows []map[string]any) map[string]map[string]any {
	t.Helper()
	out := make(map[string]map[string]any, len(rows))
	for _, row := range rows {
		var key []any
		names := keys
		if row["day"] != nil {
			names = totalKeys
		}
		for _, k := range names {
			if value, there := row[k]; there {
				key = append(key, value)
			}
		}
		out[jsonText(t, key)] = row
	}
	return out
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
