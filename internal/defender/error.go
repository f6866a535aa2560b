package defender

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind says what an Error means; its text is a stable code.
type Kind string

// The kinds of Error.
const (
	WrongSecret          Kind = "wrong_secret"   // the secret or certificate is not the app's
	ExpiredSecret        Kind = "expired_secret" // it was, and has expired
	UnknownTenant        Kind = "unknown_tenant"
	UnknownClient        Kind = "unknown_client"   // not in this tenant, or disabled
	NoConsent            Kind = "no_consent"       // an administrator has not consented; a token without roles is no error here
	MissingRole          Kind = "missing_role"     // Required and Present tell which
	NoLicence            Kind = "no_licence"       // the tenant has no licence for it, or is inactive
	FeatureDisabled      Kind = "feature_disabled" // a feature of the tenant is off
	Unauthorized         Kind = "unauthorized"     // refused for another reason, a renewed token included
	Throttled            Kind = "throttled"        // still 429 after the waits; RetryAfter may tell how long
	NotFound             Kind = "not_found"        // 404 with the service's own code
	BadRequest           Kind = "bad_request"      // the request was not understood
	ServerFault          Kind = "server_fault"     // still 5xx after the retries
	Unreachable          Kind = "unreachable"      // no name, no connection, cut or silent for too long
	UntrustedCertificate Kind = "untrusted_certificate"
	Proxy                Kind = "proxy"        // a proxy refused, or answered in the service's place
	BadAnswer            Kind = "bad_answer"   // an answer that makes no sense: not JSON, cut, going in circles
	RefusedLink          Kind = "refused_link" // a link to a host that must not get the token, or not https
	BadScope             Kind = "bad_scope"    // the scope or the token's audience is not the API's
)

var sentences = map[Kind]string{
	WrongSecret:          "the client secret or certificate was not accepted",
	ExpiredSecret:        "the client secret has expired",
	UnknownTenant:        "the tenant was not found",
	UnknownClient:        "the application was not found in the tenant, or is disabled",
	NoConsent:            "an administrator has not consented to the application's permissions",
	MissingRole:          "the application lacks a permission",
	NoLicence:            "the tenant has no licence for this, or is inactive",
	FeatureDisabled:      "the feature is not enabled in the tenant",
	Unauthorized:         "the service refused the token",
	Throttled:            "the service asks to wait",
	NotFound:             "not found",
	BadRequest:           "the service did not accept the request",
	ServerFault:          "the service failed",
	Unreachable:          "the service cannot be reached",
	UntrustedCertificate: "the certificate of the host is not trusted",
	Proxy:                "a proxy stands in the way",
	BadAnswer:            "the answer makes no sense",
	RefusedLink:          "the link is not followed",
	BadScope:             "the scope is not one of this API",
}

var (
	// ErrNotFound is a 404 that says ResourceNotFound: the path is right, and what
	// it names is not there.
	ErrNotFound = errors.New("not found")
	// ErrEmptyFile is a file that still has no bytes after a few tries: it is not
	// ready, so its rows are unknown, not absent.
	ErrEmptyFile = errors.New("the file is empty")
	// ErrExpiredLink is a download address that is no longer valid: ask for the
	// export again.
	ErrExpiredLink = errors.New("the file's link has expired")
)

// Error is a call that failed. No field holds a secret, token or signature.
type Error struct {
	Kind    Kind
	Call    string // "GET host/path", without query
	Status  int    // HTTP status; 0 = no answer
	Code    string // the service's own code: "ResourceNotFound", "invalid_client"
	Message string // the service's own words, or what was wrong, on one line

	Required, Present []string      // roles, from the sentence of a 403; Required is any-of
	RetryAfter        time.Duration // how long the service asks to wait; 0 = not said
	AADSTS            int           // Entra's error number; 0 = none. For hints, numbers may change
	Correlation       string        // the service's id of the call, for its support

	Err error // the cause, where there is one
}

// Error is one line: which call, what it means, what was said.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Call != "" {
		b.WriteString(e.Call + ": ")
	}
	b.WriteString(sentences[e.Kind])
	var details []string
	if e.Status != 0 {
		details = append(details, strings.TrimSpace(fmt.Sprintf("HTTP %d %s", e.Status, http.StatusText(e.Status))))
	}
	if e.AADSTS != 0 {
		details = append(details, fmt.Sprintf("AADSTS%d", e.AADSTS))
	}
	if len(details) > 0 {
		b.WriteString(" (" + strings.Join(details, ", ") + ")")
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is tells an ErrNotFound.
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && e.Kind == NotFound && e.Code == "ResourceNotFound"
}

// hasKind reports whether err is an Error of that kind.
func hasKind(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}
