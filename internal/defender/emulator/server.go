package emulator

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Faults wraps the far side's whole handler: what it answers itself, the client takes
// for the service's own failure.
type Faults func(next http.Handler) http.Handler

// ServerOptions say how the far side behaves. World and Now are required.
type ServerOptions struct {
	World  *World
	Now    func() time.Time // the world's clock, from its epoch on; also the Date header
	Listen string           // "" = 127.0.0.1 and any free port

	Secret       string              // "" = made from the tenant and client id
	Certificates []*x509.Certificate // RSA certificates that the app may sign in with
	Roles        []string            // of the app; nil = Machine.Read.All, Vulnerability.Read.All, Software.Read.All

	TokenLifetime time.Duration // 0 = 3,599 s
	LinkLifetime  time.Duration // of file links, whatever sasValidHours says; 0 = obey it (1 to 6 h, default 1 h)
	RateLimits    float64       // factor on the documented limits; 0 = 1, negative = none. Counted on Now: a clock that stands never frees a call

	PageLimit    int  // rows of an entity page without $top; 0 = documented (10,000; catalogue 8,000)
	PartMachines int  // machines in an export file; 0 = 2,000
	ClampTop     bool // treat a $top or pageSize above the maximum as the maximum instead of answering 400

	Faults Faults // nil = none
}

// Call is one request as the far side saw it.
type Call struct {
	Method        string
	Path          string // without query
	Status        int
	Authorization bool // an Authorization header came with it
}

// maxCalls bounds the memory of a server that runs for days; the oldest half goes first.
const maxCalls = 200_000

// Server is a running far side.
type Server struct {
	options   ServerOptions
	world     *World
	now       func() time.Time
	authority *authority
	signer    *tokenSigner
	linkKey   [32]byte
	secret    string
	origin    string // https://host:port
	limits    *rateLimits
	groups    exportGroups
	http      *http.Server
	done      chan struct{}

	mu    sync.Mutex
	roles []string
	calls []Call
}

// Start listens on HTTPS with a CA of its own. The caller closes the server.
func Start(o ServerOptions) (*Server, error) {
	if o.World == nil || o.Now == nil {
		return nil, errors.New("emulator: World and Now are required")
	}
	o = o.withDefaults()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	s := &Server{options: o, world: o.World, now: o.Now, secret: o.Secret, roles: slices.Clone(o.Roles), done: make(chan struct{})}
	s.limits = &rateLimits{factor: o.RateLimits, calls: map[string][]time.Time{}}
	host, origin, err := advertised(o.Listen, listener.Addr())
	if err == nil {
		s.origin = origin
		err = s.makeKeys(host)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("emulator: %w", err), listener.Close())
	}
	s.serve(listener)
	return s, nil
}

func (o ServerOptions) withDefaults() ServerOptions {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Secret == "" {
		o.Secret = secretFrom("secret", o.World)
	}
	if o.Roles == nil {
		o.Roles = []string{roleMachines, roleVulnerabilities, roleSoftware}
	}
	if o.TokenLifetime <= 0 {
		o.TokenLifetime = 3599 * time.Second
	}
	if o.RateLimits == 0 {
		o.RateLimits = 1
	}
	if o.PartMachines <= 0 {
		o.PartMachines = 2000
	}
	return o
}

// secretFrom looks like an Entra client secret and is the same for the same world.
func secretFrom(purpose string, w *World) string {
	h := mix(textHash(purpose), textHash(w.TenantID()), textHash(w.ClientID()))
	raw := appendHash(appendHash(appendHash(nil, h), mix(h, 1)), mix(h, 2))
	text := base64.RawURLEncoding.EncodeToString(raw)
	return text[:3] + "8Q~" + text[3:] + "m"
}

// textHash folds text into a number for mix.
func textHash(text string) uint64 {
	h := uint64(len(text))
	for b := []byte(text); len(b) > 0; {
		var word [8]byte
		b = b[copy(word[:], b):]
		h = mix(h, binary.LittleEndian.Uint64(word[:]))
	}
	return h
}

// advertised is the host name for the certificate and the origin that clients call.
func advertised(listen string, bound net.Addr) (host, origin string, err error) {
	host, _, err = net.SplitHostPort(listen)
	if err != nil {
		return "", "", fmt.Errorf("listen address: %w", err)
	}
	_, port, err := net.SplitHostPort(bound.String())
	if err != nil {
		return "", "", fmt.Errorf("bound address: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // everywhere includes here
	}
	return host, "https://" + net.JoinHostPort(host, port), nil
}

func (s *Server) makeKeys(host string) (err error) {
	if s.authority, err = newAuthority(host); err != nil {
		return err
	}
	if s.signer, err = newTokenSigner(); err != nil {
		return err
	}
	rand.Read(s.linkKey[:]) // never fails (crypto/rand)
	return nil
}

func (s *Server) serve(listener net.Listener) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Handler:           s.logged(s.handler()),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{s.authority.server}, MinVersion: tls.VersionTLS12},
		Protocols:         &protocols,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), // handshakes that clients break off on purpose
	}
	go func() {
		defer close(s.done)
		_ = s.http.ServeTLS(listener, "", "") // http.ErrServerClosed after Close
	}()
}

// handler routes the three parts that share the listener: file store, API, sign-in.
func (s *Server) handler() http.Handler {
	api := compressed(s.api())
	route := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.ToLower(r.URL.Path)
		switch {
		case strings.HasPrefix(path, "/blobs/"):
			s.serveBlob(w, r)
		case strings.HasPrefix(path, "/api/"):
			api.ServeHTTP(w, r)
		default:
			s.serveSignIn(w, r)
		}
	})
	if s.options.Faults != nil {
		return s.options.Faults(route)
	}
	return route
}

// logged keeps the call log and puts the world's time into the Date header.
func (s *Server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.calls) >= maxCalls {
				s.calls = slices.Delete(s.calls, 0, maxCalls/2)
			}
			s.calls = append(s.calls, Call{Method: r.Method, Path: r.URL.Path, Status: seen.status, Authorization: r.Header.Get("Authorization") != ""})
		}()
		next.ServeHTTP(seen, r)
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection (faults cut it).
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// LoginURL is the https origin of the sign-in.
func (s *Server) LoginURL() string { return s.origin }

// APIURL is the https origin of the API.
func (s *Server) APIURL() string { return s.origin }

// CAPEM is the CA certificate to trust.
func (s *Server) CAPEM() []byte { return slices.Clone(s.authority.pem) }

// TenantID is the tenant's GUID.
func (s *Server) TenantID() string { return s.world.TenantID() }

// ClientID is the app's GUID.
func (s *Server) ClientID() string { return s.world.ClientID() }

// Secret is the app's client secret.
func (s *Server) Secret() string { return s.secret }

// ExpiredSecret is a client secret that the app had once.
func (s *Server) ExpiredSecret() string { return secretFrom("expired", s.world) }

// SetRoles sets the app's consented permissions; tokens made before keep theirs.
func (s *Server) SetRoles(roles []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles = slices.Clone(roles)
}

func (s *Server) currentRoles() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roles // replaced whole, never changed in place
}

// Calls lists the requests so far in the order of their end.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Close ends all connections and waits for the listener to be gone.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.done
	return err
}

// day is the one that a moment of the world's clock lies in; a clock before the epoch reads day 0.
func (s *Server) day(at time.Time) *Day {
	return s.world.Day(max(0, int(at.Sub(s.world.Epoch())/(24*time.Hour))))
}

// newGUID is a random GUID for correlation ids.
func newGUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return guid(binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:]))
}
