package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"muster/internal/defender/emulator"
)

// TestDevice: a device is shown with its reasons, split and joined again, and no gathering
// undoes that; each of its ids goes on answering.
func TestDevice(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 60, Seed: 111})
	f.env["USER"] = "ada"
	db := tempDatabase(t)
	f.sync(db)
	f.verify(t, db)
	run := func(args ...string) string {
		t.Helper()
		code, out, errs := f.muster(append([]string{"device"}, append(args, "--db", databaseURL(db))...)...)
		if code != exitDone {
			t.Fatalf("device %v ended with %d: %s", args, code, errs)
		}
		return out
	}
	devices := func() map[string]string { // by machine
		found := map[string]string{}
		for _, row := range f.export(db, "machines", "--scope", "all") {
			found[fmt.Sprint(row["machine_id"])] = fmt.Sprint(row["device_id"])
		}
		return found
	}
	var old string
	for _, row := range f.export(db, "machines", "--scope", "out") {
		if row["scope_reason"] == "superseded" {
			old = fmt.Sprint(row["machine_id"])
		}
	}
	device := devices()[old]
	var both []string
	for machine, of := range devices() {
		if of == device {
			both = append(both, machine)
		}
	}
	if len(both) != 2 {
		t.Fatalf("the device of %s has the machines %v", old, both)
	}
	anew := both[slices.IndexFunc(both, func(machine string) bool { return machine != old })]
	if out := run("show", device); !strings.Contains(out, "Machine "+old) || !strings.Contains(out, "superseded by a newer one") || !strings.Contains(out, "Entra device id") || !strings.Contains(out, ", as "+old) {
		t.Errorf("shown as\n%s", out)
	}

	out := run("split", device, anew)
	parted := devices()
	if parted[old] == parted[anew] || !strings.Contains(out, "Device "+parted[anew]) || strings.Contains(out, old) {
		t.Errorf("split into %s and %s; printed\n%s", parted[old], parted[anew], out)
	}
	f.sync(db, "--full")
	f.verify(t, db)
	if again := devices(); again[old] != parted[old] || again[anew] != parted[anew] {
		t.Error("a gathering undid the split")
	}
	for _, row := range f.export(db, "machines", "--scope", "all") {
		if (row["machine_id"] == old || row["machine_id"] == anew) && row["in_scope"] != true {
			t.Errorf("after the split %s is out of scope: %v", row["machine_id"], row["scope_reason"])
		}
	}

	out = run("join", parted[anew], parted[old])
	if joined := devices(); joined[old] != device || joined[anew] != device || !strings.Contains(out, "an operator joined it with "+old) {
		t.Errorf("joined as %s and %s; printed\n%s", joined[old], joined[anew], out)
	}
	if out := run("show", parted[anew]); !strings.Contains(out, "Device "+device) || !strings.Contains(out, parted[anew]+" is part of it") {
		t.Errorf("the id that was joined answers\n%s", out)
	}
	f.sync(db, "--full")
	f.verify(t, db)
	if again := devices(); again[old] != device || again[anew] != device {
		t.Error("a gathering undid the join")
	}

	for _, args := range [][]string{{"show", "d-0"}, {"split", device, "nobody"}, {"split", device, old, anew}, {"join", device, device}, {"join", device, "d-0"}, {"split", device}} {
		if code, _, errs := f.muster(append([]string{"device"}, append(args, "--db", databaseURL(db))...)...); code != exitUsage || errs == "" {
			t.Errorf("device %v ended with %d: %s", args, code, errs)
		}
	}
	f.verify(t, db)
}
