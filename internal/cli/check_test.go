package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"muster/internal/defender/emulator"
	"muster/internal/gather"
)

// checkSteps are the steps of every connection test, in this order.
var checkSteps = []string{
	"name resolution", "proxy and TLS", "token", "consent", "one machine", "one row of antivirus", "one row of software",
	"one row of vulnerabilities", "one row of configuration", "one row of catalogue", "machines let in by the filters",
}

// TestCheck: every step is told, in order, as passed, failed with advice or skipped with
// the reason; exports are never called.
func TestCheck(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 40, Seed: 71})
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte(wrongSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := deaf(t)
	var people, programs strings.Builder
	for _, c := range []struct {
		name    string
		flags   []string
		instead []string
		roles   []string
		exit    int
		varies  bool // the system's own words differ from one to the next
	}{
		{name: "everything"},
		{name: "filters", flags: []string{"--stale-days", "30", "--tag", "Servers", "--tag", "VIP", "--onboarded-only"}},
		{name: "two datasets", flags: []string{"--datasets", "vulnerabilities,catalogue"}},
		{name: "no Software.Read.All", roles: []string{"Machine.Read.All", "Vulnerability.Read.All"}},
		{name: "no Machine.Read.All", roles: []string{"Vulnerability.Read.All"}, exit: exitFailed},
		{name: "no permission", roles: []string{}, exit: exitFailed},
		{name: "wrong secret", instead: []string{"--client-secret-file", wrong}, exit: exitFailed},
		{name: "untrusted certificate", instead: []string{"--ca-file", ""}, exit: exitFailed, varies: true},
		{name: "nobody there", instead: []string{"--login-url", nobody, "--api-url", nobody}, exit: exitFailed, varies: true},
	} {
		f.server.SetRoles([]string{"Machine.Read.All", "Vulnerability.Read.All", "Software.Read.All"})
		if c.roles != nil {
			f.server.SetRoles(c.roles)
		}
		args := replaced(append(append([]string{"check"}, f.flags()...), c.flags...), c.instead...)
		code, text, errs := f.muster(args...)
		codeJSON, object, errsJSON := f.muster(append(args, "--json")...)
		if code != c.exit || codeJSON != c.exit || errs+errsJSON != "" {
			t.Errorf("%s: exit codes %d and %d, want %d; %s%s", c.name, code, codeJSON, c.exit, errs, errsJSON)
		}
		if !c.varies {
			people.WriteString("# " + c.name + "\n" + text)
			programs.WriteString("# " + c.name + "\n" + object)
		}
		expectSteps(t, c.name, object, c.exit == exitDone, strings.Count(text, "\n"))
	}
	golden(t, "check.txt", people.String())
	golden(t, "check.json.txt", programs.String())
	for _, call := range f.server.Calls() {
		if strings.Contains(call.Path, "Export") || strings.HasPrefix(call.Path, "/blobs/") {
			t.Errorf("%s was called", call.Path)
		}
	}
}

func expectSteps(t *testing.T, name, object string, passed bool, lines int) {
	t.Helper()
	var result checkJSON
	if err := json.Unmarshal([]byte(object), &result); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range result.Steps {
		names = append(names, s.Name)
		failed := s.State == gather.FailedStep
		if failed != (s.Code != "" && s.Advice != "") || s.State == gather.SkippedStep && s.Detail == "" {
			t.Errorf("%s: step %+v", name, s)
		}
	}
	if !slices.Equal(names, checkSteps) || result.Passed != passed || lines != len(checkSteps) {
		t.Errorf("%s: passed is %v, %d lines, steps %v", name, result.Passed, lines, names)
	}
}
