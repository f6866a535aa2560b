package defender

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestConfigurationsThatCannotWork(t *testing.T) {
	good := Config{TenantID: tenant, ClientID: application, Secret: planted, Now: time.Now}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"clock":                func(c *Config) { c.Now = nil },
		"tenant id":            func(c *Config) { c.TenantID = "" },
		"client id":            func(c *Config) { c.ClientID = "" },
		"a client secret or":   func(c *Config) { c.Secret = "" },
		"either":               func(c *Config) { c.Certificate = []byte("x") },
		"is not one of":        func(c *Config) { c.Cloud = "moon" },
		"login URL: it must b": func(c *Config) { c.LoginURL = "http://login.example" },
		"API URL: it must be":  func(c *Config) { c.APIURL = "https://api.example/path" },
		"API URL":              func(c *Config) { c.APIURL = "https://user:pass@api.example" },
		"login URL":            func(c *Config) { c.LoginURL = "https://" },
		"no certificate":       func(c *Config) { c.CAs = []byte("not PEM") },
		"certificate cannot":   func(c *Config) { c.Secret, c.Certificate = "", []byte("not a certificate") },
		"tenant":               func(c *Config) { c.TenantID = "not a tenant!" },
	} {
		config := good
		change(&config)
		_, err := New(config)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		clean(t, err)
	}
}

func TestCloudsHaveTheirAddresses(t *testing.T) {
	for name, want := range map[string][3]string{
		"":           {"login.microsoftonline.com", "api.security.microsoft.com", "https://api.securitycenter.microsoft.com/.default"},
		"commercial": {"login.microsoftonline.com", "api.security.microsoft.com", "https://api.securitycenter.microsoft.com/.default"},
		"au":         {"login.microsoftonline.com", "au.api.security.microsoft.com", "https://api.securitycenter.microsoft.com/.default"},
		"gcc":        {"login.microsoftonline.com", "api-gcc.securitycenter.microsoft.us", "https://api-gcc.securitycenter.microsoft.us/.default"},
		"gcc-high":   {"login.microsoftonline.us", "api-gov.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us/.default"},
		"dod":        {"login.microsoftonline.us", "api-gov.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us/.default"},
	} {
		s, err := Config{TenantID: tenant, ClientID: application, Secret: planted, Cloud: name, Now: time.Now}.settings()
		if err != nil || s.login.Host != want[0] || s.api.Host != want[1] || s.scope != want[2] {
			t.Errorf("%s: %v %v %v %v", name, s.login, s.api, s.scope, err)
		}
	}
	s, err := Config{
		TenantID: tenant, ClientID: application, Secret: planted, Cloud: "eu", Now: time.Now,
		LoginURL: "https://127.0.0.1:9443/", APIURL: "https://[::1]:9444", Scope: "https://x/.default",
	}.settings()
	if err != nil || s.login.String() != "https://127.0.0.1:9443" || s.api.String() != "https://[::1]:9444" || s.scope != "https://x/.default" {
		t.Errorf("%v %v %v %v", s.login, s.api, s.scope, err)
	}
}

func TestSecretsNeverShow(t *testing.T) {
	secret := Secret(planted)
	link := Link("https://blob.example/a/b.gz?sv=1&sig=xS1gnature")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "link", link, "config", Config{Secret: secret}.Secret)
	config := Config{TenantID: tenant, Secret: secret, CertificatePassword: secret}
	encoded, err := json.Marshal(struct {
		Secret Secret
		File   File
	}{secret, File{Name: "/a/b.gz", URL: link}})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		fmt.Sprint(secret, link, &secret, &link), fmt.Sprintf("%v %+v %#v %s %q %x %X %d", secret, secret, secret, secret, secret, secret, secret, secret),
		fmt.Sprintf("%v %+v %#v %s %q %x", link, link, link, link, link, link), fmt.Sprintf("%v %+v %#v", config, config, config), secret.String(), link.String(),
		string(encoded), log.String(), fmt.Sprintf("%v %+v %#v", File{URL: link}, []Link{link}, map[string]Secret{"a": secret}),
	} {
		if strings.Contains(shown, planted) || strings.Contains(shown, "S1gnature") || strings.Contains(shown, fmt.Sprintf("%x", planted)) {
			t.Errorf("shown: %s", shown)
		}
	}
	if link.String() != "https://blob.example/a/b.gz" || string(secret) != planted {
		t.Errorf("%s", link)
	}
	if bad := Link("https://h\x00?sig=xS1gnature"); strings.Contains(bad.String(), "S1gnature") {
		t.Error(bad.String())
	}
}

// TestCertificates signs in with a certificate in PEM and checks that it is used.
func TestCertificates(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	f := newFar(t)
	c := f.client(func(c *Config) { c.Secret, c.Certificate = "", text })
	if identity, err := c.SignIn(t.Context()); err != nil || identity.AppID != application {
		t.Errorf("%+v, %v", identity, err)
	}
}

// TestBudgetsAreNeverExceeded: whenever calls are asked for, no window of the
// service's length holds more than its number, and none waits longer than it must.
func TestBudgetsAreNeverExceeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perMinute, perHour := rapid.IntRange(1, 5).Draw(t, "per minute"), rapid.IntRange(1, 20).Draw(t, "per hour")
		l := newLimit(perMinute, perHour)
		now := time.Unix(1e9, 0)
		var calls []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 120).Draw(t, "seconds")) * time.Second)
			wait := l.reserve(now)
			now = now.Add(wait)
			calls = append(calls, now)
			for _, window := range []struct {
				span time.Duration
				most int
			}{{minuteWindow, perMinute}, {hourWindow, perHour}} {
				n := 0
				for _, call := range calls {
					if now.Sub(call) < window.span {
						n++
					}
				}
				if n > window.most {
					t.Fatalf("%d calls in %v", n, window.span)
				}
			}
			if len(calls) <= min(perMinute, perHour) && wait > 0 {
				t.Fatalf("call %d waited %v", len(calls), wait)
			}
		}
	})
}
