package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"muster"
	"muster/internal/defender/emulator"
)

// blobs counts the files that were fetched since a moment of the call log.
func (f *farSide) blobs(since int) int {
	n := 0
	for _, call := range f.server.Calls()[since:] {
		if strings.HasPrefix(call.Path, "/blobs/") {
			n++
		}
	}
	return n
}

var exported = []muster.Dataset{muster.Software, muster.Vulnerabilities, muster.Configuration}

// addUp holds a run's counters to the contract.
func addUp(t *testing.T, run runJSON) {
	t.Helper()
	for name, d := range run.Datasets {
		if sum := d.New + d.Changed + d.Unchanged + d.OutOfScope + d.Rejected + d.Duplicates; d.Read != sum || d.Reopened > d.Changed {
			t.Errorf("%s has read %d rows, the counters make %d: %+v", name, d.Read, sum, d)
		}
	}
}

// modes expects how the datasets of exports were read.
func modes(t *testing.T, step string, run runJSON, want muster.Mode) {
	t.Helper()
	for _, d := range exported {
		if got := run.Datasets[d]; got.Mode != want || !got.Complete || got.SourceTime == nil {
			t.Errorf("%s: %s is %+v, want %s and complete", step, d, got, want)
		}
	}
}

// TestUnchangedExports: what was applied whole, for everybody who is in scope now, is not
// downloaded again; --full, a newer snapshot and a wider scope read.
func TestUnchangedExports(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 40, Seed: 61})
	db := tempDatabase(t)
	step := func(name string, want muster.Mode, flags ...string) runJSON {
		t.Helper()
		f.now = f.now.Add(5 * time.Minute)
		calls := len(f.server.Calls())
		run := f.sync(db, flags...)
		modes(t, name, run, want)
		if fetched := f.blobs(calls) > 0; fetched != (want == muster.ModeFull) {
			t.Errorf("%s: files were fetched: %v", name, fetched)
		}
		return run
	}
	step("first", muster.ModeFull, "--tag", "Servers")
	before := f.exports(db)
	run := step("again", muster.ModeUnchanged, "--tag", "SERVERS")
	for _, d := range exported {
		if got := run.Datasets[d]; got.Read+got.New+got.Changed+got.Unchanged+got.Closed != 0 {
			t.Errorf("unchanged %s counts rows: %+v", d, got)
		}
	}
	run = step("--full", muster.ModeFull, "--tag", "Servers", "--full")
	for d, got := range run.Datasets {
		if got.Read == 0 && d != muster.Catalogue || got.New+got.Changed+got.Closed+got.Reopened != 0 {
			t.Errorf("--full of the same finds changes of %s: %+v", d, got)
		}
	}
	if f.exports(db) != before {
		t.Error("--full of the same data changed them")
	}
	run = step("wider", muster.ModeFull)
	if run.Datasets[muster.Vulnerabilities].New == 0 {
		t.Error("the machines that came into scope brought no findings")
	}
	whole := tempDatabase(t)
	f.sync(whole)
	if got, want := f.exports(db), f.exports(whole); withoutScopeTimes(got) != withoutScopeTimes(want) {
		t.Error("after the filter was taken away the data differ from those of a gathering without")
	}
	step("narrower", muster.ModeUnchanged, "--tag", "Servers")
	if f.exports(db) == before {
		t.Error("machines that left the scope are forgotten")
	}
	step("wide again", muster.ModeFull)
	f.at(1)
	step("next day", muster.ModeFull)
	f.now = f.now.Add(6 * time.Hour)
	step("next snapshot", muster.ModeFull)
}

// withoutScopeTimes leaves out since when a machine was out of scope: it depends on when
// the filters changed.
func withoutScopeTimes(exports string) string { return scopeSince.ReplaceAllString(exports, "") }

var scopeSince = regexp.MustCompile(`"out_of_scope_since":("[^"]*"|null),?`)

// TestSomeDatasets: what is not among --datasets is not asked for and not reported; the
// machines always are.
func TestSomeDatasets(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 20, Seed: 62})
	for _, c := range []struct {
		flag string
		want []muster.Dataset
		path string // asked for last
	}{
		{"machines", []muster.Dataset{muster.Machines}, "/api/machines"},
		{"antivirus", []muster.Dataset{muster.Machines, muster.Antivirus}, "/api/deviceavinfo"},
		{"Configuration , machines", []muster.Dataset{muster.Machines, muster.Configuration}, "/ScaExport/"},
		{"information", []muster.Dataset{muster.Machines, muster.Information}, "/InfoGatheringExport/"},
	} {
		f.now = f.now.Add(time.Minute)
		calls := len(f.server.Calls())
		run := f.sync(tempDatabase(t), "--datasets", c.flag)
		var got []muster.Dataset
		for _, d := range muster.Datasets {
			if r, found := run.Datasets[d]; found {
				got = append(got, d)
				if r.Mode != muster.ModeFull || !r.Complete || r.Read == 0 {
					t.Errorf("--datasets %s: %s is %+v", c.flag, d, r)
				}
			}
		}
		if !slices.Equal(got, c.want) || run.State != "succeeded" {
			t.Errorf("--datasets %s: %s with %v, want %v", c.flag, run.State, got, c.want)
		}
		all := f.server.Calls()[calls:]
		if last := all[len(all)-1].Path; !strings.Contains(last, c.path) {
			t.Errorf("--datasets %s: %s was asked for last", c.flag, last)
		}
	}
}

