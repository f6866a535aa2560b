package emulator_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"muster/internal/defender/emulator"
)

// The ids that the samples name.
const (
	sampleTenant = "11111111-2222-3333-4444-555555555555"
	sampleClient = "66666666-7777-8888-9999-000000000000"
	otherID      = "99999999-9999-4999-8999-999999999999"
)

var (
	traceIDs   = regexp.MustCompile(`(Trace ID: |Correlation ID: )[0-9a-f-]{36}`)
	timestamps = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ`)
)

// timeless takes ids of the moment and times out of a sign-in error.
func timeless(t *testing.T, body map[string]any) map[string]any {
	t.Helper()
	for _, name := range []string{"trace_id", "correlation_id"} {
		if id, _ := body[name].(string); !anyGUID.MatchString(id) {
			t.Errorf("%s is %q", name, id)
		}
		body[name] = "ID"
	}
	for _, name := range []string{"timestamp", "error_description"} {
		text, _ := body[name].(string)
		body[name] = timestamps.ReplaceAllString(traceIDs.ReplaceAllString(text, "${1}ID"), "TIME")
	}
	return body
}

func TestSignInErrorsAreTheSamples(t *testing.T) {
	f := start(t, emulator.Options{Devices: 1, TenantID: otherID, ClientID: sampleClient}, emulator.ServerOptions{})
	g := start(t, emulator.Options{Devices: 1, TenantID: sampleTenant, ClientID: otherID}, emulator.ServerOptions{})
	with := func(f *farSide, name, value string) url.Values {
		form := f.form()
		form.Set(name, value)
		return form
	}
	for _, c := range []struct {
		sample, tenant string
		from           *farSide
		form           url.Values
		status         int
	}{
		{"token-error-wrong-secret-401.json", otherID, f, with(f, "client_secret", "guessed"), 401},
		{"token-error-expired-secret-401.json", otherID, f, with(f, "client_secret", f.ExpiredSecret()), 401},
		{"token-error-wrong-client-400.json", sampleTenant, g, with(g, "client_id", sampleClient), 400},
		{"token-error-unknown-tenant-400.json", sampleTenant, f, f.form(), 400},
		{"token-error-malformed-tenant-400.json", "abc123testing", f, f.form(), 400},
		{"token-error-bad-scope-400.json", otherID, f, with(f, "scope", "https://example.contoso.com/activity.read"), 400},
	} {
		t.Run(c.sample, func(t *testing.T) {
			r, got := c.from.post("/"+c.tenant+"/oauth2/v2.0/token", c.form)
			var want map[string]any
			decode(t, sample(t, c.sample), &want)
			if diff := cmp.Diff(timeless(t, want), timeless(t, got)); diff != "" {
				t.Error(diff)
			}
			if r.StatusCode != c.status || r.Header.Get("X-Ms-Request-Id") == "" || r.Header.Get("Cache-Control") != "no-store, no-cache" {
				t.Errorf("status %d, header %v", r.StatusCode, r.Header)
			}
		})
	}
}

func TestSignInErrorsWithoutSample(t *testing.T) {
	f := start(t, emulator.Options{Devices: 1}, emulator.ServerOptions{})
	for name, c := range map[string]struct {
		path   string
		change map[string]string // "" takes the field away
		status int
		code   string
		aadsts float64
		text   string
	}{
		"no grant type":    {"/oauth2/v2.0/token", map[string]string{"grant_type": ""}, 400, "invalid_request", 900144, "'grant_type'"},
		"no client":        {"/oauth2/v2.0/token", map[string]string{"client_id": ""}, 400, "invalid_request", 900144, "'client_id'"},
		"no scope":         {"/oauth2/v2.0/token", map[string]string{"scope": ""}, 400, "invalid_request", 900144, "'scope'"},
		"no resource":      {"/oauth2/token", nil, 400, "invalid_request", 900144, "'resource'"},
		"no credential":    {"/oauth2/v2.0/token", map[string]string{"client_secret": ""}, 401, "invalid_client", 7000218, "'client_secret'"},
		"other grant":      {"/oauth2/v2.0/token", map[string]string{"grant_type": "password"}, 400, "unsupported_grant_type", 70003, "password"},
		"unknown API":      {"/oauth2/v2.0/token", map[string]string{"scope": "https://api.contoso.example/.default"}, 400, "invalid_resource", 500011, "api.contoso.example"},
		"forged assertion": {"/oauth2/v2.0/token", map[string]string{"client_secret": "", "client_assertion": "a.b.c"}, 401, "invalid_client", 700027, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			form := f.form()
			for field, value := range c.change {
				form.Set(field, value)
			}
			r, body := f.post("/"+f.TenantID()+c.path, form)
			description, _ := body["error_description"].(string)
			if r.StatusCode != c.status || body["error"] != c.code || !slices.Equal(body["error_codes"].([]any), []any{c.aadsts}) || !strings.Contains(description, c.text) {
				t.Errorf("%d %v", r.StatusCode, body)
			}
			if strings.Contains(description, f.Secret()) {
				t.Error("the secret is in the description")
			}
		})
	}
}

func TestTokens(t *testing.T) {
	f := start(t, emulator.Options{Devices: 1, TenantID: sampleTenant, ClientID: sampleClient}, emulator.ServerOptions{Roles: []string{"Machine.Read.All", "Vulnerability.Read.All"}})
	t.Run("v2", func(t *testing.T) {
		_, body := f.post("/"+f.TenantID()+"/oauth2/v2.0/token", f.form())
		var want map[string]any
		decode(t, sample(t, "token-success.json"), &want)
		want["access_token"] = body["access_token"]
		if diff := cmp.Diff(want, body); diff != "" {
			t.Error(diff)
		}
		checkClaims(t, f, body["access_token"].(string))
	})
	t.Run("v1", func(t *testing.T) {
		form := f.form()
		form.Set("resource", "https://api.securitycenter.microsoft.com")
		_, body := f.post("/contoso.onmicrosoft.com/oauth2/token", form)
		var want map[string]any
		decode(t, sample(t, "token-success-v1.json"), &want)
		for _, name := range []string{"access_token", "expires_on", "not_before"} {
			want[name] = body[name]
		}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Error(diff)
		}
		checkClaims(t, f, body["access_token"].(string))
	})
	t.Run("without roles", func(t *testing.T) {
		f.SetRoles(nil)
		_, body := f.post("/"+f.TenantID()+"/oauth2/v2.0/token", f.form())
		if _, has := claimsOf(t, body["access_token"].(string))["roles"]; has {
			t.Error("a token of an app without consent has roles")
		}
	})
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(body, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// checkClaims compares with the sample but for the moment's values.
func checkClaims(t *testing.T, f *farSide, token string) {
	t.Helper()
	got := claimsOf(t, token)
	var want map[string]any
	decode(t, sample(t, "token-claims.json"), &want)
	if exp := got["exp"].(float64); int64(exp) != f.clock.now().Unix()+3599 {
		t.Errorf("exp is %v at %d", exp, f.clock.now().Unix())
	}
	for _, name := range []string{"iat", "nbf", "exp", "oid", "sub", "uti"} {
		if _, has := got[name]; !has {
			t.Errorf("no claim %s", name)
		}
		got[name], want[name] = nil, nil
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// identity is how azidentity is told of the far side.
func identity(f *farSide) azcore.ClientOptions {
	return azcore.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: f.LoginURL()}, Transport: f.client, Retry: policy.RetryOptions{MaxRetries: -1}}
}

var scopes = policy.TokenRequestOptions{Scopes: []string{"https://api.securitycenter.microsoft.com/.default"}}

func TestAzureIdentitySignsInWithSecret(t *testing.T) {
	f := start(t, emulator.Options{Devices: 1}, emulator.ServerOptions{})
	for name, c := range map[string]struct{ tenant, secret, code string }{
		"right":          {f.TenantID(), f.Secret(), ""},
		"wrong secret":   {f.TenantID(), "guessed", "AADSTS7000215"},
		"unknown tenant": {otherID, f.Secret(), "AADSTS90002"},
	} {
		t.Run(name, func(t *testing.T) {
			credential, err := azidentity.NewClientSecretCredential(c.tenant, f.ClientID(), c.secret,
				&azidentity.ClientSecretCredentialOptions{DisableInstanceDiscovery: true, ClientOptions: identity(f)})
			if err != nil {
				t.Fatal(err)
			}
			token, err := credential.GetToken(t.Context(), scopes)
			if c.code == "" {
				if err != nil || claimsOf(t, token.Token)["appidacr"] != "1" {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.code) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func appCertificate(t *testing.T) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "app"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func TestAzureIdentitySignsInWithCertificate(t *testing.T) {
	certificate, key := appCertificate(t)
	other, otherKey := appCertificate(t)
	f := start(t, emulator.Options{Devices: 1}, emulator.ServerOptions{Certificates: []*x509.Certificate{certificate}})
	signIn := func(certificate *x509.Certificate, key crypto.PrivateKey) (azcore.AccessToken, error) {
		credential, err := azidentity.NewClientCertificateCredential(f.TenantID(), f.ClientID(), []*x509.Certificate{certificate}, key,
			&azidentity.ClientCertificateCredentialOptions{DisableInstanceDiscovery: true, ClientOptions: identity(f)})
		if err != nil {
			t.Fatal(err)
		}
		return credential.GetToken(context.Background(), scopes)
	}
	token, err := signIn(certificate, key)
	if err != nil || claimsOf(t, token.Token)["appidacr"] != "2" {
		t.Fatalf("the app's certificate: %v", err)
	}
	var failed *azidentity.AuthenticationFailedError
	if _, err := signIn(other, otherKey); !errors.As(err, &failed) || failed.RawResponse.StatusCode != http.StatusUnauthorized {
		t.Errorf("another certificate: %v", err)
	}
}

func TestAssertionsAreChecked(t *testing.T) {
	certificate, key := appCertificate(t)
	f := start(t, emulator.Options{Devices: 1}, emulator.ServerOptions{Certificates: []*x509.Certificate{certificate}})
	endpoint := f.LoginURL() + "/" + f.TenantID() + "/oauth2/v2.0/token"
	for name, c := range map[string]struct {
		method jwt.SigningMethod
		claims jwt.MapClaims
		aadsts float64 // 0 = a token comes
	}{
		"RS256":         {jwt.SigningMethodRS256, jwt.MapClaims{"aud": endpoint, "iss": f.ClientID(), "sub": f.ClientID()}, 0},
		"PS256":         {jwt.SigningMethodPS256, jwt.MapClaims{"aud": endpoint, "iss": f.ClientID(), "sub": f.ClientID()}, 0},
		"RS512":         {jwt.SigningMethodRS512, jwt.MapClaims{"aud": endpoint, "iss": f.ClientID(), "sub": f.ClientID()}, 700027},
		"other app":     {jwt.SigningMethodRS256, jwt.MapClaims{"aud": endpoint, "iss": otherID, "sub": otherID}, 700021},
		"other tenant":  {jwt.SigningMethodRS256, jwt.MapClaims{"aud": f.LoginURL() + "/" + otherID + "/oauth2/v2.0/token", "iss": f.ClientID(), "sub": f.ClientID()}, 700023},
		"without claim": {jwt.SigningMethodRS256, jwt.MapClaims{}, 700023},
	} {
		t.Run(name, func(t *testing.T) {
			assertion, err := jwt.NewWithClaims(c.method, c.claims).SignedString(key)
			if err != nil {
				t.Fatal(err)
			}
			form := f.form()
			form.Del("client_secret")
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", assertion)
			r, body := f.post("/"+f.TenantID()+"/oauth2/v2.0/token", form)
			if c.aadsts == 0 && r.StatusCode != http.StatusOK || c.aadsts != 0 && !slices.Equal(body["error_codes"].([]any), []any{c.aadsts}) {
				t.Errorf("%d %v", r.StatusCode, body)
			}
		})
	}
}
