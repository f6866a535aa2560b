package emulator

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
)

// on is a gathering at seven o'clock of a day.
func on(w *World, day int) Gathering {
	return Gathering{At: w.Epoch().AddDate(0, 0, day).Add(7 * time.Hour), Day: day}
}

func generated(w *World, day int) string {
	return w.Epoch().AddDate(0, 0, day).Add(6 * time.Hour).Format("2006-01-02T15:04:05Z")
}

// of picks the rows of one machine.
func of(rows []map[string]any, id string) []map[string]any {
	var all []map[string]any
	for _, r := range rows {
		if r["machine_id"] == id {
			all = append(all, r)
		}
	}
	return all
}

func (r role) id(w *World) string { return w.id(r.index()) }

func machineRow(t *testing.T, truth *Truth, id string) map[string]any {
	t.Helper()
	rows := of(truth.Machines(), id)
	if len(rows) != 1 {
		t.Fatalf("machine %s has %d rows", id, len(rows))
	}
	return rows[0]
}

func count(rows []map[string]any, column string, want any) int {
	n := 0
	for _, r := range rows {
		if r[column] == want {
			n++
		}
	}
	return n
}

func all(t *Truth) map[string][]map[string]any {
	return map[string][]map[string]any{"devices": t.Devices(), "machines": t.Machines(), "software": t.Software(), "findings": t.Findings(), "configuration": t.Configuration(), "vulnerabilities": t.Vulnerabilities()}
}

func sameTruth(t *testing.T, a, b *Truth) {
	t.Helper()
	other := all(b)
	for name, rows := range all(a) {
		if len(rows) == 0 {
			t.Errorf("no %s at all", name)
		}
		if !reflect.DeepEqual(rows, other[name]) {
			t.Errorf("%s differ", name)
		}
	}
}

func TestASecondGatheringOfTheDayChangesNothing(t *testing.T) {
	w := NewWorld(Options{Devices: 90, NullCVERows: true})
	for _, software := range []bool{false, true} {
		one := on(w, 1)
		one.SoftwareRole = software
		again := one
		again.At = one.At.Add(2 * time.Hour)
		sameTruth(t, w.Truth([]Gathering{one}), w.Truth([]Gathering{one, again}))
	}
}

func TestTruthOfOneGatheringIsTheSnapshot(t *testing.T) {
	w := NewWorld(Options{Devices: 180})
	truth := w.Truth([]Gathering{on(w, 0)})
	id := alwaysAlive(w)
	var rows int
	for _, g := range w.Day(0).Groups() {
		for r := range w.Day(0).Vulnerabilities(g.ID) {
			if *r.DeviceID != id {
				continue
			}
			rows++
			found := false
			for _, f := range of(truth.Findings(), id) {
				if f["cve"] == value(r.CVEID) && f["name"] == value(r.SoftwareName) && f["version"] == value(r.SoftwareVersion) && f["vendor"] == value(r.SoftwareVendor) {
					found = true
					if f["severity"] != value(r.VulnerabilitySeverityLevel) || f["cvss"] != r.CVSSScore || f["state"] != "open" || f["fixed_at"] != nil || f["reopened"] != 0.0 {
						t.Errorf("row %+v is held as %v", r, f)
					}
				}
			}
			if !found {
				t.Errorf("row %s is not held", *r.ID)
			}
			if rows > 5 {
				break
			}
		}
	}
	if rows == 0 {
		t.Fatal("no rows")
	}
	m := machineRow(t, truth, id)
	if m["in_scope"] != true || m["scope_reason"] != nil || m["assessed_at"] != generated(w, 0) || m["tenant_id"] != w.TenantID() {
		t.Errorf("machine is %v", m)
	}
}

// alwaysAlive is a machine that does nothing special but live.
func alwaysAlive(w *World) string { return inFactory.id(w) }

