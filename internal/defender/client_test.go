package defender

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// sequence answers the nth request with the nth handler, then with the last.
func sequence(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handlers[min(n, len(handlers)-1)]
		n++
		mu.Unlock()
		h(w, r)
	}
}

func giving(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header()[headers[i]] = []string{headers[i+1]} // as spelled, and over the server's own
		}
		answerText(w, status, body)
	}
}

const refusedToken = `{"error":{"code":"Unauthorized","message":"Access token is not valid"}}`

func TestA401RenewsTheTokenOnce(t *testing.T) {
	f := newFar(t)
	f.api = sequence(giving(401, refusedToken), giving(200, emptyList))
	c := f.client()
	if err := last(c.AntivirusHealth(t.Context())); err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for _, r := range f.seen {
		if r.host == "api.example" {
			tokens = append(tokens, r.authorization)
		}
	}
	if len(tokens) != 2 || tokens[0] != "Bearer "+token(1) || tokens[1] != "Bearer "+token(2) {
		t.Errorf("tokens sent: %q", tokens)
	}

	f.api = giving(401, refusedToken)
	if err := last(c.AntivirusHealth(t.Context())); !hasKind(err, Unauthorized) {
		t.Errorf("refused for ever: %v", err)
	}
	if f.tokens != 3 || len(f.asked()) != 4 {
		t.Errorf("%d tokens and %d calls, want 3 and 4", f.tokens, len(f.asked()))
	}
}

func TestTokensThatAreRefusedAtOnceAreRenewedOnce(t *testing.T) {
	f := newFar(t)
	var both sync.WaitGroup
	both.Add(2)
	f.api = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+token(1) {
			both.Done()
			both.Wait() // both calls carry the old token
			answerText(w, 401, refusedToken)
			return
		}
		answerText(w, 200, emptyList)
	}
	c := f.client()
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			if err := last(c.AntivirusHealth(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if f.tokens != 2 {
		t.Errorf("%d tokens, want 2", f.tokens)
	}
}

// TestWaits counts the time until the second call, which is good.
func TestWaits(t *testing.T) {
	throttled := string(sample(t, "error-429-per-minute.json")) // "… again in 8 seconds."
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		least  time.Duration
		most   time.Duration
		counts bool // as throttled
	}{
		{"seconds", giving(429, throttled, "Retry-After", "17"), 17 * time.Second, 17 * time.Second, true},
		{"more than an hour", giving(429, throttled, "Retry-After", "3700"), 3700 * time.Second, 3700 * time.Second, true},
		{"date", giving(429, throttled, "Retry-After", "Mon, 02 Nov 2026 12:00:45 GMT", "Date", "Mon, 02 Nov 2026 12:00:00 GMT"), 45 * time.Second, 45 * time.Second, true},
		{"sentence", giving(429, throttled), 8 * time.Second, 8 * time.Second, true},
		{"header before sentence", giving(429, throttled, "Retry-After", "3"), 3 * time.Second, 3 * time.Second, true},
		{"nothing said", giving(429, `{"error":{"code":"TooManyRequests","message":"slow down"}}`), 30 * time.Second, 30 * time.Second, true},
		{"503 with a wait", giving(503, "", "Retry-After", "20"), 20 * time.Second, 20 * time.Second, false},
		{"500", giving(500, ""), 300 * time.Millisecond, time.Second, false},
		{"502 page", giving(502, "<html>bad gateway"), 300 * time.Millisecond, time.Second, false},
		{"504", giving(504, ""), 300 * time.Millisecond, time.Second, false},
		{"408", giving(408, ""), 300 * time.Millisecond, time.Second, false},
		{"reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 300 * time.Millisecond, time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFar(t)
				f.api = sequence(test.answer, giving(200, emptyList))
				c := f.client()
				from := time.Now()
				if err := last(c.AntivirusHealth(t.Context())); err != nil {
					t.Fatal(err)
				}
				took := time.Since(from)
				if took < test.least || took > test.most {
					t.Errorf("waited %v, want %v to %v", took, test.least, test.most)
				}
				if got := c.Traffic().Throttled; got != map[bool]time.Duration{true: took}[test.counts] {
					t.Errorf("%v throttled of %v", got, took)
				}
			})
		})
	}
}

func TestARetryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		f.api = giving(500, `{"error":{"code":"InternalServerError","message":""}}`)
		if err := last(f.client().AntivirusHealth(t.Context())); !hasKind(err, ServerFault) {
			t.Error(err)
		}
		if n := len(f.asked()); n != 1+maxRetries {
			t.Errorf("%d calls", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		f.api = giving(429, `{"error":{"code":"429","message":"no"}}`, "Retry-After", "99999")
		from := time.Now()
		err := last(f.client().AntivirusHealth(t.Context()))
		var e *Error
		if !errors.As(err, &e) || e.Kind != Throttled || e.RetryAfter != 99999*time.Second || time.Since(from) > time.Second {
			t.Errorf("%v after %v", err, time.Since(from))
		}
	})
}

