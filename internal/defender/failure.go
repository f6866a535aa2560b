package defender

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// maxErrorBody bounds what is read of an answer that is not rows, in bytes.
const maxErrorBody = 64 << 10

// answer is a response that is not what was asked for, read whole.
type answer struct {
	call   string
	status int
	header http.Header
	body   []byte
}

// readAnswer reads the beginning of a response's body, unpacked, and closes it.
func readAnswer(resp *http.Response) answer {
	defer func() { _ = resp.Body.Close() }()
	a := answer{call: callName(resp.Request), status: resp.StatusCode, header: resp.Header}
	a.body, _ = io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if unpacked, err := gzip.NewReader(bytes.NewReader(a.body)); err == nil {
			a.body, _ = io.ReadAll(io.LimitReader(unpacked, maxErrorBody))
		}
	}
	return a
}

// callName is the method, host and path of a request: never its query.
func callName(req *http.Request) string {
	if req == nil || req.URL == nil {
		return ""
	}
	return req.Method + " " + req.URL.Host + req.URL.EscapedPath()
}

// error begins an Error with what every answer has.
func (a answer) error(kind Kind, code, message string) *Error {
	e := &Error{Kind: kind, Call: a.call, Status: a.status, Code: code, Message: message}
	e.Correlation = a.header.Get("x-ms-request-id")
	e.RetryAfter, _ = headerDelay(a.header, nil)
	return e
}

// foreign recognises answers that the service itself never gives: a proxy's
// login page, a redirect, 407. nil means that it may be the service's own.
func (a answer) foreign() *Error {
	switch {
	case a.status == http.StatusProxyAuthRequired:
		return a.error(Proxy, "", "the proxy asks for a sign-in")
	case a.status >= 300 && a.status < 400:
		return a.error(Proxy, "", "the answer is a redirect, which is not followed")
	case a.status < 500 && isPage(a.header, a.body):
		return a.error(Proxy, "", "the answer is a web page, not the service's: a proxy's own page, or not the service's address")
	}
	return nil
}

// isPage reports whether an answer is a web page.
func isPage(header http.Header, body []byte) bool {
	if strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "text/html") {
		return true
	}
	start := strings.ToLower(string(bytes.TrimSpace(bytes.TrimPrefix(body[:min(len(body), 256)], bom))))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html")
}

// apiError tells what an answer of the API other than 200 means
// (api/common-errors.md: {"error":{"code","message","target"}}).
func apiError(a answer, hide scrubber) *Error {
	if e := a.foreign(); e != nil {
		return e
	}
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Target  string `json:"target"`
		} `json:"error"`
	}
	bad := json.Unmarshal(a.body, &body)
	e := a.error(BadAnswer, hide.text(body.Error.Code), hide.text(body.Error.Message))
	if body.Error.Target != "" {
		e.Correlation = hide.text(body.Error.Target)
	}
	e.Required, e.Present = roles(body.Error.Message)
	said := strings.ToLower(body.Error.Message)
	switch {
	case a.status == http.StatusTooManyRequests:
		e.Kind = Throttled
		if e.RetryAfter == 0 {
			e.RetryAfter = sentenceDelay(a.body)
		}
	case a.status >= 500:
		e.Kind = ServerFault
	case bad != nil || body.Error.Code == "" && body.Error.Message == "":
		if e.Kind = statusKind(a.status); e.Kind == NotFound {
			e.Kind = BadAnswer // anybody's 404: nothing is missing on the strength of it
		}
		e.Message = hide.text("the answer has no error code: " + string(a.body[:min(len(a.body), 100)]))
	case strings.Contains(said, "license") || strings.Contains(said, "licence") || strings.Contains(said, "account mode is inactive"):
		e.Kind = NoLicence
	case strings.Contains(said, "audience"):
		e.Kind = BadScope
	case len(e.Required) > 0:
		e.Kind = MissingRole
	case strings.EqualFold(e.Code, "DisabledFeature"):
		e.Kind = FeatureDisabled
	default:
		e.Kind = statusKind(a.status)
	}
	return e
}

