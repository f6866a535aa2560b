package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"muster/internal/defender/emulator"
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
	}{
		{name: "no filter"},
		{name: "stale 30", flags: []string{"--stale-days", "30"}, expect: emulator.Gathering{StaleDays: 30}},
		{name: "one tag", flags: []string{"--tag", "Servers"}, expect: emulator.Gathering{Tags: []string{"Servers"}}},
		{name: "any of two tags", flags: []string{"--tag", "Servers", "--tag", "VIP"}, expect: emulator.Gathering{Tags: []string{"Servers", "VIP"}}},
		{name: "all of two tags", flags: []string{"--tag", "Servers", "--tag", "VIP", "--tags-match", "all"}, expect: emulator.Gathering{Tags: []string{"Servers", "VIP"}, AllTags: true}},
		{name: "tag in other case", flags: []string{"--tag", " sERVERS "}, expect: emulator.Gathering{Tags: []string{"sERVERS"}}},
		{name: "stale and tag", flags: []string{"--stale-days", "30", "--tag", "VIP"}, expect: emulator.Gathering{StaleDays: 30, Tags: []string{"VIP"}}},
		{name: "onboarded only, software from vulnerability rows", flags: []string{"--onboarded-only"}, expect: emulator.Gathering{OnboardedOnly: true},
			roles: []string{"Machine.Read.All", "Vulnerability.Read.All"}},
	}
	for i, filter := range filters {
		t.Run(filter.name, func(t *testing.T) {
			t.Parallel()
			devices := 150
			if i == 0 || soaking() {
				devices = 1000
			}
			f := newFarSide(t, emulator.Options{Devices: devices, Seed: uint64(11 + i), NullCVERows: i%2 == 1}, func(o *emulator.ServerOptions) { o.Roles = filter.roles })
			db := tempDatabase(t)
			var done []emulator.Gathering
			for _, day := range []int{0, 1, 2, 9} {
				f.at(day)
				g := filter.expect
				g.At, g.Day, g.SoftwareRole = f.now, day, filter.roles == nil
				done = append(done, g)
				f.sync(db, filter.flags...)
				compareWithTruth(t, f, db, f.world.Truth(done), fmt.Sprintf("day %d", day))
				again := f.sync(db, append([]string{"--full"}, filter.flags...)...)
				for name, d := range again.Datasets {
					if d.New+d.Changed+d.Closed+d.Reopened != 0 {
						t.Errorf("day %d again: %s reports %+v", day, name, d)
					}
				}
				done = append(done, g)
				compareWithTruth(t, f, db, f.world.Truth(done), fmt.Sprintf("day %d again", day))
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
		{"machines", truth.Machines()}, {"devices", truth.Devices()}, {"findings", truth.Findings()}, {"software", truth.Software()},
		{"configuration", truth.Configuration()}, {"vulnerabilities", truth.Vulnerabilities()},
	} {
		compareRows(t, when+", "+c.what, f.export(db, c.what, "--state", "all", "--scope", "all"), c.want)
	}
}

// compareRows compares two sets of rows and shows the first differences.
func compareRows(t *testing.T, what string, got, want []map[string]any) {
	t.Helper()
	have, expected := lines(t, got), lines(t, want)
	if len(want) == 0 {
		t.Errorf("%s: the truth is empty, which proves nothing", what)
	}
	if slices.Equal(have, expected) {
		return
	}
	t.Errorf("%s: %d rows, the truth has %d", what, len(have), len(expected))
	show := func(kind string, rows, other []string) {
		shown := 0
		for _, row := range rows {
			if _, found := slices.BinarySearch(other, row); !found && shown < 3 {
				t.Logf("  %s: %.1500s", kind, row)
				shown++
			}
		}
	}
	show("exported", have, expected)
	show("truth", expected, have)
}

// lines are rows as sorted JSON texts, without the ids that Muster itself gives.
func lines(t *testing.T, rows []map[string]any) []string {
	t.Helper()
	out := make([]string, len(rows))
	for i, row := range rows {
		delete(row, "device_id")
		text, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = string(text)
	}
	slices.Sort(out)
	return out
}
