package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"muster/internal/defender/emulator"
)

// local is a program of its own, without a far side: it brings one along.
func local(t *testing.T) *farSide {
	t.Helper()
	f := &farSide{t: t, env: map[string]string{}}
	f.at(0)
	return f
}

var (
	summaryRow = regexp.MustCompile(`(?m)^vulnerabilities +full +2026-11-0[23] 06:00Z`)
	fixedRow   = regexp.MustCompile(`(?m)^  fixed  (CVE|TVM)-\S+ on [0-9a-f]{12}…, in \S+ \S+, open since 20\S+Z$`)
	changedRow = regexp.MustCompile(`(?m)^  [A-Z]\S+ of [0-9a-f]{12}…: .+ → .+$`)
	change     = regexp.MustCompile(`(?m)^What changed: ([0-9,]+) findings opened, ([0-9,]+) fixed, [0-9,]+ came back; [0-9,]+ machines new, ([0-9,]+) changed\.$`)
)

// TestDemo: demo --once shows two gatherings, a day apart, and what has changed between
// them, and leaves a database that can be looked into.
func TestDemo(t *testing.T) {
	t.Parallel()
	f, dir := local(t), t.TempDir()
	code, out, errs := f.muster("demo", "--once", "--devices", "40", "--dir", dir)
	if code != exitDone || errs != "" {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	if n := strings.Count(out, "Connector demo: succeeded after"); n != 2 || len(summaryRow.FindAllString(out, -1)) != 2 {
		t.Errorf("%d summaries: %s", n, out)
	}
	m := change.FindStringSubmatch(out)
	if m == nil || m[1] == "0" || m[2] == "0" || m[3] == "0" {
		t.Errorf("what changed: %v", m)
	}
	if fixed, changed := fixedRow.FindAllString(out, -1), changedRow.FindAllString(out, -1); len(fixed) != shown || len(changed) != shown {
		t.Errorf("%d examples of fixed findings, %d of changed machines: %s", len(fixed), len(changed), out)
	}
	db := filepath.Join(dir, "muster.db")
	if fixed := f.export(db, "findings", "--state", "fixed"); number(int64(len(fixed))) != m[2] {
		t.Errorf("%d findings are fixed, the demo says %s", len(fixed), m[2])
	}
	// The commands that it names work as they stand.
	for line := range strings.SplitSeq(out, "\n") {
		if command, found := strings.CutPrefix(line, "  muster "); found {
			if code, _, errs := f.muster(strings.Fields(command)...); code != exitDone {
				t.Errorf("%q ends with %d: %s", line, code, errs)
			}
		}
	}
}

// TestDemoStays: without --once the API stays up for the command that the demo names.
func TestDemoStays(t *testing.T) {
	t.Parallel()
	f := local(t)
	dir := t.TempDir()
	expectSyncWorks(t, f, []string{"demo", "--devices", "10", "--dir", dir}, "The API stays up until Ctrl-C.")
}

// TestEmulate: it prints where it listens, the CA, tenant, client and where the secret is;
// the command that it prints gathers; an interrupt ends it.
func TestEmulate(t *testing.T) {
	for _, day := range []string{"0", "3"} {
		t.Run("day "+day, func(t *testing.T) {
			t.Parallel()
			f, dir := local(t), t.TempDir()
			out := expectSyncWorks(t, f, []string{"emulate", "--listen", "127.0.0.1:0", "--devices", "10", "--seed", "5", "--day", day, "--dir", dir}, "Ctrl-C ends it.")
			world := emulator.NewWorld(emulator.Options{Devices: 10, Seed: 5, Epoch: epoch})
			for name, want := range map[string]string{
				"login URL": `https://127\.0\.0\.1:\d+`, "API URL": `https://127\.0\.0\.1:\d+`, "CA file": regexp.QuoteMeta(filepath.Join(dir, "ca.pem")),
				"tenant": world.TenantID(), "client id": world.ClientID(), "secret": "in the file " + regexp.QuoteMeta(filepath.Join(dir, "client-secret")), "world": "10 machines, seed 5, day " + day,
			} {
				if !regexp.MustCompile(`(?m)^` + name + ` +` + want + `$`).MatchString(out) {
					t.Errorf("%s is not told as %s: %s", name, want, out)
				}
			}
			for _, name := range []string{"ca.pem", "client-secret"} {
				if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", name, info, err)
				}
			}
			secret, err := os.ReadFile(filepath.Join(dir, "client-secret"))
			if err != nil || strings.Contains(out, strings.TrimSpace(string(secret))) {
				t.Errorf("the secret is shown (%v)", err)
			}
		})
	}
}

