package bench

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	tenantID = "b1c2d3e4-0000-4000-8000-000000000001"
	clientID = "b1c2d3e4-0000-4000-8000-000000000002"
	secret   = "bench-secret"
)

// snapshot is what the export offers: a set of files and how many hours its time is
// before the server's start.
type snapshot struct{ set, hoursAgo int }

// server is the far side as a file server: sign-in, the list of machines, the export's
// answer, its files. It says on standard output where it is, and reads from standard
// input which snapshot it is to offer, until that ends.
type server struct {
	params
	dir   string
	start time.Time
	now   atomic.Pointer[snapshot]
	pages [][]byte
}

func serve() error {
	p, dir, err := roleParams()
	if err != nil {
		return err
	}
	s := &server{params: p, dir: dir, start: time.Now().UTC()}
	s.now.Store(&snapshot{base, 0})
	s.makePages()
	certificate, authority, err := selfSigned(s.start)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	// Without HTTP/2, as the real storage.
	web := &http.Server{
		Handler: s.routes(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}, ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { _ = web.ServeTLS(l, "", "") }()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"url": "https://" + l.Addr().String(), "ca": string(authority)}); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var next snapshot
		if _, err := fmt.Sscan(in.Text(), &next.set, &next.hoursAgo); err != nil {
			return err
		}
		s.now.Store(&next)
		fmt.Fprintln(os.Stdout, "ok")
	}
	return web.Close()
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.openID)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", s.token)
	mux.HandleFunc("GET /api/machines", s.machines)
	mux.HandleFunc("GET /api/machines/SoftwareVulnerabilitiesExport", s.export)
	mux.HandleFunc("GET /files/{set}/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+r.PathValue("set")+`"`)
		http.ServeFile(w, r, filepath.Join(s.dir, r.PathValue("set"), r.PathValue("name")))
	})
	return mux
}

func (*server) openID(w http.ResponseWriter, r *http.Request) {
	root := "https://" + r.Host + "/" + tenantID
	answer(w, map[string]any{"token_endpoint": root + "/oauth2/v2.0/token", "authorization_endpoint": root + "/oauth2/v2.0/authorize", "issuer": root + "/v2.0"})
}

func (s *server) token(w http.ResponseWriter, _ *http.Request) {
	claims, _ := json.Marshal(map[string]any{"tid": tenantID, "appid": clientID, "roles": []string{"Machine.Read.All", "Vulnerability.Read.All"}, "exp": s.start.Add(12 * time.Hour).Unix()})
	part := base64.RawURLEncoding.EncodeToString
	answer(w, map[string]any{"token_type": "Bearer", "expires_in": 43200, "access_token": part([]byte(`{"alg":"none"}`)) + "." + part(claims) + "." + part([]byte("unsigned"))})
}

func (s *server) makePages() {
	var page []byte
	for d := range s.Devices {
		if d%s.Page == 0 {
			page = []byte(`{"value":[`)
		} else {
			page = append(page, ',')
		}
		page = fmt.Appendf(page, `{"id":"%s","computerDnsName":"%s","firstSeen":"2024-11-05T11:54:59.5717001Z","lastSeen":"%s","osPlatform":"Windows11","osProcessor":"x64","version":"23H2","osBuild":22631,`+
			`"lastIpAddress":"10.%d.%d.%d","healthStatus":"Active","onboardingStatus":"Onboarded","rbacGroupId":%d,"rbacGroupName":"Group %d","riskScore":"Low","exposureLevel":"Medium","deviceValue":"Normal",`+
			`"aadDeviceId":"%08x-0000-4000-9000-%012x","machineTags":["bench"]}`,
			s.machineID(d), machineName(d), s.start.Format(time.RFC3339), d>>16, d>>8&255, d&255, d%20, d%20, d, d)
		if (d+1)%s.Page == 0 || d+1 == s.Devices {
			s.pages = append(s.pages, page)
		}
	}
}

func (s *server) machines(w http.ResponseWriter, r *http.Request) {
	skip, _ := strconv.Atoi(r.URL.Query().Get("$skip"))
	n := skip / s.Page
	w.Header().Set("Content-Type", "application/json")
	if n >= len(s.pages) {
		_, _ = io.WriteString(w, `{"value":[]}`)
		return
	}
	_, _ = w.Write(s.pages[n])
	if n+1 < len(s.pages) {
		fmt.Fprintf(w, `],"@odata.nextLink":"https://%s/api/machines?$skip=%d"}`, r.Host, skip+s.Page)
		return
	}
	_, _ = io.WriteString(w, "]}")
}

func (s *server) export(w http.ResponseWriter, r *http.Request) {
	now := s.now.Load()
	links := make([]string, s.Files)
	for part := range links {
		links[part] = "https://" + r.Host + "/files/" + filepath.ToSlash(fileName(now.set, part)) + "?sig=bench"
	}
	answer(w, map[string]any{"exportFiles": links, "generatedTime": s.start.Add(-time.Duration(now.hoursAgo) * time.Hour).Format(time.RFC3339)})
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// selfSigned makes a certificate that is its own authority.
func selfSigned(now time.Time) (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Muster bench"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	var text strings.Builder
	err = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, []byte(text.String()), err
}