func TestScopeReasons(t *testing.T) {
	w := NewWorld(Options{Devices: 180})
	at := on(w, 0)
	stale30, tagged, onboarded := at, at, at
	stale30.StaleDays, stale30.At = 30, w.Epoch()
	late := stale30
	late.At = w.Epoch().Add(time.Second)
	tagged.Tags = []string{" pRoD "}
	both := tagged
	both.Tags, both.AllTags = []string{"prod", "vip"}, true
	neither := tagged
	neither.Tags, neither.AllTags = []string{"prod", "no such tag"}, true
	onboarded.OnboardedOnly = true
	for _, c := range []struct {
		name string
		g    Gathering
		who  role
		want any
	}{
		{"no filter lets the undated in", at, undated, nil},
		{"no filter lets the unsupported in", at, unsupported, nil},
		{"merged before anything else", onboarded, mergedTwice, "merged"},
		{"the end of a chain stands", at, survivor, nil},
		{"an unknown target merges nothing", at, mergedToStranger, nil},
		{"a circle merges nothing", at, circleOne, nil},
		{"re-imaged", at, imagedBefore, "superseded"},
		{"lives on", at, imagedAgain, nil},
		{"a shared key joins nothing", at, sharedKeyOne, nil},
		{"excluded is imported", at, excluded, nil},
		{"onboarded only", onboarded, discovered, "not_onboarded"},
		{"no date", stale30, undated, "no_date"},
		{"first seen in the window", stale30, neverReported, nil},
		{"the edge is inside", stale30, onTheBoundary, nil},
		{"behind the edge", late, onTheBoundary, "stale"},
		{"silent for 40 days", stale30, backOnDayTwo, "stale"},
		{"tag in another case, with blanks", tagged, manyTags, nil},
		{"no tags at all", tagged, sparse, "tag"},
		{"all of two tags", both, manyTags, nil},
		{"not all of two tags", neither, manyTags, "tag"},
	} {
		m := machineRow(t, listedOnly(w, c.g), c.who.id(w))
		if m["scope_reason"] != c.want || m["in_scope"] != (c.want == nil) {
			t.Errorf("%s: reason %v, want %v", c.name, m["scope_reason"], c.want)
		}
	}
}

// listedOnly applies the machine list alone.
func listedOnly(w *World, g Gathering) *Truth {
	truth := NewTruth(w)
	truth.list(w.Day(g.Day), g)
	return truth
}

func TestRowsOfAMergedMachineGoToItsSurvivor(t *testing.T) {
	w := NewWorld(Options{Devices: 180})
	before, after := w.Truth([]Gathering{on(w, 0)}), w.Truth([]Gathering{on(w, 0), on(w, 1)})
	if rows := of(before.Findings(), mergedTwice.id(w)); len(rows) > 0 {
		t.Errorf("%d findings stand under a merged machine", len(rows))
	}
	own := of(before.Findings(), mergedLater.id(w))
	kept := of(after.Findings(), mergedLater.id(w))
	if len(own) == 0 || !reflect.DeepEqual(own, kept) {
		t.Errorf("findings of a machine that is merged later: %d, then %d", len(own), len(kept))
	}
	m := machineRow(t, after, mergedLater.id(w))
	if m["scope_reason"] != "merged" || m["out_of_scope_since"] != "2026-11-02T07:00:00Z" || m["assessed_at"] != generated(w, 0) {
		t.Errorf("merged on day 1: %v since %v, assessed at %v", m["scope_reason"], m["out_of_scope_since"], m["assessed_at"])
	}
	if a, b := len(of(before.Findings(), laterSurvivor.id(w))), count(of(after.Findings(), laterSurvivor.id(w)), "state", "open"); b <= a {
		t.Errorf("the survivor has %d findings after %d", b, a)
	}
	for _, d := range after.Devices() {
		ids := d["machine_ids"].([]any)
		if slices.Contains(ids, any(survivor.id(w))) && len(ids) != 3 {
			t.Errorf("a chain of three records is a device of %v", ids)
		}
		if slices.Contains(ids, any(imagedAgain.id(w))) && len(ids) != 2 {
			t.Errorf("a re-imaged device is %v", ids)
		}
		if slices.Contains(ids, any(sharedKeyOne.id(w))) && len(ids) != 1 {
			t.Errorf("a shared key joined %v", ids)
		}
	}
}

