package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"muster/internal/defender/emulator"
)

// codes lists the codes of a run's warnings.
func codes(run runJSON) []string {
	all := []string{}
	for _, w := range run.Warnings {
		all = append(all, w.Code)
	}
	return all
}

// TestWarnings: what is worth a warning ends with exit code 3, is told with advice, and
// costs no data.
func TestWarnings(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 30, Seed: 31})
	clean := tempDatabase(t)
	f.sync(clean)
	everything := f.exports(clean)
	for _, c := range []struct {
		name     string
		offset   string
		flags    []string
		want     []string
		says     string
		filtered bool
	}{
		{name: "clock 5 minutes ahead", offset: "5m", want: []string{}},
		{name: "clock more ahead", offset: "5m1s", want: []string{"clock_skew"}, says: "5m1s"},
		{name: "clock more behind", offset: "-23h59m", want: []string{"clock_skew"}, says: "23h59m"},
		{name: "tag that no machine has", flags: []string{"--tag", "No such tag"}, want: []string{"unknown_tag"}, says: `"No such tag"`, filtered: true},
		{name: "one tag of two", flags: []string{"--tag", "vip", "--tag", "VIPs"}, want: []string{"unknown_tag"}, says: `has the tag "VIPs"`, filtered: true},
		{name: "tag in other case", flags: []string{"--tag", "servers"}, want: []string{}, filtered: true},
		{name: "both", offset: "1h", flags: []string{"--tag", "None", "--tag", "Nobody"}, want: []string{"clock_skew", "unknown_tag"}, filtered: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g, db := f.on(t), tempDatabase(t)
			g.env["MUSTER_CLOCK_OFFSET"] = c.offset
			args := append(append([]string{"sync", "--db", "sqlite:" + db}, g.flags()...), c.flags...)
			code, out, errs := g.muster(args...)
			want := exitDone
			if len(c.want) > 0 {
				want = exitWarnings
			}
			if code != want || errs != "" {
				t.Errorf("exit code %d, want %d; standard error holds %q", code, want, errs)
			}
			for _, warning := range c.want {
				if !strings.Contains(out, "\nwarning "+warning) {
					t.Errorf("%s is not told: %s", warning, out)
				}
			}
			run := g.sync(db, c.flags...)
			if got := codes(run); !slices.Equal(got, c.want) {
				t.Errorf("warnings %v, want %v", got, c.want)
			}
			for _, w := range run.Warnings {
				if w.Message == "" || !strings.HasSuffix(w.Advice, ".") {
					t.Errorf("%+v lacks a sentence or advice", w)
				}
			}
			if c.says != "" && !strings.Contains(run.Warnings[0].Message, c.says) {
				t.Errorf("the sentence is %q, want %s in it", run.Warnings[0].Message, c.says)
			}
			if !c.filtered && g.exports(db) != everything {
				t.Error("the data are not those of a run without warnings")
			}
		})
	}
}

// TestMissingPermission: what the app may not read is stated and no warning; what it once
// could read is one.
func TestMissingPermission(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 20, Seed: 32})
	all, few := []string{"Machine.Read.All", "Vulnerability.Read.All", "Software.Read.All"}, []string{"Machine.Read.All", "Vulnerability.Read.All"}
	f.server.SetRoles(few)
	db := tempDatabase(t)
	code, out, errs := f.muster(append([]string{"sync", "--db", "sqlite:" + db}, f.flags()...)...)
	if code != exitDone || errs != "" || !strings.Contains(out, "\nsoftware: the app has no permission Software.Read.All; software comes from the vulnerability rows") {
		t.Fatalf("exit code %d, standard error %q: %s", code, errs, out)
	}
	expectSoftware := func(step string, run runJSON, state, mode string, warnings ...string) {
		t.Helper()
		f.now = f.now.Add(time.Minute) // exports may be asked for five times a minute
		d := run.Datasets["software"]
		if run.State != state || string(d.Mode) != mode || !slices.Equal(codes(run), append([]string{}, warnings...)) {
			t.Errorf("%s: %s, software %s, warnings %v; want %s, %s, %v", step, run.State, d.Mode, codes(run), state, mode, warnings)
		}
		if skipped := mode == "skipped"; skipped != (d.SkippedBecause != nil) || skipped && !strings.Contains(*d.SkippedBecause, "Software.Read.All") {
			t.Errorf("%s: skipped because %v", step, d.SkippedBecause)
		}
	}
	expectSoftware("never had it", f.sync(db), "succeeded", "skipped")
	f.server.SetRoles(all)
	expectSoftware("given", f.sync(db), "succeeded", "full")
	installed := f.export(db, "software")
	f.server.SetRoles(few)
	expectSoftware("taken away", f.sync(db), "succeeded_with_warnings", "skipped", "no_longer_readable")
	if len(f.export(db, "software")) != len(installed) {
		t.Error("what was known of software is gone with the permission")
	}
	expectSoftware("not asked for", f.sync(db, "--datasets", "machines,vulnerabilities"), "succeeded", "")
	f.server.SetRoles(all)
	expectSoftware("given back", f.sync(db), "succeeded", "unchanged")
}
