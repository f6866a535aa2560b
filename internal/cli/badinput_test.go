package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"muster/internal/defender/emulator"
)

// badInput is a gathering that must be refused or must fail.
type badInput struct {
	name string
	// instead are pairs of a flag and the value it has instead; "" takes the flag out.
	instead []string
	more    []string // arguments besides
	env     map[string]string
	roles   []string // of the app, where they are not the usual ones
	code    string
	exit    int
	says    string // part of the sentence
	syncs   bool   // a connection test knows nothing of it
	refused bool   // before anything was written, though the database had to be opened
	slow    bool   // tried again for seconds before it is given up
}

const (
	unknownID = "11111111-2222-3333-4444-555555555555"
	// plantedSecret is changed by every way of writing it down: URLs, JSON, shells.
	plantedSecret = `pl4nt%ed+&=;/?#"<é€>\ '~secret`
	wrongSecret   = `wr0ng%+&"\ €secret`
)

func badInputs(t *testing.T, f *farSide) []badInput {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	certificate, _ := appCertificate(t)
	pem, empty, blank := file("app.pem", string(certificate)), file("empty", ""), file("blank", " \n")
	missing, bound := filepath.Join(dir, "missing"), boundElsewhere(t)
	return []badInput{
		{name: "unknown flag", more: []string{"--bogus"}, code: "usage", exit: exitUsage, says: "unknown flag --bogus"},
		{name: "no tenant", instead: []string{"--tenant-id", ""}, code: "usage", exit: exitUsage, says: "missing flags: --tenant-id"},
		{name: "no client", instead: []string{"--client-id", ""}, code: "usage", exit: exitUsage, says: "missing flags: --client-id"},
		{name: "an argument too much", more: []string{"now"}, code: "usage", exit: exitUsage, says: "unexpected argument now"},
		{name: "tenant neither GUID nor domain", instead: []string{"--tenant-id", "contoso"}, code: "invalid_tenant_id", exit: exitUsage, says: `"contoso"`},
		{name: "tenant GUID too short", instead: []string{"--tenant-id", unknownID[:35]}, code: "invalid_tenant_id", exit: exitUsage},
		{name: "client no GUID", instead: []string{"--client-id", "my-app"}, code: "invalid_client_id", exit: exitUsage, says: `"my-app"`},
		{name: "client a domain", instead: []string{"--client-id", "contoso.com"}, code: "invalid_client_id", exit: exitUsage},
		{name: "no secret", instead: []string{"--client-secret-file", ""}, code: "invalid_client_secret", exit: exitUsage},
		{name: "secret and certificate", instead: []string{"--certificate-file", pem}, code: "invalid_certificate_file", exit: exitUsage, says: "both"},
		{
			name: "secret in the environment and certificate", instead: []string{"--client-secret-file", "", "--certificate-file", pem},
			env: map[string]string{"MUSTER_CLIENT_SECRET": plantedSecret}, code: "invalid_certificate_file", exit: exitUsage, says: "both",
		},
		{name: "secret file missing", instead: []string{"--client-secret-file", missing}, code: "invalid_client_secret_file", exit: exitUsage, says: "no such file"},
		{name: "secret file a folder", instead: []string{"--client-secret-file", dir}, code: "invalid_client_secret_file", exit: exitUsage, says: "cannot be read"},
		{name: "secret file empty", instead: []string{"--client-secret-file", empty}, code: "invalid_client_secret_file", exit: exitUsage, says: "is empty"},
		{name: "secret file blank", instead: []string{"--client-secret-file", blank}, code: "invalid_client_secret_file", exit: exitUsage, says: "is empty"},
		{name: "certificate missing", instead: []string{"--client-secret-file", "", "--certificate-file", missing}, code: "invalid_certificate_file", exit: exitUsage, says: "no such file"},
		{name: "certificate empty", instead: []string{"--client-secret-file", "", "--certificate-file", empty}, code: "invalid_certificate_file", exit: exitUsage, says: "is empty"},
		{name: "certificate without key", instead: []string{"--client-secret-file", "", "--certificate-file", f.files.ca}, code: "invalid_certificate_file", exit: exitUsage, says: "private key"},
		{
			name: "certificate password missing", instead: []string{"--client-secret-file", "", "--certificate-file", pem, "--certificate-password-file", missing},
			code: "invalid_certificate_password_file", exit: exitUsage,
		},
		{
			name: "PFX with a wrong password", instead: []string{"--client-secret-file", "", "--certificate-file", "testdata/app.pfx"},
			env: map[string]string{"MUSTER_CERTIFICATE_PASSWORD": wrongSecret}, code: "invalid_certificate_file", exit: exitUsage, says: "password",
		},
		{name: "CA file missing", instead: []string{"--ca-file", missing}, code: "invalid_ca_file", exit: exitUsage, says: "no such file"},
		{name: "CA file empty", instead: []string{"--ca-file", empty}, code: "invalid_ca_file", exit: exitUsage, says: "is empty"},
		{name: "CA file no certificate", instead: []string{"--ca-file", f.files.secret}, code: "invalid_ca_file", exit: exitUsage, says: "no certificate"},
		{name: "cloud unknown", instead: []string{"--cloud", "mars"}, code: "invalid_cloud", exit: exitUsage, says: `"mars"`},
		{name: "sign-in by http", instead: []string{"--login-url", "http" + strings.TrimPrefix(f.server.LoginURL(), "https")}, code: "invalid_login_url", exit: exitUsage, says: "https"},
		{name: "API by http", instead: []string{"--api-url", "http" + strings.TrimPrefix(f.server.APIURL(), "https")}, code: "invalid_api_url", exit: exitUsage, says: "https"},
		{name: "API address with a path", instead: []string{"--api-url", f.server.APIURL() + "/api?sig=" + wrongSecret}, code: "invalid_api_url", exit: exitUsage},
		{name: "sign-in address alone", instead: []string{"--api-url", ""}, code: "invalid_api_url", exit: exitUsage, says: "lacks"},
		{name: "API address alone", instead: []string{"--login-url", ""}, code: "invalid_login_url", exit: exitUsage, says: "lacks"},
		{name: "stale 0", more: []string{"--stale-days", "0"}, code: "invalid_stale_days", exit: exitUsage, says: "1 to 3650"},
		{name: "stale -1", more: []string{"--stale-days", "-1"}, code: "invalid_stale_days", exit: exitUsage, says: "-1"},
		{name: "stale =-1", more: []string{"--stale-days=-1"}, code: "invalid_stale_days", exit: exitUsage, says: "1 to 3650"},
		{name: "stale 99999", more: []string{"--stale-days", "99999"}, code: "invalid_stale_days", exit: exitUsage, says: "1 to 3650"},
		{name: "stale text", more: []string{"--stale-days", "a month"}, code: "invalid_stale_days", exit: exitUsage, says: "a month"},
		{name: "tag empty", more: []string{"--tag", ""}, code: "invalid_tag", exit: exitUsage, says: "empty"},
		{name: "tag blank", more: []string{"--tag", "VIP", "--tag", " \t"}, code: "invalid_tag", exit: exitUsage, says: "empty"},
		{name: "tags match some", more: []string{"--tags-match", "some"}, code: "invalid_tags_match", exit: exitUsage, says: "some"},
		{name: "dataset unknown", more: []string{"--datasets", "machines,alerts"}, code: "invalid_datasets", exit: exitUsage, says: `"alerts"`},
		{name: "connector without a name", more: []string{"--connector", " "}, code: "invalid_connector", exit: exitUsage, syncs: true},
		{name: "clock offset no duration", env: map[string]string{"MUSTER_CLOCK_OFFSET": "tomorrow"}, code: "invalid_clock_offset", exit: exitUsage, says: "tomorrow"},
		{name: "database unnamed", instead: []string{"--db", "sqlite:"}, code: "invalid_db", exit: exitUsage, syncs: true},
		{name: "database of an unknown kind", instead: []string{"--db", "mysql://u:" + wrongSecret + "@host/db"}, code: "invalid_db", exit: exitUsage, says: `"mysql"`, syncs: true},
		{name: "database a path alone", instead: []string{"--db", "muster.db"}, code: "invalid_db", exit: exitUsage, says: "names no database", syncs: true},
		{name: "database of keywords", instead: []string{"--db", "host=h password=" + wrongSecret}, code: "invalid_db", exit: exitUsage, says: "names no database", syncs: true},
		{name: "PostgreSQL not there", instead: []string{"--db", postgresURL("127.0.0.1:1")}, code: "database_unreachable", exit: exitFailed, says: "127.0.0.1:1", syncs: true},
		{name: "PostgreSQL address askew", instead: []string{"--db", "postgres://u:" + wrongSecret + "@host:port/db"}, code: "invalid_db", exit: exitUsage, says: "understood", syncs: true},
		{name: "database in a folder that is not there", instead: []string{"--db", "sqlite:" + filepath.Join(missing, "muster.db")}, code: "invalid_db", exit: exitUsage, says: "folder", syncs: true},
		{name: "database a folder", instead: []string{"--db", "sqlite:" + dir}, code: "invalid_db", exit: exitUsage, says: "not a file", syncs: true},
		{name: "database another file", instead: []string{"--db", "sqlite:" + pem}, code: "invalid_db", exit: exitUsage, says: "not a healthy SQLite database", syncs: true},

		{name: "wrong secret", instead: []string{"--client-secret-file", file("wrong", wrongSecret)}, code: "wrong_secret", exit: exitFailed},
		{name: "expired secret", instead: []string{"--client-secret-file", file("expired", f.server.ExpiredSecret())}, code: "expired_secret", exit: exitFailed, says: "expired"},
		{name: "certificate that is not the app's", instead: []string{"--client-secret-file", "", "--certificate-file", pem}, code: "wrong_secret", exit: exitFailed, says: "certificate"},
		{name: "unknown client", instead: []string{"--client-id", unknownID}, code: "unknown_client", exit: exitFailed},
		{name: "unknown tenant", instead: []string{"--tenant-id", unknownID, "--connector", "other"}, code: "unknown_tenant", exit: exitFailed, syncs: true},
		{name: "unknown domain", instead: []string{"--tenant-id", "nobody.example.com"}, code: "unknown_tenant", exit: exitFailed},
		{name: "no consent", roles: []string{}, code: "no_consent", exit: exitFailed},
		{name: "no permission for machines", roles: []string{"Vulnerability.Read.All", "Software.Read.All"}, code: "missing_role", exit: exitFailed, says: "Machine.Read.All"},
		{name: "untrusted certificate", instead: []string{"--ca-file", ""}, code: "untrusted_certificate", exit: exitFailed},
		{name: "nobody listens", instead: []string{"--login-url", deaf(t), "--api-url", deaf(t)}, code: "unreachable", exit: exitFailed, slow: true},
		{name: "tenant changed", instead: bound, code: "tenant_changed", exit: exitFailed, syncs: true, refused: true},
		{name: "domain of a tenant that changed", instead: append(bound, "--tenant-id", "contoso.onmicrosoft.com"), code: "tenant_changed", exit: exitFailed, syncs: true},
		{name: "clock a day and a half behind", env: map[string]string{"MUSTER_CLOCK_OFFSET": "-36h"}, code: "clock", exit: exitFailed, syncs: true},
		{name: "clock a day and a minute ahead", env: map[string]string{"MUSTER_CLOCK_OFFSET": "24h1m"}, code: "clock", exit: exitFailed, says: "24h1m", syncs: true},
	}
}