// TestRecordsOfOneDevice: what joins records, and which of them count.
func TestRecordsOfOneDevice(t *testing.T) {
	w := NewWorld(Options{Devices: 250})
	before, after := w.Truth([]Gathering{on(w, 0)}), w.Truth([]Gathering{on(w, 0), on(w, 1), on(w, 2)})
	for _, c := range []struct {
		name       string
		truth      *Truth
		one, other role
		reason     any // of the older record
	}{
		{"one cloud VM", before, vmBefore, vmAgain, "superseded"},
		{"one adapter and host name", before, adapterBefore, adapterAgain, "superseded"},
		{"one DNS name", before, nameBefore, nameAgain, "superseded"},
		{"re-imaged", before, backAfterImaging, imagedThenBoth, "superseded"},
		{"and back: it keeps its device", after, backAfterImaging, imagedThenBoth, nil},
	} {
		if c.truth.groups[c.one.id(w)] != c.truth.groups[c.other.id(w)] {
			t.Errorf("%s: two devices", c.name)
		}
		if m := machineRow(t, c.truth, c.one.id(w)); m["scope_reason"] != c.reason {
			t.Errorf("%s: the older record is %v", c.name, m["scope_reason"])
		}
		if m := machineRow(t, c.truth, c.other.id(w)); m["in_scope"] != true {
			t.Errorf("%s: the newer record is %v", c.name, m["scope_reason"])
		}
	}
	for _, pair := range [][2]role{{sameNameOne, sameNameTwo}, {zeroKeyOne, zeroKeyTwo}, {sharedKeyOne, sharedKeyTwo}} {
		if after.groups[pair[0].id(w)] == after.groups[pair[1].id(w)] {
			t.Errorf("%v are one device", pair)
		}
	}
	if n := len(after.joins); n != 6 {
		t.Errorf("%d joins by a key, those of the cast are six: %v", n, after.joins)
	}
}

func TestSilenceAndLostFoldersFixNothing(t *testing.T) {
	w := NewWorld(Options{Devices: 180})
	days := []Gathering{on(w, 0), on(w, 1), on(w, 2)}
	first, truth, later := w.Truth(days[:1]), w.Truth(days), w.Truth(append(slices.Clone(days), on(w, 3)))
	for _, c := range []struct {
		who    role
		judged string
	}{{silentTillDayTwo, generated(w, 1)}, {inFactory, generated(w, 1)}, {blankOnDayTwo, generated(w, 1)}} {
		had := len(of(first.Findings(), c.who.id(w)))
		rows := of(truth.Findings(), c.who.id(w))
		open := count(rows, "state", "open")
		if had == 0 || open == 0 || len(rows)-open > had/2 {
			t.Errorf("%d: %d findings on day 0, %d of %d open on day 2", c.who, had, open, len(rows))
		}
		if m := machineRow(t, truth, c.who.id(w)); m["assessed_at"] != c.judged {
			t.Errorf("%d: assessed at %v, want %s", c.who, m["assessed_at"], c.judged)
		}
	}
	if m := machineRow(t, later, inFactory.id(w)); m["assessed_at"] != generated(w, 3) {
		t.Errorf("back on day 3: assessed at %v", m["assessed_at"])
	}
	if m := machineRow(t, later, silentTillDayTwo.id(w)); m["assessed_at"] != generated(w, 1) {
		t.Errorf("silent on day 3: assessed at %v", m["assessed_at"])
	}
}

func TestTwoSnapshotsAgreeThatAllIsFixed(t *testing.T) {
	w := NewWorld(Options{Devices: 180})
	id := cleanFromDayOne.id(w)
	one := w.Truth([]Gathering{on(w, 0), on(w, 1)})
	rows := of(one.Findings(), id)
	if len(rows) == 0 || count(rows, "state", "open") != len(rows) {
		t.Errorf("after one snapshot without rows %d of %d are open", count(rows, "state", "open"), len(rows))
	}
	two := w.Truth([]Gathering{on(w, 0), on(w, 1), on(w, 3)})
	rows = of(two.Findings(), id)
	if count(rows, "fixed_at", generated(w, 1)) != len(rows) {
		t.Errorf("after two, %d of %d are fixed as of the first", count(rows, "fixed_at", generated(w, 1)), len(rows))
	}
	if m := machineRow(t, two, id); m["assessed_at"] != generated(w, 3) {
		t.Errorf("assessed at %v", m["assessed_at"])
	}
	// The same snapshot twice is one witness.
	again := on(w, 1)
	again.At = again.At.Add(time.Hour)
	rows = of(w.Truth([]Gathering{on(w, 0), on(w, 1), again}).Findings(), id)
	if count(rows, "state", "open") != len(rows) {
		t.Error("the same snapshot was taken for a second witness")
	}
}