// TestTwoConnectors: connectors of one tenant share its machines, each with a scope of its own.
func TestTwoConnectors(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 40, Seed: 63})
	db, alone := tempDatabase(t), tempDatabase(t)
	f.sync(db, "--connector", "Everything")
	before := f.exports(db)
	f.now = f.now.Add(5 * time.Minute)
	run := f.sync(db, "--connector", "Servers only", "--tag", "Servers")
	f.sync(alone, "--connector", "Servers only", "--tag", "Servers")
	if got := run.Datasets[muster.Machines]; run.Connector != "Servers only" || got.New != 0 || got.OutOfScope == 0 || got.Unchanged == 0 {
		t.Errorf("the second connector's machines: %+v", got)
	}
	for _, c := range []struct {
		what string
		keys []string
	}{{"machines", []string{"machine_id"}}, {"findings", []string{"machine_id", "vendor", "name", "version", "cve"}}} {
		got, want := f.export(db, c.what, "--connector", "servers ONLY"), f.export(alone, c.what)
		if len(got) != len(want) || len(got) == 0 {
			t.Errorf("%d %s by the second connector, alone it has %d", len(got), c.what, len(want))
		}
		for i := range min(len(got), len(want)) {
			for _, key := range c.keys {
				if got[i][key] != want[i][key] {
					t.Fatalf("%s %d: %v, alone %v", c.what, i, got[i], want[i])
				}
			}
		}
	}
	both := 0
	for _, m := range f.export(db, "machines", "--scope", "all") {
		if jsonText(t, m["connectors"]) == `["Everything","Servers only"]` {
			both++
		}
	}
	if n := len(f.export(alone, "machines", "--scope", "all")); both != n {
		t.Errorf("%d machines name both connectors, want all %d", both, n)
	}
	f.now = f.now.Add(5 * time.Minute)
	f.sync(db, "--connector", "Everything")
	forget := func(text string) string {
		return strings.ReplaceAll(text, `"Everything","Servers only"`, `"Everything"`)
	}
	if withoutScopeTimes(forget(f.exports(db))) != withoutScopeTimes(before) {
		t.Error("the second connector changed what the first one shows")
	}
}

// TestSummary: the table that a person sees, of a first gathering and of the next day's.
func TestSummary(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 40, Seed: 64})
	db := tempDatabase(t)
	var all strings.Builder
	for day := range 2 {
		f.at(day)
		code, out, errs := f.muster(append([]string{"sync", "--db", "sqlite:" + db, "--stale-days", "30"}, f.flags()...)...)
		if code != exitDone || errs != "" {
			t.Errorf("exit code %d: %s", code, errs)
		}
		all.WriteString(traffic.ReplaceAllString(out, "API calls, N kB"))
	}
	golden(t, "sync.txt", all.String())
}

// traffic depends on the signatures of file links, whose length changes.
var traffic = regexp.MustCompile(`API calls, [0-9.]+ [kM]B`)

// TestManyMachines: more machines than one page gives arrive whole.
func TestManyMachines(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 12_000, Seed: 65})
	db := tempDatabase(t)
	run := f.sync(db, "--datasets", "machines")
	if d := run.Datasets[muster.Machines]; d.Read != 12_000 || !d.Complete {
		t.Errorf("machines: %+v", d)
	}
	have := map[string]bool{}
	for _, m := range f.export(db, "machines", "--scope", "all") {
		have[fmt.Sprint(m["machine_id"])] = true
	}
	for m := range f.world.Day(0).Machines() {
		if !have[m.ID] {
			t.Errorf("machine %s is missing", m.ID)
		}
		delete(have, m.ID)
	}
	if len(have) > 0 {
		t.Errorf("%d machines that the source does not have", len(have))
	}
}

// broken are the ways in which a file of an export fails to arrive.
var broken = map[string]func(w http.ResponseWriter, r *http.Request, next http.Handler){
	"empty": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusOK) },
	"cut": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		whole := httptest.NewRecorder()
		next.ServeHTTP(whole, r)
		_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	},
	"not there": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusNotFound) },
	"failing": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Retry-After-Ms", "1")
		w.WriteHeader(http.StatusInternalServerError)
	},
}

// TestPartialRead: where one file of an export does not arrive, what arrived is added and
// nothing is closed; the run says so, and the next whole one puts everything right.
func TestPartialRead(t *testing.T) {
	for _, c := range []struct {
		dataset muster.Dataset
		folder  string
	}{{muster.Vulnerabilities, "VaExport"}, {muster.Software, "SoftwareInventory"}, {muster.Configuration, "ScaExport"}} {
		for name, answer := range broken {
			if name != "cut" && c.dataset != muster.Vulnerabilities {
				continue // all exports are read by the same code
			}
			t.Run(string(c.dataset)+" "+name, func(t *testing.T) {
				t.Parallel()
				testPartialRead(t, c.dataset, &fault{path: "/" + c.folder + "/.*part-00003", answer: answer})
			})
		}
	}
}

