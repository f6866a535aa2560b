package defender

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// Identity is who the token says we are.
type Identity struct {
	TenantID string   // claim "tid"
	AppID    string   // claim "appid"
	Roles    []string // the application permissions consented to; may be empty
}

// signInTime bounds one sign-in, its repeats and waits included.
const signInTime = 10 * time.Minute

// SignIn gets a token, or uses the one at hand, and returns what it says. Wrong
// secrets, unknown tenants and the like are told apart by Error.Kind. An app
// without consented permissions still signs in, with no roles.
func (c *Client) SignIn(ctx context.Context) (Identity, error) {
	token, err := c.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{c.settings.scope}})
	if err != nil {
		return Identity{}, err
	}
	return readToken(token.Token)
}

// readToken reads the claims of a JWT. The signature is for the API to check.
func readToken(token string) (Identity, error) {
	bad := &Error{Kind: BadAnswer, Call: "sign-in", Message: "the access token is not a JWT with claims"}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Identity{}, bad
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return Identity{}, bad
	}
	var claims struct {
		TenantID string   `json:"tid"`
		AppID    string   `json:"appid"`
		Party    string   `json:"azp"` // what appid is called in version 2 tokens
		Roles    []string `json:"roles"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return Identity{}, bad
	}
	if claims.AppID == "" {
		claims.AppID = claims.Party
	}
	return Identity{TenantID: claims.TenantID, AppID: claims.AppID, Roles: claims.Roles}, nil
}

// credential hands out tokens. It holds one azidentity credential, whose cache
// it can drop: azidentity itself has no way to renew a token before its time.
type credential struct {
	create func() (azcore.TokenCredential, error)
	hide   scrubber

	mu    sync.Mutex
	inner azcore.TokenCredential
	last  string // the token handed out last
}

func newCredential(s *settings, transport *sender) (*credential, error) {
	options := azcore.ClientOptions{
		Cloud:     azcloud.Configuration{ActiveDirectoryAuthorityHost: s.login.String()},
		Transport: signInTransport{transport},
		Telemetry: policy.TelemetryOptions{Disabled: true},
		Retry: policy.RetryOptions{
			MaxRetries: 3, RetryDelay: retryDelay, MaxRetryDelay: 5 * time.Minute, ShouldRetry: worthRepeating,
		},
	}
	k := &credential{hide: transport.hide}
	if s.Secret != "" {
		k.create = func() (azcore.TokenCredential, error) {
			return azidentity.NewClientSecretCredential(s.TenantID, s.ClientID, string(s.Secret),
				&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
		}
	} else {
		certificates, key, err := azidentity.ParseCertificates(s.Certificate, []byte(s.CertificatePassword))
		if err != nil {
			return nil, fmt.Errorf("the certificate cannot be read, it must be PEM with an unencrypted private key, or PFX with the right password: %s", k.hide.text(err.Error()))
		}
		k.create = func() (azcore.TokenCredential, error) {
			return azidentity.NewClientCertificateCredential(s.TenantID, s.ClientID, certificates, key,
				&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
		}
	}
	var err error
	if k.inner, err = k.create(); err != nil {
		return nil, errors.New(k.hide.text(err.Error()))
	}
	return k, nil
}

// GetToken is azcore.TokenCredential. It fails with an *Error or the context's error.
func (k *credential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	k.mu.Lock()
	inner := k.inner
	k.mu.Unlock()
	// The documented request has no claims; long-lived (CAE) tokens ask for some.
	options.EnableCAE = false
	var last exchange
	// MSAL gives a request without deadline 30 seconds, waits after a 429 included.
	within, cancel := context.WithTimeout(context.WithValue(ctx, exchangeKey{}, &last), signInTime)
	defer cancel()
	token, err := inner.GetToken(within, options)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return azcore.AccessToken{}, ctx.Err()
	default:
		return azcore.AccessToken{}, last.failure(k.hide)
	}
	k.mu.Lock()
	k.last = token.Token
	k.mu.Unlock()
	return token, nil
}

// forget drops a token that the API refused, unless a newer one is there already.
func (k *credential) forget(token string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if token != k.last {
		return nil
	}
	fresh, err := k.create()
	if err != nil {
		return errors.New(k.hide.text(err.Error()))
	}
	k.inner = fresh
	return nil
}

// exchange is the last request of a sign-in and how it went. azidentity turns
// failures into prose; what they mean is read from here instead.
type exchange struct {
	err    error
	answer *answer
}

type exchangeKey struct{}

// failure tells why a sign-in failed.
func (x *exchange) failure(hide scrubber) error {
	var known *Error
	switch {
	case errors.As(x.err, &known):
		return known
	case x.err != nil:
		return &Error{Kind: Unreachable, Call: "sign-in", Message: "no answer in time", Err: x.err}
	case x.answer == nil:
		return &Error{Kind: BadRequest, Call: "sign-in", Message: "the sign-in could not be attempted"}
	case x.answer.status == http.StatusOK:
		if e := x.answer.foreign(); e != nil {
			return e
		}
		return x.answer.error(BadAnswer, "", "the sign-in service's answer is not the JSON expected")
	}
	return signInError(*x.answer, hide)
}

// signInTransport sends a sign-in's requests and notes each in the context's exchange.
type signInTransport struct{ *sender }

func (t signInTransport) Do(req *http.Request) (*http.Response, error) {
	resp, err := t.sender.Do(req)
	last, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		last = new(exchange)
	}
	*last = exchange{err: err}
	if err != nil {
		return nil, err
	}
	a := readAnswer(resp)
	if b, ok := resp.Body.(*body); ok && b.failed != nil {
		last.err = transportError(a.call, b.failed, t.hide)
		return nil, last.err
	}
	last.answer = &a
	resp.Body = io.NopCloser(bytes.NewReader(a.body))
	return resp, nil
}