// expectSyncWorks starts a program that serves, runs the sync that it prints, interrupts
// it, and gives what it printed.
func expectSyncWorks(t *testing.T, f *farSide, args []string, until string) string {
	t.Helper()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	reader, writer := io.Pipe()
	base := f.now
	serving := App{Args: args, Stdout: writer, Stderr: t.Output(), Getenv: func(string) string { return "" }, Now: func() time.Time { return base }}
	ended := make(chan int, 1)
	go func() {
		ended <- serving.Run(ctx)
		writer.Close()
	}()
	var out strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(out.String(), until) || !strings.Contains(out.String(), "--client-secret-file"); {
		n, err := reader.Read(buf)
		if out.Write(buf[:n]); err != nil {
			t.Fatalf("it ended (%v): %s", err, out.String())
		}
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	_, command, found := strings.Cut(strings.ReplaceAll(out.String(), "\\\n", " "), "muster sync ")
	if !found {
		t.Fatalf("no command is named: %s", out.String())
	}
	command, _, _ = strings.Cut(command, "\n")
	if _, offset, moved := strings.Cut(out.String(), "MUSTER_CLOCK_OFFSET="); moved {
		f.env["MUSTER_CLOCK_OFFSET"], _, _ = strings.Cut(offset, " ")
	}
	words := replaced(append([]string{"sync", "--json"}, strings.Fields(command)...), "--db", "sqlite:"+tempDatabase(t))
	code, text, errs := f.muster(words...)
	var run runJSON
	if oneObject(t, text, &run); code != exitDone || run.Datasets["machines"].Read < 10 {
		t.Errorf("the command that was printed ends with %d: %s%s", code, text, errs)
	}
	interrupt()
	if code := <-ended; code != exitDone {
		t.Errorf("interrupted, it ends with %d", code)
	}
	return out.String()
}

// TestServingBadInput: what cannot be served is refused before anything is written.
func TestServingBadInput(t *testing.T) {
	f := newFarSide(t, emulator.Options{Devices: 3, Seed: 91})
	taken := strings.TrimPrefix(f.server.APIURL(), "https://")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	for _, c := range []struct {
		args []string
		want badInput
	}{
		{[]string{"emulate", "--faults", file}, badInput{code: "invalid_faults", exit: exitUsage, says: "not in this version"}},
		{[]string{"emulate", "--devices", "0"}, badInput{code: "invalid_devices", exit: exitUsage}},
		{[]string{"emulate", "--devices", "many"}, badInput{code: "invalid_devices", exit: exitUsage}},
		{[]string{"emulate", "--day", "-1"}, badInput{code: "invalid_day", exit: exitUsage}},
		{[]string{"emulate", "--day=-1"}, badInput{code: "invalid_day", exit: exitUsage, says: "0 to 3650"}},
		{[]string{"emulate", "--listen", taken}, badInput{code: "invalid_listen", exit: exitUsage, says: taken}},
		{[]string{"emulate", "--listen", "nowhere"}, badInput{code: "invalid_listen", exit: exitUsage, says: "nowhere"}},
		{[]string{"emulate", "--listen", "127.0.0.1:0", "--dir", filepath.Join(file, "dir")}, badInput{code: "invalid_dir", exit: exitUsage, says: "cannot be written"}},
		{[]string{"demo", "--devices", "1000001"}, badInput{code: "invalid_devices", exit: exitUsage, says: "1,000,000"}},
		{[]string{"demo", "--devices", "3", "--dir", filepath.Join(file, "dir")}, badInput{code: "invalid_dir", exit: exitUsage, says: "cannot be written"}},
		{[]string{"demo", "now"}, badInput{code: "usage", exit: exitUsage}},
		{[]string{}, badInput{code: "usage", exit: exitUsage}},
		{[]string{"serve"}, badInput{code: "usage", exit: exitUsage, says: "serve"}},
		{[]string{"completion", "tcsh"}, badInput{code: "usage", exit: exitUsage, says: "tcsh"}},
		{[]string{"mappings", "--format", "xml"}, badInput{code: "invalid_format", exit: exitUsage, says: "xml"}},
	} {
		args := c.args
		if len(args) > 0 && args[0] == "emulate" && !strings.Contains(strings.Join(args, " "), "--dir") {
			args = append(args, "--dir", dir)
		}
		code, out, errs := f.muster(args...)
		if code != c.want.exit || out != "" {
			t.Errorf("%v: exit code %d, want %d; standard output %q", args, code, c.want.exit, out)
		}
		f.expectLine(c.want, errs)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a refused command made its folder")
	}
}

// TestVersionAndHelp: both are for standard output, and done.
func TestVersionAndHelp(t *testing.T) {
	f := local(t)
	if code, out, errs := f.muster("version"); code != exitDone || out != "muster dev\n" || errs != "" {
		t.Errorf("version: %d, %q, %q", code, out, errs)
	}
	for _, args := range [][]string{{"--help"}, {"sync", "--help"}, {"export", "--help"}} {
		if code, out, errs := f.muster(args...); code != exitDone || !strings.HasPrefix(out, "Usage: muster") || errs != "" {
			t.Errorf("%v: %d, %q, %q", args, code, out, errs)
		}
	}
}