func TestMissingMachines(t *testing.T) {
	w := NewWorld(Options{Devices: 180})
	id, away := vanishesOnDayOne.id(w), awayOnDayOne.id(w)
	truth := w.Truth([]Gathering{on(w, 0), on(w, 1)})
	for _, id := range []string{id, away} {
		if m := machineRow(t, truth, id); m["scope_reason"] != "missing" || m["out_of_scope_since"] != "2026-11-02T07:00:00Z" {
			t.Errorf("%v since %v", m["scope_reason"], m["out_of_scope_since"])
		}
		rows := of(truth.Findings(), id)
		if len(rows) == 0 || count(rows, "state", "open") != len(rows) {
			t.Errorf("a missing machine's findings were touched: %d of %d open", count(rows, "state", "open"), len(rows))
		}
	}
	truth = w.Truth([]Gathering{on(w, 0), on(w, 1), on(w, 2)})
	if m := machineRow(t, truth, away); m["in_scope"] != true || m["out_of_scope_since"] != nil || m["assessed_at"] != generated(w, 2) {
		t.Errorf("back again: %v", m)
	}
	if m := machineRow(t, truth, id); m["out_of_scope_since"] != "2026-11-02T07:00:00Z" {
		t.Errorf("still missing since %v", m["out_of_scope_since"])
	}
}

func TestLeavingAndReturning(t *testing.T) {
	w := NewWorld(Options{Devices: 180})
	id := alwaysAlive(w)
	without := on(w, 1)
	without.Tags = []string{"PROD"} // the factory's machines have another tag
	out := w.Truth([]Gathering{on(w, 0), without})
	if m := machineRow(t, out, id); m["scope_reason"] != "tag" || m["assessed_at"] != generated(w, 0) {
		t.Errorf("left: %v, assessed at %v", m["scope_reason"], m["assessed_at"])
	}
	if !reflect.DeepEqual(of(out.Findings(), id), of(w.Truth([]Gathering{on(w, 0)}).Findings(), id)) {
		t.Error("findings of a machine out of scope changed")
	}
	// On day 2 its folder is missing, so that no read covers it when it returns.
	back := w.Truth([]Gathering{on(w, 0), without, on(w, 2)})
	if m := machineRow(t, back, id); m["in_scope"] != true || m["assessed_at"] != nil {
		t.Errorf("returned: in scope %v, assessed at %v", m["in_scope"], m["assessed_at"])
	}
	never := w.Truth([]Gathering{on(w, 2)})
	for _, d := range never.Devices() {
		if slices.Contains(d["machine_ids"].([]any), any(id)) && (d["open_critical"] != nil || d["assessed_at"] != nil) {
			t.Errorf("not assessed yet is shown as %v findings", d["open_critical"])
		}
	}
}

func TestReopenedFindingsKeepTheEarliestTime(t *testing.T) {
	w := NewWorld(Options{Devices: 180})
	days := []Gathering{on(w, 0), on(w, 1), on(w, 3), on(w, 9)}
	truth, first := w.Truth(days), w.Truth(days[:1])
	early := map[string]any{}
	name := func(f map[string]any) string {
		return fmt.Sprint(f["machine_id"], f["vendor"], f["name"], f["version"], f["cve"])
	}
	for _, f := range first.Findings() {
		early[name(f)] = f["first_seen"]
	}
	reopened, fixed, carried := 0, 0, 0
	for _, f := range truth.Findings() {
		if f["reopened"].(float64) > 0 && f["state"] == "open" {
			reopened++
			if f["fixed_at"] != nil {
				t.Errorf("open and fixed: %v", f)
			}
			if was, had := early[name(f)]; had {
				carried++
				if was != f["first_seen"] {
					t.Errorf("first seen was %v: %v", was, f)
				}
			}
		}
		if f["state"] == "fixed" {
			fixed++
			if f["fixed_at"] == nil || f["last_confirmed"] == nil || f["last_confirmed"].(string) > f["fixed_at"].(string) {
				t.Errorf("fixed at %v, last confirmed %v", f["fixed_at"], f["last_confirmed"])
			}
		}
	}
	if reopened == 0 || fixed == 0 || carried == 0 {
		t.Errorf("%d reopened, %d of them known from the first day, %d fixed", reopened, carried, fixed)
	}
}