// TestBadInput: every bad input has its code, its exit code and one sentence with advice,
// and leaves the database as it was. Nothing that is shown holds a secret.
func TestBadInput(t *testing.T) {
	world := emulator.Options{Devices: 10, Seed: 21}
	f := newFarSide(t, world, func(o *emulator.ServerOptions) { o.Secret = plantedSecret })
	db := tempDatabase(t)
	f.sync(db)
	want := f.exports(db)
	leaksNothing(t, "database", readAll(t, filepath.Dir(db)))
	for _, c := range badInputs(t, f) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := f.on(t)
			maps.Copy(g.env, c.env)
			if c.roles != nil {
				g = newFarSide(t, world, func(o *emulator.ServerOptions) { o.Secret, o.Roles = plantedSecret, c.roles })
			}
			mine := copyOf(t, db)
			if !c.slow {
				g.expectBad(c, mine)
			}
			g.expectBadJSON(c, mine)
			if !c.syncs {
				g.expectBadCheck(c)
			}
			if c.exit == exitUsage {
				g.expectNoDatabase(c)
			}
			if sameFile(t, db, mine) {
				return
			}
			if c.exit == exitUsage || c.refused || f.on(t).exports(mine) != want {
				t.Error("the database is not as it was")
			}
			leaksNothing(t, "database", readAll(t, filepath.Dir(mine)))
		})
	}
}

