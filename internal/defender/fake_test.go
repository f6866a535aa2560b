package defender

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	tenant      = "11111111-2222-3333-4444-555555555555"
	application = "66666666-7777-8888-9999-000000000000"
	planted     = "pl4nted~Secret+value/with=signs"
)

// far is the far side of a test: sign-in, API and file storage over TLS on a
// network of pipes, so that it also works where time is synctest's.
type far struct {
	t     *testing.T
	login http.HandlerFunc // nil gives tokens
	api   http.HandlerFunc
	files http.HandlerFunc
	roots *x509.CertPool

	mu     sync.Mutex
	tokens int        // given so far
	seen   []*request // in order
	log    bytes.Buffer
	dials  int
}

// request is one request as the far side saw it.
type request struct {
	host, path, query, authorization string
	header                           http.Header
}

// newFar starts the far side; the test's end stops it.
func newFar(t *testing.T) *far {
	t.Helper()
	f := &far{t: t}
	certificate, roots := authority(t)
	f.roots = roots
	listener := &pipes{connections: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{
		Handler: f, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}},
	}
	var done sync.WaitGroup
	done.Go(func() { _ = server.ServeTLS(listener, "", "") })
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
	t.Cleanup(func() {
		if text := f.log.String(); strings.Contains(text, planted) || strings.Contains(text, "eyJ") || strings.Contains(text, "sig=") {
			t.Errorf("the log holds a secret: %s", text)
		}
	})
	network = func(ctx context.Context, _, _ string) (net.Conn, error) {
		f.mu.Lock()
		f.dials++
		f.mu.Unlock()
		near, there := net.Pipe()
		select {
		case listener.connections <- there:
			return near, nil
		case <-listener.closed:
			return nil, errors.New("the far side is gone")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return f
}

// network connects the client to the far side; tests of one package run one after another.
var network func(ctx context.Context, kind, address string) (net.Conn, error)

func (f *far) config() Config {
	return Config{
		TenantID: tenant, ClientID: application, Secret: planted,
		LoginURL: "https://login.example", APIURL: "https://api.example", Now: time.Now, UserAgent: "Muster-test/1",
		Log: slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// client is a client of the far side; change may alter its configuration.
func (f *far) client(change ...func(*Config)) *Client {
	f.t.Helper()
	config := f.config()
	for _, c := range change {
		c(&config)
	}
	s, err := config.settings()
	if err != nil {
		f.t.Fatal(err)
	}
	s.roots = f.roots
	transport := newTransport(s)
	transport.DialContext, transport.Proxy = network, nil
	c, err := newClient(s, transport)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

func (f *far) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.seen = append(f.seen, &request{r.Host, r.URL.Path, r.URL.RawQuery, r.Header.Get("Authorization"), r.Header})
	f.mu.Unlock()
	switch {
	case strings.HasPrefix(r.Host, "login.") && f.login != nil:
		f.login(w, r)
	case strings.HasPrefix(r.Host, "login."):
		f.signIn(w, r)
	case strings.HasPrefix(r.Host, "blob."):
		f.files(w, r)
	default:
		f.api(w, r)
	}
}

// signIn gives discovery and tokens, each token another.
func (f *far) signIn(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		base := "https://" + r.Host + "/" + tenant
		answerJSON(w, 200, map[string]string{
			"token_endpoint": base + "/oauth2/v2.0/token", "authorization_endpoint": base + "/oauth2/v2.0/authorize",
			"issuer": base + "/v2.0", "jwks_uri": base + "/keys",
		})
		return
	}
	if err := r.ParseForm(); err != nil || r.Form.Get("client_secret") != planted && r.Form.Get("client_assertion") == "" {
		answerText(w, 401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided: `+r.Form.Get("client_secret")+`"}`)
		return
	}
	f.mu.Lock()
	f.tokens++
	n := f.tokens
	f.mu.Unlock()
	answerJSON(w, 200, map[string]any{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token(n)})
}

// token is the nth token: a JWT with the claims that the client reads.
func token(n int) string {
	claims, _ := json.Marshal(map[string]any{"tid": tenant, "appid": application, "roles": []string{"Machine.Read.All"}, "uti": fmt.Sprint(n)})
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + part(claims) + "." + part([]byte("signature"))
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	text, _ := json.Marshal(body)
	answerText(w, status, string(text))
}

func answerText(w http.ResponseWriter, status int, body string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json; odata.metadata=minimal; charset=utf-8")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// asked are the paths and queries of the API's requests so far.
func (f *far) asked() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.seen {
		if strings.HasPrefix(r.host, "login.") || strings.HasPrefix(r.host, "blob.") {
			continue
		}
		address := r.path
		if r.query != "" {
			address += "?" + r.query
		}
		list = append(list, address)
	}
	return list
}

// pipes is a net.Listener of pipes.
type pipes struct {
	connections chan net.Conn
	once        sync.Once
	closed      chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.IPAddr{} }

// authority is a certificate for the hosts of the tests, and the pool that trusts
// it. It is valid in synctest's year 2000 too.
var authority = func() func(*testing.T) (tls.Certificate, *x509.CertPool) {
	var once sync.Once
	var certificate tls.Certificate
	pool := x509.NewCertPool()
	return func(t *testing.T) (tls.Certificate, *x509.CertPool) {
		once.Do(func() {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			template := &x509.Certificate{
				SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
				NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
				DNSNames: []string{"login.example", "api.example", "blob.example", "api.securitycenter.microsoft.com"},
			}
			der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
			if err != nil {
				t.Fatal(err)
			}
			certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
			pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		})
		return certificate, pool
	}
}()

// clean fails the test where an error shows what it must not.
func clean(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, hidden := range []string{planted, "eyJ", "sig=x", "S1gnature"} {
			for _, form := range []string{e.Error(), fmt.Sprintf("%v %+v %#v", e, e, e)} {
				if strings.Contains(form, hidden) {
					t.Errorf("the error holds a secret: %s", form)
				}
			}
		}
	}
}
