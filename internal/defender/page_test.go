package defender

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
)

// ids reads to the end; it returns the ids that came and the error that ended it.
func ids[T any](rows func(func(Row[T], error) bool), id func(*T) Text) (got []string, err error) {
	for row, failed := range rows {
		if failed != nil {
			return got, failed
		}
		if row.Value != nil {
			got = append(got, id(row.Value).Value)
		}
	}
	return got, nil
}

func machineID(m *Machine) Text { return m.ID }

// list writes the rows from skip on, at most n of them, and perhaps a next link.
func list(w http.ResponseWriter, total, skip, n int, next string) {
	var b strings.Builder
	b.WriteString(`{"@odata.context":"c","value":[`)
	for i := skip; i < min(total, skip+n); i++ {
		if i > skip {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"m%06d"}`, i)
	}
	b.WriteString(`]`)
	if next != "" {
		quoted, _ := json.Marshal(next)
		fmt.Fprintf(&b, `,"@odata.nextLink":%s`, quoted)
	}
	b.WriteString(`}`)
	answerText(w, 200, b.String())
}

func option(r *http.Request, name string, otherwise int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil {
		return n
	}
	return otherwise
}

// service answers as the list of machines does: at most most rows, a next link
// only where no $top was given, and none at all where links is false.
func service(total, most int, links bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		skip, top := option(r, "$skip", 0), option(r, "$top", 0)
		next := ""
		if links && top == 0 && skip+most < total {
			next = fmt.Sprintf("https://api.example/api/machines?$skip=%d", skip+most)
		}
		if top == 0 || top > most {
			top = most
		}
		list(w, total, skip, top, next)
	}
}

func TestMachinesArriveWhole(t *testing.T) {
	for _, test := range []struct {
		name        string
		total, most int
		links       bool
		asked       []string
	}{
		{"none", 0, 10000, true, []string{"/api/machines"}},
		{"few", 3, 10000, true, []string{"/api/machines"}},
		{"next links", 25000, 10000, true, []string{"/api/machines", "/api/machines?$skip=10000", "/api/machines?$skip=20000"}},
		{"a full page without link", 10000, 10000, false, []string{
			"/api/machines", "/api/machines?$top=10000&$skip=0&$orderby=id", "/api/machines?$top=10000&$skip=10000&$orderby=id",
		}},
		{"no links", 25000, 10000, false, []string{
			"/api/machines", "/api/machines?$top=10000&$skip=0&$orderby=id", "/api/machines?$top=10000&$skip=10000&$orderby=id",
			"/api/machines?$top=10000&$skip=20000&$orderby=id", "/api/machines?$top=10000&$skip=25000&$orderby=id",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFar(t)
			f.api = service(test.total, test.most, test.links)
			got, err := ids(f.client().Machines(t.Context()), machineID)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got)
			if got = slices.Compact(got); len(got) != test.total {
				t.Errorf("%d machines, want %d", len(got), test.total)
			}
			if asked := f.asked(); !slices.Equal(asked, test.asked) {
				t.Errorf("asked for %q", asked)
			}
		})
	}
}

func TestA404IsAnEmptyMachineListOnlyAtItsBeginning(t *testing.T) {
	f := newFar(t)
	f.api = giving(404, `{"error":{"code":"ResourceNotFound","message":"No machines"}}`)
	if got, err := ids(f.client().Machines(t.Context()), machineID); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if err := f.client().Machine(t.Context(), "m1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a machine: %v", err)
	}
	f.api = giving(404, "")
	if err := last(f.client().Machines(t.Context())); !hasKind(err, BadAnswer) {
		t.Errorf("a 404 without code: %v", err)
	}
	f.api = giving(404, `{"error":{"code":"ResourceNotFound","message":"No machines"}}`)
	f.api = sequence(func(w http.ResponseWriter, _ *http.Request) {
		list(w, 20000, 0, 10000, "https://api.example/api/machines?$skip=10000")
	}, f.api)
	if got, err := ids(f.client().Machines(t.Context()), machineID); !errors.Is(err, ErrNotFound) || len(got) != 10000 {
		t.Errorf("%d, %v", len(got), err)
	}
}

func TestAntivirusAndCatalogueAreReadByTheirSizes(t *testing.T) {
	f := newFar(t)
	f.api = service(12000, 10000, true)
	c := f.client()
	if got, err := ids(c.AntivirusHealth(t.Context()), func(d *DeviceAVInfo) Text { return d.ID }); err != nil || len(got) != 12000 {
		t.Errorf("%d, %v", len(got), err)
	}
	f.api = service(9000, 5000, true) // a service that clamps $top
	if got, err := ids(c.Catalogue(t.Context(), time.Time{}), func(v *Vulnerability) Text { return v.ID }); err != nil || len(got) != 9000 {
		t.Errorf("%d, %v", len(got), err)
	}
	since := time.Date(2026, 11, 2, 13, 0, 0, 0, time.FixedZone("", 3600))
	if err := last(c.Catalogue(t.Context(), since)); err != nil {
		t.Error(err)
	}
	want := []string{
		"/api/deviceavinfo?$top=10000&$skip=0", "/api/deviceavinfo?$top=10000&$skip=10000", "/api/deviceavinfo?$top=10000&$skip=12000",
		"/api/vulnerabilities?$top=8000&$skip=0", "/api/vulnerabilities?$top=8000&$skip=5000", "/api/vulnerabilities?$top=8000&$skip=9000",
		"/api/vulnerabilities?$top=8000&$skip=0&$filter=updatedOn%20ge%202026-11-02T12:00:00Z",
	}
	if asked := f.asked(); len(asked) < len(want) || !slices.Equal(asked[:len(want)], want) {
		t.Errorf("asked for %q", asked)
	}
}

// TestVulnerabilitiesByMachine: short and empty pages do not end it, options may
// come in lower case, and a link may name a sibling host or hold blanks.
func TestVulnerabilitiesByMachine(t *testing.T) {
	f := newFar(t)
	page := func(row, next string) http.HandlerFunc {
		if next != "" {
			next = fmt.Sprintf(`"@odata.nextLink":%q,`, next)
		}
		return giving(200, fmt.Sprintf(`{%s"value":[%s]}`, next, row))
	}
	f.api = sequence(
		page(`{"deviceId":"a"}`, "https://api.example/api/machines/SoftwareVulnerabilitiesByMachine?pagesize=50000  &$skiptoken=t1"),
		page(``, "/api/machines/SoftwareVulnerabilitiesByMachine?pagesize=50000&$skiptoken=t2"),
		page(`{"deviceId":"b"}`, "https://api.securitycenter.microsoft.com/api/machines/SoftwareVulnerabilitiesTimeline?$skiptoken=t3"),
		page(`{"deviceId":"c"}`, ""),
	)
	got, err := ids(f.client().VulnerabilitiesByMachine(t.Context()), func(v *AssetVulnerability) Text { return v.DeviceID })
	if err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("%v, %v", got, err)
	}
	var hosts []string
	for _, r := range f.seen {
		if strings.HasPrefix(r.host, "api.") {
			hosts = append(hosts, r.host)
			if r.authorization == "" {
				t.Errorf("no token for %s", r.host)
			}
		}
	}
	if !slices.Equal(hosts, []string{"api.example", "api.example", "api.example", "api.securitycenter.microsoft.com"}) {
		t.Errorf("hosts %v", hosts)
	}
	if asked := f.asked(); asked[0] != "/api/machines/SoftwareVulnerabilitiesByMachine?pageSize=50000" || !strings.Contains(asked[1], "pagesize=50000%20%20&$skiptoken=t1") {
		t.Errorf("asked for %q", asked)
	}
}

func TestLinksThatAreNotFollowed(t *testing.T) {
	for _, next := range []string{
		"https://evil.example/api/machines?$skip=1", "https://127.0.0.1/api/machines?$skip=1", "http://api.example/api/machines?$skip=1",
		"https://api.example:8443/api/machines?$skip=1", "https://user@api.example/api/machines?$skip=1", "//evil.example/api",
		"https://api.example.evil.example/api", "https://evilsecurity.microsoft.com.example/api", "https://security.microsoft.com/api",
		"https://api.security.microsoft.com:8443/api", "https://wpatdadi-eus-stg.cloudapp.net/api/machines", "https://notsecuritycenter.microsoft.com/x",
		"https://api-gcc.securitycenter.microsoft.us/api/machines", "ftp://api.example/x", "https://api.example\\@evil.example/", "https://\u0000", "javascript:x",
		"https://api%2eexample/api",
	} {
		f := newFar(t)
		f.api = func(w http.ResponseWriter, r *http.Request) { list(w, 2, 0, 1, next) }
		got, err := ids(f.client().Machines(t.Context()), machineID)
		if !hasKind(err, RefusedLink) || len(got) != 1 {
			t.Errorf("%s: %v rows, %v", next, len(got), err)
		}
		for _, r := range f.seen {
			if r.host != "api.example" && r.host != "login.example" {
				t.Errorf("%s: called %s, token sent: %v", next, r.host, r.authorization != "")
			}
		}
		if len(f.asked()) != 1 {
			t.Errorf("%s: asked for %q", next, f.asked())
		}
	}
}

func TestHostsOfEachCloud(t *testing.T) {
	for _, test := range []struct {
		cloud, link string
		allowed     bool
	}{
		{"", "https://api.security.microsoft.com/x", true},
		{"commercial", "https://API-EU.securitycenter.microsoft.com:443/x", true},
		{"eu", "https://us.api.security.microsoft.com/x", true},
		{"commercial", "https://api-gov.securitycenter.microsoft.us/x", false},
		{"gcc-high", "https://api-gov.securitycenter.microsoft.us/x", true},
		{"dod", "https://api.securitycenter.microsoft.com/x", false},
		{"gcc", "https://api.security.microsoft.com/x", false},
	} {
		c, err := New(Config{TenantID: tenant, ClientID: application, Secret: planted, Cloud: test.cloud, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.next(c.link("/api/machines", ""), test.link); (err == nil) != test.allowed {
			t.Errorf("%s in the cloud %q: %v", test.link, test.cloud, err)
		}
	}
}

func TestLinksThatGoInCircles(t *testing.T) {
	for name, next := range map[string]func(n int) string{
		"the same for ever":   func(int) string { return "https://api.example/api/machines?$skip=10000" },
		"back to the start":   func(int) string { return "https://api.example/api/machines" },
		"a skip that shrinks": func(n int) string { return fmt.Sprintf("https://api.example/api/machines?$skip=%d", 50000-n) },
		"names in other case": func(n int) string { return fmt.Sprintf("https://api.example/api/machines?x=%d&$SKIP=10000", n) },
	} {
		n := 0
		f := newFar(t)
		f.api = func(w http.ResponseWriter, _ *http.Request) {
			n++
			list(w, n+1, n, 1, next(n))
		}
		if _, err := ids(f.client().Machines(t.Context()), machineID); !hasKind(err, BadAnswer) || n > 3 {
			t.Errorf("%s: %v after %d pages", name, err, n)
		}
	}
	f := newFar(t)
	f.api = func(w http.ResponseWriter, _ *http.Request) { list(w, 10, 0, 10, "") } // $skip has no effect
	if got, err := ids(f.client().AntivirusHealth(t.Context()), func(d *DeviceAVInfo) Text { return d.ID }); !hasKind(err, BadAnswer) || len(got) != 20 {
		t.Errorf("$skip without effect: %d rows, %v", len(got), err)
	}
}

// TestACutPageIsAskedForAgain: the rows come again, and the read goes on.
func TestACutPageIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		cut := func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"value":[{"id":"m0"},{"id":"m1"},`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		f.api = sequence(cut, cut, giving(200, `{"value":[{"id":"m0"},{"id":"m1"},{"id":"m2"}]}`))
		got, err := ids(f.client().Machines(t.Context()), machineID)
		if err != nil || !slices.Equal(got, []string{"m0", "m1", "m0", "m1", "m0", "m1", "m2"}) {
			t.Errorf("%v, %v", got, err)
		}
		f.api = cut
		got, err = ids(f.client().Machines(t.Context()), machineID)
		if !hasKind(err, Unreachable) || len(got) != 2*(1+maxRetries) {
			t.Errorf("%d rows, %v", len(got), err)
		}
	})
}

