package defender

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const emptyList = `{"value":[]}`

func TestSignIn(t *testing.T) {
	f := newFar(t)
	c := f.client()
	for range 2 {
		identity, err := c.SignIn(t.Context())
		if err != nil || identity.TenantID != tenant || identity.AppID != application || !slices.Equal(identity.Roles, []string{"Machine.Read.All"}) {
			t.Fatalf("%+v, %v", identity, err)
		}
	}
	if f.tokens != 1 {
		t.Errorf("%d tokens for two sign-ins, want 1", f.tokens)
	}
	if c.SourceTime() != (time.Time{}) {
		t.Errorf("the clock of the sign-in is not the API's: %v", c.SourceTime())
	}
	for _, r := range f.seen {
		if r.header.Get("User-Agent") != "Muster-test/1" {
			t.Errorf("%s: User-Agent %q", r.path, r.header.Get("User-Agent"))
		}
	}
}

// TestSignInFailures goes through Entra's own answers and what stands in between.
func TestSignInFailures(t *testing.T) {
	entra := func(name string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answerText(w, status, string(sample(t, name))) }
	}
	text := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	described := func(status int, code, description string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			answerJSON(w, status, map[string]string{"error": code, "error_description": description})
		}
	}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		kind   Kind
		aadsts int
	}{
		{"wrong secret", entra("token-error-wrong-secret-401.json", 401), WrongSecret, 7000215},
		{"expired secret", entra("token-error-expired-secret-401.json", 401), ExpiredSecret, 7000222},
		{"unknown tenant", entra("token-error-unknown-tenant-400.json", 400), UnknownTenant, 90002},
		{"malformed tenant", entra("token-error-malformed-tenant-400.json", 400), UnknownTenant, 900023},
		{"unknown client", entra("token-error-wrong-client-400.json", 400), UnknownClient, 700016},
		{"scope", entra("token-error-bad-scope-400.json", 400), BadScope, 70011},
		{"resource", described(400, "invalid_resource", "AADSTS500011: The resource principal was not found"), BadScope, 500011},
		{"numbers change", described(401, "invalid_client", "AADSTS99999999: Something new"), WrongSecret, 99999999},
		{"no numbers", described(400, "unauthorized_client", "The client is not known."), UnknownClient, 0},
		{"consent", described(400, "invalid_grant", "AADSTS65001: The user or administrator has not consented"), NoConsent, 65001},
		{"policy", described(400, "invalid_grant", "AADSTS53003: Access has been blocked by Conditional Access policies."), Unauthorized, 53003},
		{"missing field", described(400, "invalid_request", "AADSTS900144: The request body must contain client_id"), BadRequest, 900144},
		{"something new", described(418, "teapot", "AADSTS1: x"), Unauthorized, 1},
		{"throttled", described(429, "temporarily_unavailable", "AADSTS90033: busy"), Throttled, 90033},
		{"down", described(503, "temporarily_unavailable", "AADSTS90033: down"), ServerFault, 90033},
		{"proxy page", text(200, "text/html", "<html>Sign in to the proxy"), Proxy, 0},
		{"proxy page without type", text(403, "", "<!DOCTYPE html><p>Blocked"), Proxy, 0},
		{"proxy wants a sign-in", text(407, "text/plain", "no"), Proxy, 0},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://portal.example/login", http.StatusFound)
		}, Proxy, 0},
		{"text", text(200, "text/plain", "hello"), BadAnswer, 0},
		{"JSON of another kind", text(200, "application/json", `{"hello":1}`), BadAnswer, 0},
		{"bare 404", text(404, "text/plain", ""), BadAnswer, 0},
		{"no text", text(502, "text/html", "<html>bad gateway"), ServerFault, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFar(t)
				f.login = test.answer
				_, err := f.client().SignIn(t.Context())
				var e *Error
				if !errors.As(err, &e) || e.Kind != test.kind || e.AADSTS != test.aadsts {
					t.Fatalf("%v, want %s and AADSTS%d", err, test.kind, test.aadsts)
				}
				if strings.Contains(e.Error(), "Trace ID") || strings.ContainsAny(e.Error(), "\r\n") {
					t.Errorf("not one plain line: %q", e.Error())
				}
				clean(t, err)
			})
		})
	}
}

func TestTheTokenAnswerMustHoldAToken(t *testing.T) {
	for _, access := range []string{"opaque", "a.b.c", "eyJhbGciOiJub25lIn0.bm90IGpzb24.c2ln"} {
		f := newFar(t)
		f.login = func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				f.signIn(w, r)
				return
			}
			answerJSON(w, 200, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": access})
		}
		_, err := f.client().SignIn(t.Context())
		if !hasKind(err, BadAnswer) {
			t.Errorf("%s: %v", access, err)
		}
		clean(t, err)
	}
}