// command is the call of a bad input, into a database.
func (c badInput) command(f *farSide, db string) []string {
	args := append(append([]string{"sync", "--db", "sqlite:" + db}, f.flags()...), c.more...)
	return replaced(args, c.instead...)
}

// expectBad looks at what a person is shown.
func (f *farSide) expectBad(c badInput, db string) {
	f.t.Helper()
	code, out, errs := f.muster(c.command(f, db)...)
	if code != c.exit {
		f.t.Errorf("exit code %d, want %d", code, c.exit)
	}
	f.expectLine(c, errs)
	if failed := strings.HasPrefix(out, "Connector default: failed") || strings.HasPrefix(out, "Connector other: failed"); out != "" && (!failed || c.exit == exitUsage) {
		f.t.Errorf("standard output holds %q", out)
	}
	leaksNothing(f.t, "standard output", out)
	leaksNothing(f.t, "standard error", errs)
}

// errorLine is how an error is told: a sentence, its code, advice.
var errorLine = regexp.MustCompile(`^error: ([^\n]*(?:[^\n.]|\.\.\.)) \[([a-z_]+)\]\. ([A-Z][^\n]*\.)\n$`)

func (f *farSide) expectLine(c badInput, errs string) (message, advice string) {
	f.t.Helper()
	m := errorLine.FindStringSubmatch(errs)
	if m == nil || m[2] != c.code || !strings.Contains(m[1], c.says) {
		f.t.Fatalf("standard error holds %q; want one line with code %s and %q", errs, c.code, c.says)
	}
	return m[1], m[3]
}

