package emulator_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"muster/internal/defender/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is the world's time in the hands of a test.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// farSide is a running server with a client that trusts it.
type farSide struct {
	*emulator.Server
	t      testing.TB
	world  *emulator.World
	clock  *clock
	client *http.Client
	token  string
}

// morning is nine in the morning of day 3: the newest snapshot is three hours old.
func morning(w *emulator.World) time.Time {
	return w.Epoch().Add(3*24*time.Hour + 9*time.Hour)
}

func start(tb testing.TB, world emulator.Options, options emulator.ServerOptions) *farSide {
	tb.Helper()
	f := &farSide{t: tb, world: emulator.NewWorld(world)}
	f.clock = &clock{at: morning(f.world)}
	options.World, options.Now = f.world, f.clock.now
	server, err := emulator.Start(options)
	if err != nil {
		tb.Fatal(err)
	}
	f.Server = server
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(server.CAPEM()) {
		tb.Fatal("the CA certificate is not PEM")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	f.client = &http.Client{Transport: transport}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := server.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// day is the day that the clock stands in.
func (f *farSide) day() *emulator.Day {
	return f.world.Day(int(f.clock.now().Sub(f.world.Epoch()) / (24 * time.Hour)))
}

func (f *farSide) form() url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {f.ClientID()}, "client_secret": {f.Secret()},
		"scope": {"https://api.securitycenter.microsoft.com/.default"},
	}
}

// answer is a response whose body was read.
type answer struct {
	StatusCode int
	Proto      string
	Header     http.Header
}

// post asks the token endpoint for a token.
func (f *farSide) post(path string, form url.Values) (answer, map[string]any) {
	f.t.Helper()
	r, err := f.client.PostForm(f.LoginURL()+path, form)
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Body.Close()
	body := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		f.t.Fatal(err)
	}
	return answer{r.StatusCode, r.Proto, r.Header}, body
}

func (f *farSide) signIn() {
	f.t.Helper()
	r, body := f.post("/"+f.TenantID()+"/oauth2/v2.0/token", f.form())
	if r.StatusCode != http.StatusOK {
		f.t.Fatalf("sign-in: %d %v", r.StatusCode, body)
	}
	f.token = body["access_token"].(string)
}

// get calls an address of the API with the token, signing in first when there is none.
func (f *farSide) get(address string) (answer, []byte) {
	f.t.Helper()
	if f.token == "" {
		f.signIn()
	}
	return f.getWith(address, http.Header{"Authorization": {"Bearer " + f.token}})
}

func (f *farSide) getWith(address string, header http.Header) (answer, []byte) {
	f.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = f.APIURL() + address
	}
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header = header
	r, err := f.client.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{r.StatusCode, r.Proto, r.Header}, body
}

// page is an answer of a list.
type page struct {
	Context string            `json:"@odata.context"`
	Count   *int              `json:"@odata.count"`
	Value   []json.RawMessage `json:"value"`
	Next    string            `json:"@odata.nextLink"`
}

// list calls an address that must answer 200 with a list.
func (f *farSide) list(address string) page {
	f.t.Helper()
	r, body := f.get(address)
	if r.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %d %s", address, r.StatusCode, body)
	}
	var p page
	decode(f.t, body, &p)
	return p
}

// whole follows next links to the end.
func (f *farSide) whole(address string) (rows []json.RawMessage, pages []int) {
	f.t.Helper()
	for address != "" {
		p := f.list(address)
		rows, pages = append(rows, p.Value...), append(pages, len(p.Value))
		if p.Next == address {
			f.t.Fatalf("the next link %s leads to itself", address)
		}
		address = p.Next
	}
	return rows, pages
}

func decode(tb testing.TB, body []byte, into any) {
	tb.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		tb.Fatalf("%v in %.300s", err, body)
	}
}

// ids reads one text property of every row.
func ids(t *testing.T, rows []json.RawMessage, name string) []string {
	t.Helper()
	var all []string
	for _, row := range rows {
		var properties map[string]any
		if err := json.Unmarshal(row, &properties); err != nil {
			t.Fatal(err)
		}
		text, _ := properties[name].(string)
		all = append(all, text)
	}
	return all
}