// TestAPageThatIsNotWholeIsAnError: ended too early, broken, or packed and cut.
func TestAPageThatIsNotWholeIsAnError(t *testing.T) {
	packed := func(w http.ResponseWriter, text string, cut int) {
		w.Header().Set("Content-Encoding", "gzip")
		var b strings.Builder
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
		fmt.Fprint(w, b.String()[:b.Len()-cut])
	}
	whole := `{"value":[{"id":"m0"},{"id":"m1"}]}`
	for name, answer := range map[string]http.HandlerFunc{
		"ends early":    giving(200, whole[:20]),
		"no end":        giving(200, whole[:len(whole)-1]),
		"broken row":    giving(200, `{"value":[{"id":"m0"},{"id":m1}]}`),
		"more after it": giving(200, whole+`x`),
		"gzip cut":      func(w http.ResponseWriter, _ *http.Request) { packed(w, whole, 4) },
		"gzip cut more": func(w http.ResponseWriter, _ *http.Request) { packed(w, whole, 12) },
	} {
		f := newFar(t)
		f.api = answer
		if _, err := ids(f.client().Machines(t.Context()), machineID); !hasKind(err, BadAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := newFar(t)
	f.api = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
		}
		packed(w, whole, 0)
	}
	if got, err := ids(f.client().Machines(t.Context()), machineID); err != nil || len(got) != 2 {
		t.Errorf("gzip: %v, %v", got, err)
	}
}