// expectBadJSON looks at what a program is shown, with the log on.
func (f *farSide) expectBadJSON(c badInput, db string) {
	f.t.Helper()
	code, out, errs := f.muster(append(c.command(f, db), "--json", "-v")...)
	if code != c.exit {
		f.t.Errorf("exit code %d with --json, want %d", code, c.exit)
	}
	last := strings.LastIndex(strings.TrimSuffix(errs, "\n"), "\n") + 1
	message, advice := f.expectLine(c, errs[last:])
	var run runJSON
	oneObject(f.t, out, &run)
	if run.State != "failed" || run.Error == nil || run.Error.Code != c.code || run.Error.Message != message || run.Error.Advice != advice {
		f.t.Errorf("--json gives %s, want code %s and %q", out, c.code, message)
	}
	leaksNothing(f.t, "standard output", out)
	leaksNothing(f.t, "log", errs)
}

// expectBadCheck looks at the connection test of the same source.
func (f *farSide) expectBadCheck(c badInput) {
	f.t.Helper()
	check := c.command(f, "")
	check[0] = "check"
	code, out, errs := f.muster(replaced(append(check, "--json", "-v"), "--db", "")...)
	var result checkJSON
	oneObject(f.t, out, &result)
	var codes []string
	if result.Error != nil {
		codes = append(codes, result.Error.Code)
	}
	for _, step := range result.Steps {
		if step.Code != "" {
			codes = append(codes, step.Code)
		}
	}
	if code != c.exit || result.Passed || len(codes) != 1 || codes[0] != c.code {
		f.t.Errorf("check ends with %d and %s, want %d and %s", code, out, c.exit, c.code)
	}
	leaksNothing(f.t, "standard output of check", out)
	leaksNothing(f.t, "log of check", errs)
}

// expectNoDatabase: what is refused makes no file.
func (f *farSide) expectNoDatabase(c badInput) {
	f.t.Helper()
	db := tempDatabase(f.t)
	f.muster(c.command(f, db)...)
	if _, err := os.Stat(db); !errors.Is(err, fs.ErrNotExist) {
		f.t.Errorf("a refused command made the database (%v)", err)
	}
}

// on is the same far side in another test, with an environment of its own.
func (f *farSide) on(t *testing.T) *farSide {
	g := *f
	g.t, g.env = t, maps.Clone(f.env)
	return &g
}

// exports gives everything that a database holds, but for its runs, as one text.
func (f *farSide) exports(db string) string {
	f.t.Helper()
	var all strings.Builder
	for _, what := range []string{"devices", "machines", "software", "findings", "configuration", "vulnerabilities", "history", "totals"} {
		code, out, errs := f.muster("export", what, "--db", "sqlite:"+db, "--state", "all", "--scope", "all")
		if code != exitDone {
			f.t.Fatalf("export %s ended with %d: %s", what, code, errs)
		}
		all.WriteString("# " + what + "\n" + out)
	}
	return all.String()
}

// replaced gives a command line in which flags have other values; "" takes a flag out.
func replaced(args []string, pairs ...string) []string {
	out := slices.Clone(args)
	for i := 0; i < len(pairs); i += 2 {
		for at := slices.Index(out, pairs[i]); at >= 0; at = slices.Index(out, pairs[i]) {
			out = slices.Delete(out, at, at+2)
		}
		if pairs[i+1] != "" {
			out = append(out, pairs[i], pairs[i+1])
		}
	}
	return out
}

// oneObject decodes the only thing that text may hold.
func oneObject(t *testing.T, text string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("standard output is no such object: %v: %q", err, text)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("standard output holds more than one object: %q", text)
	}
}

func copyOf(t *testing.T, db string) string {
	t.Helper()
	return copyTo(t, db, tempDatabase(t))
}

// unverified is a copy to be damaged.
func unverified(t *testing.T, db string) string {
	t.Helper()
	return copyTo(t, db, filepath.Join(t.TempDir(), "muster.db"))
}

func copyTo(t *testing.T, db, path string) string {
	t.Helper()
	data, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	x, errA := os.ReadFile(a)
	y, errB := os.ReadFile(b)
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

// readAll gives the bytes of all files in a folder.
func readAll(t *testing.T, dir string) string {
	t.Helper()
	var all bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// deaf is an https origin where nobody listens.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "https://" + l.Addr().String()
}

// boundElsewhere names another tenant than the one of the bad inputs.
func boundElsewhere(t *testing.T) []string {
	t.Helper()
	other := newFarSide(t, emulator.Options{Devices: 3, Seed: 22})
	return other.flags()
}