func TestSoftwareOrigins(t *testing.T) {
	w := NewWorld(Options{Devices: 120, NullCVERows: true})
	with := func(day int) Gathering {
		g := on(w, day)
		g.SoftwareRole = true
		return g
	}
	rows := w.Truth([]Gathering{on(w, 0)}).Software()
	if len(rows) == 0 || count(rows, "origin", rowsOrigin) != len(rows) || count(rows, "first_seen", nil) != len(rows) {
		t.Errorf("without the role %d of %d rows are of vulnerability rows", count(rows, "origin", rowsOrigin), len(rows))
	}
	rows = w.Truth([]Gathering{with(0), with(3)}).Software()
	if count(rows, "origin", inventoryOrigin) != len(rows) || count(rows, "state", "removed") == 0 {
		t.Errorf("with the role %d of %d rows are of the inventory, %d removed", count(rows, "origin", inventoryOrigin), len(rows), count(rows, "state", "removed"))
	}
	rows = w.Truth([]Gathering{on(w, 0), on(w, 1)}).Software()
	ended := count(rows, "state", "no_longer_reported")
	if ended == 0 {
		t.Error("nothing stopped being reported")
	}
	// Once there is an inventory, what rows had told stays as it was.
	rows = w.Truth([]Gathering{on(w, 0), on(w, 1), with(3)}).Software()
	if count(rows, "state", "no_longer_reported") != ended || count(rows, "origin", inventoryOrigin) == 0 {
		t.Errorf("with an inventory %d rows ended, before %d", count(rows, "state", "no_longer_reported"), ended)
	}
}

func TestShrinkGuard(t *testing.T) {
	w := NewWorld(Options{Devices: 40})
	truth := NewTruth(w)
	devices := func(n int) map[string]bool {
		all := map[string]bool{}
		for i := range n {
			all[fmt.Sprint(i)] = true
		}
		return all
	}
	for _, c := range []struct {
		name    string
		day     int
		rows    int64
		devices int
		held    bool
	}{
		{"the first read", 0, 1000, 100, false},
		{"half is left", 1, 500, 96, false},
		{"less than half", 2, 249, 96, true},
		{"five of a hundred machines", 2, 500, 91, true},
		{"the same snapshot confirms nothing", 2, 249, 96, true},
		{"a day later it does", 3, 249, 96, false},
		{"nothing left", 4, 0, 0, true},
		{"is confirmed by nobody", 6, 0, 0, true},
		{"back", 7, 249, 96, false},
	} {
		if got := truth.shrunken(vulnerabilityRead, on(w, c.day), c.rows, devices(c.devices)); got != c.held {
			t.Errorf("%s: held back %v", c.name, got)
		}
	}
}

func TestJudgement(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2026, 11, day, 6, 0, 0, 0, time.UTC) }
	type read struct {
		day, rows, lastSeen int // lastSeen: day
		heldBack, closes    bool
		gone, assessed      int
	}
	for name, reads := range map[string][]read{
		"rows judge":                        {{day: 1, rows: 3, lastSeen: 1, closes: true, gone: 1, assessed: 1}, {day: 2, rows: 1, lastSeen: 2, closes: true, gone: 2, assessed: 2}},
		"two snapshots agree":               {{day: 1, rows: 3, lastSeen: 1, closes: true, gone: 1, assessed: 1}, {day: 2, lastSeen: 2, assessed: 1}, {day: 3, lastSeen: 3, closes: true, gone: 2, assessed: 3}},
		"rows between them begin anew":      {{day: 1, lastSeen: 1}, {day: 2, rows: 1, lastSeen: 2, closes: true, gone: 2, assessed: 2}, {day: 3, lastSeen: 3, assessed: 2}},
		"the silent are not judged":         {{day: 1, rows: 3, lastSeen: 1, closes: true, gone: 1, assessed: 1}, {day: 2, lastSeen: 1, assessed: 1}, {day: 3, lastSeen: 1, assessed: 1}},
		"nothing is judged while held back": {{day: 1, rows: 3, lastSeen: 1, closes: true, gone: 1, assessed: 1}, {day: 2, rows: 1, lastSeen: 2, heldBack: true, assessed: 1}},
		"one snapshot is one witness":       {{day: 1, lastSeen: 1}, {day: 1, lastSeen: 1}},
	} {
		k := &judged{}
		for i, r := range reads {
			closes, gone := k.judge(at(r.day), r.heldBack, r.rows, at(r.lastSeen).Add(-time.Hour))
			var wantGone, wantAssessed time.Time
			if r.gone > 0 {
				wantGone = at(r.gone)
			}
			if r.assessed > 0 {
				wantAssessed = at(r.assessed)
			}
			if closes != r.closes || !gone.Equal(wantGone) || !k.assessedAt.Equal(wantAssessed) {
				t.Errorf("%s, read %d: closes %v as of %v, assessed %v", name, i, closes, gone, k.assessedAt)
			}
		}
	}
}