func TestRejectedRowsOfAPageDoNotEndIt(t *testing.T) {
	f := newFar(t)
	f.api = giving(200, `{"value":[{"id":"m0","osBuild":"x"},{"osBuild":1},7,{"id":"m3"}]}`)
	var got []string
	for row, err := range f.client().Machines(t.Context()) {
		switch {
		case err != nil:
			t.Fatal(err)
		case row.Rejected != nil:
			got = append(got, "rejected "+row.Rejected.Machine)
		default:
			got = append(got, row.Value.ID.Value)
		}
	}
	if !slices.Equal(got, []string{"rejected m0", "rejected ", "rejected ", "m3"}) {
		t.Errorf("%q", got)
	}
}

func TestIdsAreEscapedInPaths(t *testing.T) {
	f := newFar(t)
	f.api = func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 200, map[string]string{"id": r.URL.EscapedPath()})
	}
	c := f.client()
	if err := c.Machine(t.Context(), "a/../b?c#d e"); err != nil {
		t.Error(err)
	}
	row, err := c.CatalogueEntry(t.Context(), "CVE-1/../x")
	if err != nil || row.Value.ID.Value != "/api/vulnerabilities/"+url.PathEscape("CVE-1/../x") {
		t.Errorf("%+v, %v", row.Value, err)
	}
	if asked := f.asked(); asked[0] != "/api/machines/a/../b?c#d e" {
		t.Errorf("%q", asked)
	}
}