// TestAnswersOfTheAPI goes through the API's errors by its own samples.
func TestAnswersOfTheAPI(t *testing.T) {
	given := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answerText(w, status, body) }
	}
	coded := func(status int, code, message string) http.HandlerFunc {
		return given(status, fmt.Sprintf(`{"error":{"code":%q,"message":%q,"target":"t-1"}}`, code, message))
	}
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		want   Error
	}{
		{"OData", given(400, string(sample(t, "error-400-odata-guess-message.json"))), Error{Kind: BadRequest, Status: 400, Code: "ODataError"}},
		{"inactive", given(401, string(sample(t, "error-401-account-inactive.json"))), Error{Kind: NoLicence, Status: 401, Code: "Unauthorized"}},
		{"licence", given(401, string(sample(t, "error-401-no-tvm-license.json"))), Error{Kind: NoLicence, Status: 401, Code: "Unauthorized"}},
		{"token", coded(401, "Unauthorized", "Access token is not valid"), Error{Kind: Unauthorized, Status: 401, Code: "Unauthorized"}},
		{"feature", given(403, string(sample(t, "error-403-feature-disabled.json"))), Error{Kind: FeatureDisabled, Status: 403, Code: "DisabledFeature"}},
		{"role", given(403, string(sample(t, "error-403-missing-role.json"))), Error{
			Kind: MissingRole, Status: 403, Code: "Forbidden",
			Required: []string{"Software.Read.All"}, Present: []string{"Vulnerability.Read.All", "Machine.Read.All"},
		}},
		{"no roles", coded(403, "Forbidden", "Missing application roles. API required roles: Machine.Read.All,Machine.ReadWrite.All, application roles: ."), Error{
			Kind: MissingRole, Status: 403, Code: "Forbidden", Required: []string{"Machine.Read.All", "Machine.ReadWrite.All"},
		}},
		{"audience", coded(403, "Forbidden", "Access token audience 'https://graph' is not an audience of this API."), Error{Kind: BadScope, Status: 403, Code: "Forbidden"}},
		{"refused", coded(403, "DisallowedOperation", "No."), Error{Kind: Unauthorized, Status: 403, Code: "DisallowedOperation"}},
		{"machine", given(404, string(sample(t, "error-404-machine.json"))), Error{Kind: NotFound, Status: 404, Code: "ResourceNotFound"}},
		{"bare 404", given(404, ""), Error{Kind: BadAnswer, Status: 404}},
		{"wrong path", coded(404, "NotFound", "No resource at this path"), Error{Kind: NotFound, Status: 404, Code: "NotFound"}},
		{"5xx", coded(500, "InternalServerError", ""), Error{Kind: ServerFault, Status: 500, Code: "InternalServerError"}},
		{"5xx page", given(503, "<html>down"), Error{Kind: ServerFault, Status: 503}},
		{"429", given(429, string(sample(t, "error-429-per-minute.json"))), Error{Kind: Throttled, Status: 429, Code: "429", RetryAfter: 8 * time.Second}},
		{"429 of an hour", given(429, string(sample(t, "error-429-per-hour-2021.json"))), Error{Kind: Throttled, Status: 429, Code: "429", RetryAfter: 16 * time.Minute}},
		{"page of a proxy", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>log in")
		}, Error{Kind: Proxy, Status: 200}},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example", http.StatusTemporaryRedirect)
		}, Error{Kind: Proxy, Status: 307}},
		{"no JSON", given(200, "hello"), Error{Kind: BadAnswer}},
		{"other JSON", given(200, `{"rows":[]}`), Error{Kind: BadAnswer}},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, Error{Kind: BadAnswer, Status: 204}},
		{"deflate", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "deflate")
			answerText(w, 200, emptyList)
		}, Error{Kind: BadAnswer, Status: 200}},
		{"not gzip", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			answerText(w, 200, emptyList)
		}, Error{Kind: BadAnswer, Status: 200}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFar(t)
				f.api = test.answer
				err := last(f.client().AntivirusHealth(t.Context()))
				var e *Error
				if !errors.As(err, &e) || e.Kind != test.want.Kind || e.Status != test.want.Status || e.Code != test.want.Code ||
					e.RetryAfter != test.want.RetryAfter || !slices.Equal(e.Required, test.want.Required) || !slices.Equal(e.Present, test.want.Present) {
					t.Fatalf("%#v, want %#v", err, test.want)
				}
				if e.Call != "GET api.example/api/deviceavinfo" {
					t.Errorf("call %q", e.Call)
				}
				if errors.Is(err, ErrNotFound) != (test.want.Code == "ResourceNotFound") {
					t.Errorf("%v: not found?", err)
				}
				clean(t, err)
			})
		})
	}
}

// last reads to the end and returns the error that ended it.
func last[T any](rows func(func(Row[T], error) bool)) (err error) {
	for _, err = range rows {
	}
	return err
}

// TestAFarSideThatEchoesSecrets sends back what it was sent, in every kind of answer.
func TestAFarSideThatEchoesSecrets(t *testing.T) {
	for _, status := range []int{200, 400, 401, 403, 404, 407, 429, 500} {
		for _, form := range []string{
			`{"error":{"code":"%[1]s","message":"%[1]s","target":"%[1]s"}}`, `{"error":"%[1]s","error_description":"%[1]s","correlation_id":"%[1]s"}`,
			`{"value":"%[1]s"}`, `<html>%[1]s`, `<Error><Code>%[1]s</Code></Error>`, `%[1]s`, `{"error":"invalid_client","error_description":"AADSTS7000215: %[1]s"}`,
		} {
			synctest.Test(t, func(t *testing.T) {
				f := newFar(t)
				echo := func(w http.ResponseWriter, r *http.Request) {
					_ = r.ParseForm()
					parts := []string{planted, r.Form.Encode(), r.Header.Get("Authorization"), "https://blob.example/f?sv=1&sig=x%2BS1gnature&se=2"}
					answerText(w, status, fmt.Sprintf(form, strings.Join(parts, " ")))
				}
				f.api, f.files = echo, echo
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
				defer cancel()
				c := f.client()
				_, err := c.Export(ctx, VulnerabilityExport)
				clean(t, err)
				clean(t, last(c.Machines(ctx)))
				clean(t, last(c.VulnerabilityFile(ctx, File{Name: "/f", URL: "https://blob.example/f?sig=xS1gnature"})))
				_, err = c.CatalogueEntry(ctx, "CVE-1")
				clean(t, err)
				f.login = echo
				_, err = f.client().SignIn(ctx)
				if err == nil {
					t.Error("signed in")
				}
				clean(t, err)
			})
		}
	}
}