func TestDoublesCountOnce(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 11, 1, hour, 0, 0, 0, time.UTC) }
	rd := (&Truth{}).reading()
	key := [4]string{"v", "n", "1", "CVE-1"}
	says := func(severity string) facts { return func(c map[string]any) { c["severity"] = severity } }
	rd.add("m", key, &row{stamp: at(4), first: at(1), disk: []string{"b"}, facts: says("Low")})
	rd.add("m", key, &row{stamp: at(5), first: at(2), disk: []string{"c", "b"}, facts: says("High")})
	rd.add("m", key, &row{stamp: at(3), disk: []string{"a"}, facts: says("Medium")})
	if got := rd.found["m"][key]; got.severity() != "High" || !got.first.Equal(at(1)) || !slices.Equal(got.disk, []string{"a", "b", "c"}) {
		t.Errorf("held %+v", got)
	}
}

func TestMachineAttributes(t *testing.T) {
	empty, loop, zero, mac, ip := "", "127.0.0.1", "000000000000", "00155dABCDEF", "10.0.0.7"
	up, ethernet, loopback := "Up", "Ethernet", "SoftwareLoopback"
	m := &Machine{
		ID: "x", ComputerDNSName: new("Srv-1.Contoso.example"), OSPlatform: new("WindowsServer2022"), LastSeen: new("2026-10-31T11:54:59.5717009Z"), MachineTags: []string{"b", "a", "b"},
		IPAddresses: []IPAddress{{&ip, &mac, &ethernet, &up}, {&empty, &zero, &ethernet, nil}, {&loop, nil, &loopback, &up}, {nil, nil, nil, nil}},
	}
	a := machineAttributes(m)
	for name, want := range map[string]any{
		"DeviceName": "SRV-1", "DisplayName": "Srv-1.Contoso.example", "Network.TCPIP.HostName": "srv-1", "Network.TCPIP.FQDN": "srv-1.contoso.example", "OS.Name": "Windows Server 2022",
		"Discovery.MDE.LastSeen": "2026-10-31T11:54:59.5717Z", "Discovery.MDE.Tags": []any{"a", "b"}, "OS.BuildNumber": nil, "Discovery.MDE.Excluded": false,
		"Network.TCPIP.BoundAdapter": []any{map[string]any{"Description": "Ethernet", "IPAddress": "10.0.0.7", "PhysicalAddress": "00:15:5D:AB:CD:EF", "Status": "Up"}, map[string]any{"Description": "Ethernet"}},
	} {
		if !reflect.DeepEqual(a[name], want) {
			t.Errorf("%s is %#v, want %#v", name, a[name], want)
		}
	}
	v := antivirusAttributes(&DeviceAVInfo{ID: "x", AVMode: new("0"), AVIsSignatureUpToDate: new("True"), QuickScanTime: new("2022-08-02T18:40:15.882Z"), LastSeenTime: "2022-08-02T19:40:45Z", DataRefreshTimestamp: "2022-08-02T21:16:23Z"})
	want := map[string]any{
		"Security.Antivirus.Mode": "0", "Security.Antivirus.IsSignatureUpToDate": "True", "Security.Antivirus.QuickScanTime": "2022-08-02T18:40:15.882Z",
		"Security.Antivirus.LastSeenTime": "2022-08-02T19:40:45Z", "Security.Antivirus.DataRefreshTimestamp": "2022-08-02T21:16:23Z",
	}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("antivirus is %v", v)
	}
	for name := range a {
		if !slices.Contains(attributeNames, name) {
			t.Errorf("%s is not among the names", name)
		}
	}
}