func TestCancelling(t *testing.T) {
	for name, cause := range map[string]http.HandlerFunc{
		"while the service thinks": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"while waiting":            giving(429, "", "Retry-After", "60"),
		"while rows come": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"value":[{"id":"a"},`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFar(t)
				f.api = cause
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				time.AfterFunc(5*time.Second, cancel)
				if err := last(f.client().AntivirusHealth(ctx)); err != context.Canceled { //nolint:errorlint // the error itself is promised
					t.Errorf("%v, want context.Canceled itself", err)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		f.login = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := f.client().SignIn(ctx); err != context.DeadlineExceeded { //nolint:errorlint // the error itself is promised
			t.Errorf("%v, want the deadline itself", err)
		}
	})
}

func TestTheSourcesClock(t *testing.T) {
	f := newFar(t)
	f.api = giving(200, emptyList, "Date", "Mon, 02 Nov 2026 12:00:00 GMT")
	ours := time.Date(2026, 11, 2, 12, 7, 30, 0, time.UTC)
	c := f.client(func(c *Config) { c.Now = func() time.Time { return ours } })
	if !c.SourceTime().IsZero() || c.Skew() != 0 {
		t.Error("a clock before the first answer")
	}
	if err := last(c.AntivirusHealth(t.Context())); err != nil {
		t.Fatal(err)
	}
	if c.SourceTime() != time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC) || c.Skew() != -7*time.Minute-30*time.Second {
		t.Errorf("%v, %v", c.SourceTime(), c.Skew())
	}
}

func TestReserveIsAskedBeforeEachExport(t *testing.T) {
	f := newFar(t)
	f.api = sequence(giving(200, `{"exportFiles":[]}`))
	var asked []string
	refuse := errors.New("no calls left")
	c := f.client(func(c *Config) {
		c.Reserve = func(_ context.Context, endpoint string) error {
			if asked = append(asked, endpoint); len(asked) == 3 {
				return refuse
			}
			return nil
		}
	})
	for range 2 {
		if _, err := c.Export(t.Context(), ConfigurationExport); err != nil {
			t.Fatal(err)
		}
	}
	f.api = giving(200, emptyList)
	if err := last(c.AntivirusHealth(t.Context())); err != nil {
		t.Error(err)
	}
	if _, err := c.Export(t.Context(), ConfigurationExport); !errors.Is(err, refuse) {
		t.Errorf("%v, want what Reserve says", err)
	}
	if fmt.Sprint(asked) != "[SecureConfigurationsAssessmentExport SecureConfigurationsAssessmentExport SecureConfigurationsAssessmentExport]" || len(f.asked()) != 3 {
		t.Errorf("asked for %v, called %v", asked, f.asked())
	}
	if got := f.asked()[0]; got != "/api/machines/SecureConfigurationsAssessmentExport?sasValidHours=6" {
		t.Errorf("called %s", got)
	}
}

// TestBudgets: the sixth call of an export within a minute waits, and the wait is
// counted. Another export has a budget of its own.
func TestBudgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		f.api = giving(200, `{"exportFiles":[]}`)
		c := f.client()
		from := time.Now()
		for range 6 {
			if _, err := c.Export(t.Context(), VulnerabilityExport); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Export(t.Context(), SoftwareExport); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(from); took != minuteWindow || c.Traffic().Throttled != took {
			t.Errorf("six exports took %v, throttled %v", took, c.Traffic().Throttled)
		}
	})
}

func TestNothingIsLeftRunning(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("", func(t *testing.T) {
		f := newFar(t)
		f.api = giving(200, `{"value":[{"id":"a"},{"id":"b"},{"id":"c"}]}`)
		c := f.client()
		for row, err := range c.Machines(t.Context()) {
			if err != nil || row.Value.ID.Value != "a" {
				t.Error(row, err)
			}
			break // the rest of the page is not wanted
		}
		if err := last(c.Machines(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func TestHostsThatCannotBeReached(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for _, test := range []struct {
		name, origin string
		authorities  []byte
		kind         Kind
	}{
		{"unknown authority", server.URL, nil, UntrustedCertificate},
		{"another name", "https://localhost:" + port, authority, UntrustedCertificate},
		{"trusted", server.URL, authority, ""},
		{"refused", "https://127.0.0.1:1", nil, Unreachable},
		{"no TLS", "https" + strings.TrimPrefix(plain.URL, "http"), nil, BadAnswer},
	} {
		c, err := New(Config{
			TenantID: tenant, ClientID: application, Secret: planted, CAs: test.authorities,
			LoginURL: test.origin, APIURL: test.origin, Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Reach(t.Context()); (err != nil || test.kind != "") && !hasKind(err, test.kind) {
			t.Errorf("%s: %v, want %q", test.name, err, test.kind)
		}
		c.Close()
	}
}

// TestAHostThatIsNotThereIsNotTriedForLong: three times, where a broken one is tried six times.
func TestAHostThatIsNotThereIsNotTriedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		c := f.client()
		if _, err := c.SignIn(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Close()
		dials := 0
		c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			dials++
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "api.example", IsNotFound: true}}
		}
		if err := last(c.AntivirusHealth(t.Context())); !hasKind(err, Unreachable) || dials != maxDials {
			t.Errorf("%v after %d tries", err, dials)
		}
	})
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		f.api = func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"value":[{"id":"a"},`)
			w.(http.Flusher).Flush()
			<-r.Context().Done() // and nothing more
		}
		from := time.Now()
		err := last(f.client().AntivirusHealth(t.Context()))
		if !hasKind(err, Unreachable) || !strings.Contains(err.Error(), "no data for") {
			t.Error(err)
		}
		if took, least := time.Since(from), (1+maxRetries)*idleLimit; took < least || took > least+time.Minute {
			t.Errorf("gave up after %v", took)
		}
	})
}

// TestProxies uses a proxy that refuses and one that is not there.
func TestProxies(t *testing.T) {
	for _, test := range []struct {
		answer string
		status int
	}{
		{"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", 407},
		{"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403},
	} {
		e := proxyRefusal(t, test.answer)
		if e == nil || e.Kind != Proxy || e.Status != test.status || strings.Contains(e.Error(), "passw0rd") {
			t.Errorf("%+v, want %d of the proxy", e, test.status)
		}
	}
	if e := proxyRefusal(t, ""); e == nil || e.Kind != Proxy || strings.Contains(e.Error(), "passw0rd") {
		t.Errorf("no proxy there: %+v", e)
	}
}
