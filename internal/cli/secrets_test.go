package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/internal/defender/emulator"
)

// traces are the forms in which a secret, token or signature could show.
func traces() []string {
	all := []string{"Bearer ", "eyJ", "sig=", "sig%3D", "client_secret=", "client_assertion=", "PRIVATE KEY"}
	for _, secret := range []string{plantedSecret, wrongSecret} {
		quoted, err := json.Marshal(secret)
		if err != nil {
			panic(err) // a string always encodes
		}
		all = append(all, secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(quoted), `"`))
		// The encoding of a part of a longer text depends on where it begins.
		for skip := range 3 {
			whole := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", skip) + secret))
			all = append(all, whole[4:len(whole)-4], strings.NewReplacer("+", "-", "/", "_").Replace(whole[4:len(whole)-4]))
		}
	}
	return all
}

// leaksNothing fails where a text holds a secret, a token or a signature.
func leaksNothing(t *testing.T, what, text string) {
	t.Helper()
	text = strings.NewReplacer("Bearer [secret]", "", "=[secret]", "").Replace(text) // where one was taken out
	for _, trace := range traces() {
		if at := strings.Index(text, trace); at >= 0 {
			t.Errorf("%s holds %q: …%.200q", what, trace, text[max(0, at-80):])
		}
	}
}

// TestNothingSecretIsShown runs every command in its good way with the log on: nothing
// that is printed, stored, exported or sent in an address holds a secret.
func TestNothingSecretIsShown(t *testing.T) {
	t.Parallel()
	f := newFarSide(t, emulator.Options{Devices: 20, Seed: 101}, func(o *emulator.ServerOptions) { o.Secret, o.TokenLifetime = plantedSecret, time.Minute })
	db := tempDatabase(t)
	run := func(want int, args ...string) {
		t.Helper()
		code, out, errs := f.muster(append([]string{"-v"}, args...)...)
		if code != want {
			t.Errorf("%v ends with %d: %s", args, code, errs)
		}
		leaksNothing(t, args[0]+" on standard output", out)
		leaksNothing(t, args[0]+" on standard error", errs)
		if reads := args[0] == "sync" || args[0] == "check"; reads && !strings.Contains(errs, "/api/machines") {
			t.Errorf("-v logs nothing of %s, so that this test proves nothing: %s", args[0], errs)
		}
	}
	for day := range 2 {
		f.at(day)
		run(exitDone, append([]string{"sync", "--db", "sqlite:" + db, "--datasets", "machines,antivirus,software,vulnerabilities,configuration,catalogue,information"}, f.flags()...)...)
		run(exitDone, append([]string{"sync", "--db", "sqlite:" + db, "--json"}, f.flags()...)...)
	}
	run(exitDone, append([]string{"check"}, f.flags()...)...)
	run(exitDone, append([]string{"check", "--json"}, f.flags()...)...)
	for _, what := range []string{"devices", "machines", "software", "findings", "configuration", "vulnerabilities", "history", "totals", "runs"} {
		run(exitDone, "export", what, "--db", "sqlite:"+db, "--state", "all", "--scope", "all")
	}
	run(exitDone, "mappings")
	run(exitDone, "demo", "--once", "--devices", "5", "--dir", t.TempDir())
	leaksNothing(t, "database", readAll(t, filepath.Dir(db)))
	for _, call := range f.server.Calls() {
		leaksNothing(t, "an address", call.Path)
		if call.Authorization != strings.HasPrefix(call.Path, "/api/") {
			t.Errorf("%s came with a token: %v", call.Path, call.Authorization)
		}
	}
}

// TestEchoedSecrets: a far side, or a proxy before it, that gives back in its errors all
// that it was sent brings no secret into what is printed or stored.
func TestEchoedSecrets(t *testing.T) {
	for _, c := range []struct {
		name, path string
		answer     func(w http.ResponseWriter, sent string)
		code       string // of the error; "" = a warning
	}{
		{"sign-in", "/oauth2/", func(w http.ResponseWriter, sent string) {
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client", "error_description": "AADSTS7000215: " + sent})
		}, "wrong_secret"},
		{"sign-in, no JSON", "/oauth2/", func(w http.ResponseWriter, sent string) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, sent)
		}, "bad_answer"},
		{"sign-in, another token", "/oauth2/", func(w http.ResponseWriter, sent string) {
			_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": sent})
		}, "bad_answer"},
		{"machines", "/api/machines$", func(w http.ResponseWriter, sent string) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": sent, "message": sent}})
		}, "bad_answer"},
		{"machines, no JSON", "/api/machines$", func(w http.ResponseWriter, sent string) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, sent)
		}, "bad_answer"},
		{"rows", "/api/machines$", func(w http.ResponseWriter, sent string) {
			_, _ = io.WriteString(w, `{"value":[`+sent)
		}, "bad_answer"},
		{"next link", "/api/machines$", func(w http.ResponseWriter, sent string) {
			_ = json.NewEncoder(w).Encode(map[string]any{"value": []any{}, "@odata.nextLink": "https://evil.example/?" + url.QueryEscape(sent) + "&sig=abc"})
		}, "refused_link"},
		{"export", "Export$", func(w http.ResponseWriter, sent string) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": "Bad", "message": sent}})
		}, "bad_answer"},
		{"file", "/blobs/", func(w http.ResponseWriter, sent string) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Code>"+sent+"</Code><Message>"+sent+"</Message></Error>")
		}, ""},
		{"file's rows", "/blobs/", func(w http.ResponseWriter, sent string) { _, _ = io.WriteString(w, sent) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := &fault{path: c.path, answer: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				body, _ := io.ReadAll(r.Body)
				c.answer(w, fmt.Sprintf("%s %s %s secret %s", r.URL.RequestURI(), r.Header.Get("Authorization"), body, plantedSecret))
			}}
			x.on.Store(true)
			f := newFarSide(t, emulator.Options{Devices: 5, Seed: 102}, func(o *emulator.ServerOptions) { o.Secret, o.Faults = plantedSecret, x.wrap })
			db := tempDatabase(t)
			for _, flags := range [][]string{{"--json"}, {"-v"}} {
				code, out, errs := f.muster(append(append([]string{"sync", "--db", "sqlite:" + db, "--datasets", "configuration"}, f.flags()...), flags...)...)
				if code != exitFailed || c.code != "" && !strings.Contains(errs, "["+c.code+"]") {
					t.Errorf("exit code %d: %s%s", code, out, errs)
				}
				leaksNothing(t, "standard output", out)
				leaksNothing(t, "standard error", errs)
			}
			code, out, errs := f.muster(append([]string{"check", "-v"}, f.flags()...)...)
			if leaksNothing(t, "check", out+errs); (code == exitDone) != (c.path == "/blobs/" || c.path == "Export$") {
				t.Errorf("check ends with %d: %s%s", code, out, errs)
			}
			_, runs, _ := f.muster("export", "runs", "--db", "sqlite:"+db)
			leaksNothing(t, "runs", runs)
			leaksNothing(t, "database", readAll(t, filepath.Dir(db)))
		})
	}
}

// TestTracesAreFound: the search itself finds a secret in every form.
func TestTracesAreFound(t *testing.T) {
	for _, text := range []string{plantedSecret, url.QueryEscape(plantedSecret), "x" + base64.StdEncoding.EncodeToString([]byte("id:"+plantedSecret)), "Authorization: Bearer abc", "?sig=abc"} {
		found := false
		for _, trace := range traces() {
			found = found || strings.Contains(text, trace)
		}
		if !found {
			t.Errorf("no trace is found in %q", text)
		}
	}
}