// statusKind is what a status means where the code does not say more.
func statusKind(status int) Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return Unauthorized
	case http.StatusNotFound:
		return NotFound
	case http.StatusBadRequest:
		return BadRequest
	}
	return BadAnswer
}

var rolesSentence = regexp.MustCompile(`(?is)API required roles:\s*(.*?),?\s*application roles:\s*(.*?)\.?\s*$`)

// roles reads the sentence of a 403: "Missing application roles. API required
// roles: A,B, application roles: C,D."
func roles(message string) (required, present []string) {
	m := rolesSentence.FindStringSubmatch(message)
	if m == nil {
		return nil, nil
	}
	split := func(list string) []string {
		return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	}
	return split(m[1]), split(m[2])
}

// signInErrors: what Entra's "error" and the number of its sentence mean, first
// match counts. The number (0 = any) only tells apart what "error" alone does not
// (learn.microsoft.com/entra/identity-platform/reference-error-codes).
var signInErrors = []struct {
	code   string
	number int
	kind   Kind
}{
	{"invalid_client", 7000222, ExpiredSecret},
	{"invalid_client", 0, WrongSecret},
	{"unauthorized_client", 0, UnknownClient},
	{"invalid_request", 90002, UnknownTenant},
	{"invalid_request", 900023, UnknownTenant},
	{"invalid_tenant", 0, UnknownTenant},
	{"invalid_scope", 0, BadScope},
	{"invalid_resource", 0, BadScope},
	{"invalid_target", 0, BadScope},
	{"invalid_grant", 65001, NoConsent},
	{"consent_required", 0, NoConsent},
	{"interaction_required", 65001, NoConsent},
	{"access_denied", 0, Unauthorized},
	{"invalid_grant", 0, Unauthorized},
	{"interaction_required", 0, Unauthorized},
	{"temporarily_unavailable", 0, ServerFault},
	{"server_error", 0, ServerFault},
	{"invalid_request", 0, BadRequest},
}

var aadsts = regexp.MustCompile(`AADSTS(\d+)`)

// signInError tells what an answer of Entra other than a token means.
func signInError(a answer, hide scrubber) *Error {
	if e := a.foreign(); e != nil {
		return e
	}
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Correlation string `json:"correlation_id"`
	}
	bad := json.Unmarshal(a.body, &body)
	said, _, _ := strings.Cut(body.Description, "Trace ID:")
	e := a.error(BadAnswer, hide.text(body.Error), hide.text(said))
	e.Correlation = hide.text(body.Correlation)
	if m := aadsts.FindStringSubmatch(body.Description); m != nil {
		e.AADSTS, _ = strconv.Atoi(m[1])
	}
	switch {
	case a.status == http.StatusTooManyRequests:
		e.Kind = Throttled
		return e
	case a.status >= 500:
		e.Kind = ServerFault
		return e
	case bad != nil || body.Error == "":
		e.Message = hide.text("the answer is not the sign-in service's: " + string(a.body[:min(len(a.body), 100)]))
		return e
	}
	e.Kind = Unauthorized
	for _, known := range signInErrors {
		if known.code == body.Error && (known.number == 0 || known.number == e.AADSTS) {
			e.Kind = known.kind
			break
		}
	}
	return e
}

// transportError tells what a request that got no answer means.
func transportError(call string, err error, hide scrubber) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		known.Call = call
		return known
	}
	e := &Error{Kind: Unreachable, Call: call, Message: hide.text(err.Error()), Err: err}
	var (
		operation   *net.OpError
		untrusted   *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		certificate x509.CertificateInvalidError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &untrusted), errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &certificate):
		e.Kind = UntrustedCertificate
	case errors.As(err, &operation) && operation.Op == "proxyconnect":
		e.Kind = Proxy
	case errors.As(err, &record):
		e.Kind = BadAnswer
	}
	return e
}

// neverConnected reports whether the host was not even found or did not answer
// the door: repeating that for long is of no use.
func neverConnected(err error) bool {
	var operation *net.OpError
	var name *net.DNSError
	return errors.As(err, &name) || errors.As(err, &operation) && operation.Op == "dial"
}