func testPartialRead(t *testing.T, dataset muster.Dataset, x *fault) {
	f := newFarSide(t, emulator.Options{Devices: 40, Seed: 66}, func(o *emulator.ServerOptions) { o.Faults, o.PartMachines = x.wrap, 10 })
	db := tempDatabase(t)
	whole := emulator.Gathering{At: f.now, SoftwareRole: true}
	f.sync(db)
	open := f.open(db)

	f.at(1)
	x.on.Store(true)
	code, out, errs := f.muster(append([]string{"sync", "--db", "sqlite:" + db, "--json"}, f.flags()...)...)
	x.on.Store(false)
	var run runJSON
	oneObject(t, out, &run)
	if code != exitWarnings || run.State != "succeeded_with_warnings" || errs != "" {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	addUp(t, run)
	if !slices.Equal(codes(run), []string{"partial_read"}) || run.Warnings[0].Dataset != string(dataset) || !strings.HasPrefix(run.Warnings[0].Message, string(dataset)) {
		t.Errorf("warnings %+v, want one partial_read of %s", run.Warnings, dataset)
	}
	for d, got := range run.Datasets {
		if got.Complete == (d == dataset) {
			t.Errorf("%s is complete: %v", d, got.Complete)
		}
	}
	if d := run.Datasets[dataset]; d.Closed != 0 || d.New == 0 || d.Mode != muster.ModeFull {
		t.Errorf("the partial read of %s counts %+v", dataset, d)
	}
	after := f.open(db)
	for key := range open[dataset] {
		if !after[dataset][key] {
			t.Fatalf("a partial read of %s closed %s", dataset, key)
		}
	}
	if len(after[dataset]) <= len(open[dataset]) {
		t.Errorf("the partial read of %s added nothing", dataset)
	}

	for _, row := range f.export(db, "totals") {
		if dataset == muster.Vulnerabilities && row["day"] != epoch.Format(time.DateOnly) {
			t.Fatalf("a day without a complete read has totals: %v", row)
		}
	}

	next := whole
	next.At, next.Day = f.now, 1
	repaired := f.sync(db)
	if d := repaired.Datasets[dataset]; repaired.State != "succeeded" || !d.Complete || d.Closed == 0 && dataset != muster.Configuration {
		t.Errorf("the whole read after it: %s, %+v", repaired.State, d)
	}
	truth := f.world.Truth([]emulator.Gathering{whole, next})
	all := []string{"--state", "all", "--scope", "all"}
	compareRows(t, "machines", f.export(db, "machines", all...), truth.Machines())
	compareRows(t, "findings", openConfirmed(f.export(db, "findings", all...)), openConfirmed(truth.Findings()))
	compareRows(t, "software", openConfirmed(f.export(db, "software", all...)), openConfirmed(truth.Software()))
	compareRows(t, "configuration", f.export(db, "configuration", all...), truth.Configuration())
	compareRows(t, "totals", f.export(db, "totals"), truth.Totals())
}

// open is what stands, of machines in scope or not, by dataset and key.
func (f *farSide) open(db string) map[muster.Dataset]map[string]bool {
	f.t.Helper()
	found := map[muster.Dataset]map[string]bool{}
	for d, what := range map[muster.Dataset]string{muster.Vulnerabilities: "findings", muster.Software: "software", muster.Configuration: "configuration"} {
		found[d] = map[string]bool{}
		for key := range byKey(f.t, f.export(db, what, "--scope", "all")) {
			found[d][key] = true
		}
	}
	return found
}

// openConfirmed leaves out when closed rows were last confirmed: that is the machine's
// value at closing, and a partial read before it has moved it on.
func openConfirmed(rows []map[string]any) []map[string]any {
	for _, row := range rows {
		if row["state"] != "open" && row["state"] != "installed" {
			row["last_confirmed"] = nil
		}
	}
	return rows
}

// TestFailedMachineList: without the whole list nothing is applied, not even what came.
func TestFailedMachineList(t *testing.T) {
	t.Parallel()
	x := &fault{path: "/api/machines", answer: broken["cut"]}
	f := newFarSide(t, emulator.Options{Devices: 20, Seed: 67}, func(o *emulator.ServerOptions) { o.Faults = x.wrap })
	db := tempDatabase(t)
	f.sync(db)
	before := f.exports(db)
	f.at(1)
	x.on.Store(true)
	f.expectBadJSON(badInput{code: "bad_answer", exit: exitFailed}, db)
	if f.exports(db) != before {
		t.Error("half a list changed the data")
	}
}

// TestOneDayIsWarnedOf: the source reports about once a day.
func TestOneDayIsWarnedOf(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 5})
	code, out, errs := f.muster(append([]string{"sync", "--db", "sqlite:" + tempDatabase(t), "--datasets", "machines", "--stale-days", "1"}, f.flags()...)...)
	if code != exitDone || !strings.Contains(errs, "24 hours") {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
}