func sample(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

var anyGUID = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func TestServesOverItsOwnCA(t *testing.T) {
	f := start(t, emulator.Options{Devices: 3}, emulator.ServerOptions{})
	if !strings.HasPrefix(f.APIURL(), "https://127.0.0.1:") || f.LoginURL() != f.APIURL() {
		t.Errorf("origins are %s and %s", f.APIURL(), f.LoginURL())
	}
	if r, err := http.Get(f.APIURL()); err == nil {
		r.Body.Close()
		t.Error("a client without the CA was served")
	}
	r, _ := f.get(strings.Replace(f.APIURL(), "127.0.0.1", "localhost", 1) + "/api/machines")
	if r.StatusCode != http.StatusOK || r.Proto != "HTTP/1.1" {
		t.Errorf("over localhost: %s %d", r.Proto, r.StatusCode)
	}
	if date := r.Header.Get("Date"); date != f.clock.now().Format(http.TimeFormat) {
		t.Errorf("Date is %q, not the world's clock", date)
	}
}

func TestListenHostIsInTheCertificate(t *testing.T) {
	f := start(t, emulator.Options{Devices: 3}, emulator.ServerOptions{Listen: "127.0.0.2:0"})
	if r, _ := f.get("/api/machines"); r.StatusCode != http.StatusOK || !strings.HasPrefix(f.APIURL(), "https://127.0.0.2:") {
		t.Errorf("%s answered %d", f.APIURL(), r.StatusCode)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	world := emulator.NewWorld(emulator.Options{Devices: 1})
	for name, o := range map[string]emulator.ServerOptions{
		"no world":    {Now: time.Now},
		"no clock":    {World: world},
		"bad address": {World: world, Now: time.Now, Listen: "nowhere"},
	} {
		if s, err := emulator.Start(o); err == nil {
			t.Errorf("%s: started %v", name, s.Close())
		}
	}
}

func TestAnswersAreEncodedAsOffered(t *testing.T) {
	f := start(t, emulator.Options{Devices: 30}, emulator.ServerOptions{})
	f.signIn()
	var plain []byte
	for _, c := range []struct {
		offer, encoding string
		open            func(io.Reader) (io.Reader, error)
	}{
		{"identity", "", func(r io.Reader) (io.Reader, error) { return r, nil }},
		{"gzip", "gzip", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
		{"gzip, deflate;q=0", "gzip", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
		{"gzip,deflate", "deflate", func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil }},
	} {
		r, body := f.getWith("/api/machines", http.Header{"Authorization": {"Bearer " + f.token}, "Accept-Encoding": {c.offer}})
		if got := r.Header.Get("Content-Encoding"); got != c.encoding || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("offered %q: encoded %q", c.offer, got)
		}
		in, err := c.open(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if plain == nil {
			plain = text
		}
		if !bytes.Equal(text, plain) {
			t.Errorf("offered %q: another text", c.offer)
		}
	}
}

func TestCallLog(t *testing.T) {
	f := start(t, emulator.Options{Devices: 3}, emulator.ServerOptions{})
	f.get("/api/machines?$top=1")
	f.getWith("/api/machines?$top=1", http.Header{})
	want := []emulator.Call{
		{Method: "POST", Path: "/" + f.TenantID() + "/oauth2/v2.0/token", Status: 200},
		{Method: "GET", Path: "/api/machines", Status: 200, Authorization: true},
		{Method: "GET", Path: "/api/machines", Status: 401},
	}
	if got := f.Calls(); !slices.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
}

func TestFaultsComeBeforeTheService(t *testing.T) {
	f := start(t, emulator.Options{Devices: 3}, emulator.ServerOptions{Faults: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/api/") {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	if r, _ := f.get("/api/machines"); r.StatusCode != http.StatusBadGateway {
		t.Errorf("answered %d", r.StatusCode)
	}
	if calls := f.Calls(); calls[len(calls)-1].Status != http.StatusBadGateway {
		t.Errorf("logged %v", calls)
	}
}
