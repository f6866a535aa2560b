package cli

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"muster/internal/defender/emulator"
)

// TestTotalsAddUp gathers random worlds over nine days, some of them left out, by filters
// that change: in every bucket open today is open before and what has moved since, no day
// without a read has totals, and all of it is what the world itself says.
func TestTotalsAddUp(t *testing.T) {
	worlds := 3
	if soaking() {
		worlds = 60
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range worlds {
		world := random.Uint64N(1 << 32)
		days := []int{0}
		for day := 1; day < 9; day++ {
			if random.IntN(3) > 0 {
				days = append(days, day)
			}
		}
		filters := make([]emulator.Gathering, len(days))
		for i := range filters {
			filters[i] = [...]emulator.Gathering{{}, {StaleDays: 7}, {Tags: []string{"Servers"}}, {Tags: []string{"Servers", "VIP"}}, {OnboardedOnly: true}}[random.IntN(5)]
		}
		t.Run(fmt.Sprintf("world %d on days %v", world, days), func(t *testing.T) {
			t.Parallel()
			testTotals(t, world, days, filters)
		})
	}
}

func testTotals(t *testing.T, seed uint64, days []int, filters []emulator.Gathering) {
	t.Helper()
	f := newFarSide(t, emulator.Options{Devices: 50, Seed: seed})
	db := tempDatabase(t)
	truth := emulator.NewTruth(f.world)
	var read []string
	for i, day := range days {
		f.at(day)
		g := filters[i]
		g.At, g.Day, g.SoftwareRole = f.now, day, true
		truth.Gather(f.world.Day(day), g)
		f.sync(db, flagsOf(g)...)
		for _, row := range f.export(db, "totals") {
			if last := fmt.Sprint(row["day"]); !slices.Contains(read, last) {
				read = append(read, last)
			}
		}
	}
	rows := f.export(db, "totals")
	compareRows(t, "totals", rows, truth.Totals())
	addsUp(t, rows)
	var want []string
	for _, row := range truth.Totals() {
		if day := fmt.Sprint(row["day"]); !slices.Contains(want, day) {
			want = append(want, day)
		}
	}
	if !slices.Equal(read, want) {
		t.Errorf("days with totals: %v, want %v", read, want)
	}
}

// flagsOf are the filters of a gathering as flags.
func flagsOf(g emulator.Gathering) []string {
	var flags []string
	if g.StaleDays > 0 {
		flags = append(flags, "--stale-days", fmt.Sprint(g.StaleDays))
	}
	for _, tag := range g.Tags {
		flags = append(flags, "--tag", tag)
	}
	if g.OnboardedOnly {
		flags = append(flags, "--onboarded-only")
	}
	return flags
}

// addsUp holds the rows of the totals export to SPEC §6, day by day and bucket by bucket.
func addsUp(t *testing.T, rows []map[string]any) {
	t.Helper()
	number := func(row map[string]any, column string) int { n, _ := row[column].(float64); return int(n) }
	before := map[string]int{}
	moved := map[string]int{}
	for len(rows) > 0 {
		day := rows[0]["day"]
		today := map[string]int{}
		for len(rows) > 0 && rows[0]["day"] == day {
			row := rows[0]
			bucket := fmt.Sprintf("%v/%v/%v/%v", row["organisation"], row["severity"], row["platform"], row["device_group"])
			today[bucket] = number(row, "open")
			net := number(row, "opened") + number(row, "reopened") + number(row, "entered_scope") - number(row, "fixed") - number(row, "left_scope")
			if today[bucket] != before[bucket]+net {
				t.Errorf("%v, %s: %d open before, now %v", day, bucket, before[bucket], row)
			}
			for _, column := range []string{"opened", "fixed", "reopened", "entered_scope", "left_scope"} {
				moved[column] += number(row, column)
			}
			rows = rows[1:]
		}
		for bucket, open := range before {
			if _, goesOn := today[bucket]; !goesOn && open != 0 {
				t.Errorf("%v, %s: nothing after %d open", day, bucket, open)
			}
		}
		before = today
	}
	if moved["opened"] == 0 {
		t.Error("nothing was ever opened, which proves nothing")
	}
	t.Logf("in all %v", moved)
}
