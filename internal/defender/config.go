package defender

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

// Config is what a Client needs.
type Config struct {
	// TenantID is the Entra tenant: a GUID or a verified domain name.
	TenantID string
	// ClientID is the app registration's application id.
	ClientID string

	// Secret is the app's client secret. Give it or Certificate, not both.
	Secret Secret
	// Certificate holds certificate and private key, PEM or PFX (PKCS #12);
	// CertificatePassword opens a PFX.
	Certificate         []byte
	CertificatePassword Secret

	// Cloud is "commercial", "us", "eu", "uk", "au", "gcc", "gcc-high" or "dod";
	// "" is "commercial". LoginURL and APIURL (https origins) and Scope override
	// what it stands for; "" does not.
	Cloud                   string
	LoginURL, APIURL, Scope string

	// CAs are certificate authorities in PEM, trusted besides the system's; nil is none.
	CAs []byte
	// UserAgent is sent with every request. Microsoft asks partners for
	// "MdatpPartner-{Vendor}-{Product}/{version}". "" sends Go's own.
	UserAgent string
	// Now is the clock. It is required.
	Now func() time.Time
	// Reserve is called with the endpoint's name ("SoftwareInventoryExport") before
	// every call of an export, repeated calls included: it blocks until the call may
	// be made, or fails. nil reserves nothing.
	Reserve func(ctx context.Context, endpoint string) error
	// Log takes one debug line a call and a warning a wait; nil discards them.
	Log *slog.Logger
}

// settings are a Config's answers, checked and with the defaults applied.
type settings struct {
	Config
	login, api *url.URL
	scope      string
	hosts      []string
	roots      *x509.CertPool
}

func (c Config) settings() (*settings, error) {
	if c.Now == nil {
		return nil, errors.New("the clock is missing (Config.Now)")
	}
	if c.TenantID == "" || c.ClientID == "" {
		return nil, errors.New("tenant id and client id are both needed")
	}
	if (c.Secret == "") == (len(c.Certificate) == 0) {
		return nil, errors.New("give either a client secret or a certificate")
	}
	where, err := findCloud(c.Cloud)
	if err != nil {
		return nil, err
	}
	s := &settings{Config: c, scope: cmp.Or(c.Scope, where.scope), hosts: where.hosts}
	if s.login, err = origin(cmp.Or(c.LoginURL, where.login)); err != nil {
		return nil, fmt.Errorf("login URL: %w", err)
	}
	if s.api, err = origin(cmp.Or(c.APIURL, where.api)); err != nil {
		return nil, fmt.Errorf("API URL: %w", err)
	}
	if s.roots, err = authorities(c.CAs); err != nil {
		return nil, err
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// origin reads an https origin: a scheme, a host, perhaps a port, nothing else.
// azidentity would silently drop a path.
func origin(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("it is not an address")
	case u.Scheme != "https":
		return nil, errors.New("it must begin with https://")
	case u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("it must be a host with an optional port, such as https://host:8443")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// authorities is the system's pool with the given ones; nil where none are given.
func authorities(pem []byte) (*x509.CertPool, error) {
	if len(pem) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("the file of certificate authorities holds no certificate in PEM form")
	}
	return pool, nil
}
