package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tenantDomain is a verified domain of the tenant, usable in its place.
const tenantDomain = "contoso.onmicrosoft.com"

// audiences are the resources whose tokens the API takes (mde-api.md §2.1).
var audiences = []string{
	"https://api.securitycenter.microsoft.com",
	"https://api.security.microsoft.com",
	"https://securitycenter.onmicrosoft.com/windowsatpservice",
	"https://api-gcc.securitycenter.microsoft.us",
	"https://api-gov.securitycenter.microsoft.us",
}

// foreignResource matches APIs that have a service principal in every tenant: sign-in gives a
// token for them, which the Defender API refuses.
var foreignResource = regexp.MustCompile(`^https://[a-z0-9.-]+\.(microsoft\.com|microsoft\.us|windows\.net|azure\.com|azure\.net|trafficmanager\.net)(/|$)`)

var (
	guidPattern   = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	domainPattern = regexp.MustCompile(`(?i)^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
)

// refusal is an answer of the token endpoint other than a token (mde-api.md §2.3).
type refusal struct {
	status int
	code   string // the OAuth error
	aadsts int
	text   string
	flat   bool // blanks in place of line breaks, as some codes have it
}

func (s *Server) serveSignIn(w http.ResponseWriter, r *http.Request) {
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch strings.ToLower(rest) {
	case "v2.0/.well-known/openid-configuration":
		s.serveOpenIDConfiguration(w, r, tenant)
	case "oauth2/v2.0/token":
		s.serveToken(w, r, tenant, false)
	case "oauth2/token":
		s.serveToken(w, r, tenant, true)
	default:
		http.NotFound(w, r)
	}
}

func (s *Server) checkTenant(tenant string) *refusal {
	switch {
	case strings.EqualFold(tenant, s.TenantID()), strings.EqualFold(tenant, tenantDomain):
		return nil
	case guidPattern.MatchString(tenant), domainPattern.MatchString(tenant):
		return &refusal{http.StatusBadRequest, "invalid_request", 90002, "Tenant '" + tenant + "' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.", false}
	}
	return &refusal{http.StatusBadRequest, "invalid_request", 900023, "Specified tenant identifier '" + tenant + "' is neither a valid DNS name, nor a valid external domain.", true}
}

func (s *Server) serveOpenIDConfiguration(w http.ResponseWriter, r *http.Request, tenant string) {
	if refused := s.checkTenant(tenant); refused != nil {
		s.refuse(w, r, refused)
		return
	}
	root := "https://" + r.Host + "/" + tenant
	writeJSON(w, http.StatusOK, map[string]any{
		"token_endpoint":                        root + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt"},
		"authorization_endpoint":                root + "/oauth2/v2.0/authorize",
		"jwks_uri":                              root + "/discovery/v2.0/keys",
		"issuer":                                "https://" + r.Host + "/" + s.TenantID() + "/v2.0",
		"response_types_supported":              []string{"code", "id_token", "token"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"tenant_region_scope":                   "NA",
	})
}

// serveToken answers the token endpoints; v1 names a resource instead of a scope and
// writes numbers as strings.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request, tenant string, v1 bool) {
	if r.Method != http.MethodPost {
		s.refuse(w, r, &refusal{http.StatusBadRequest, "invalid_request", 900561, "The endpoint only accepts POST requests. Received a " + r.Method + " request.", false})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		s.refuse(w, r, &refusal{http.StatusBadRequest, "invalid_request", 900144, "The request body is not a readable form.", false})
		return
	}
	resource, method, refused := s.checkTokenRequest(r.PostForm, tenant, v1)
	if refused != nil {
		s.refuse(w, r, refused)
		return
	}
	now := s.now()
	token, err := s.signer.sign(s.claims(resource, method, now))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.signInHeaders(w)
	seconds := int64(s.options.TokenLifetime / time.Second)
	if !v1 {
		writeJSON(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token})
		return
	}
	text := strconv.FormatInt(seconds, 10)
	writeJSON(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": text, "ext_expires_in": text,
		"expires_on": strconv.FormatInt(now.Unix()+seconds, 10), "not_before": strconv.FormatInt(now.Unix()-300, 10), "resource": resource, "access_token": token,
	})
}

// checkTokenRequest gives the resource asked for and the appidacr claim ("1" secret, "2" certificate).
func (s *Server) checkTokenRequest(form url.Values, tenant string, v1 bool) (resource, method string, _ *refusal) {
	if refused := s.checkTenant(tenant); refused != nil {
		return "", "", refused
	}
	target := "scope"
	if v1 {
		target = "resource"
	}
	for _, name := range []string{"grant_type", "client_id", target} {
		if form.Get(name) == "" {
			return "", "", &refusal{http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: '" + name + "'.", false}
		}
	}
	if grant := form.Get("grant_type"); grant != "client_credentials" {
		return "", "", &refusal{http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '" + grant + "'.", false}
	}
	if id := form.Get("client_id"); !strings.EqualFold(id, s.ClientID()) {
		return "", "", &refusal{http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '" + id + "' was not found in the directory 'Contoso'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.", false}
	}
	method, refused := s.checkCredential(form, tenant)
	if refused != nil {
		return "", "", refused
	}
	resource, refused = checkResource(form.Get(target), v1)
	return resource, method, refused
}

func (s *Server) checkCredential(form url.Values, tenant string) (method string, _ *refusal) {
	unauthorized := func(aadsts int, text string, flat bool) (string, *refusal) {
		return "", &refusal{http.StatusUnauthorized, "invalid_client", aadsts, text, flat}
	}
	switch form.Get("client_secret") {
	case s.secret:
		return "1", nil
	case s.ExpiredSecret():
		return unauthorized(7000222, "The provided client secret keys for app '"+s.ClientID()+"' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.", true)
	case "":
	default:
		return unauthorized(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '"+s.ClientID()+"'.", false)
	}
	token := form.Get("client_assertion")
	if token == "" {
		return unauthorized(7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.", false)
	}
	a, err := checkAssertion(token, s.options.Certificates)
	if err != nil {
		return unauthorized(700027, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]", false)
	}
	audience, err := url.Parse(a.Audience)
	if err != nil || !strings.HasPrefix(strings.ToLower(audience.Path), "/"+strings.ToLower(tenant)+"/") {
		return unauthorized(700023, "Client assertion audience claim does not match Realm issuer.", false)
	}
	if !strings.EqualFold(a.Issuer, s.ClientID()) || !strings.EqualFold(a.Subject, s.ClientID()) {
		return unauthorized(700021, "Client assertion application identifier doesn't match 'client_id' parameter.", false)
	}
	return "2", nil
}

func checkResource(target string, v1 bool) (string, *refusal) {
	resource := strings.TrimSuffix(target, "/")
	if !v1 {
		// MSAL adds these three to every request.
		scopes := slices.DeleteFunc(strings.Fields(target), func(scope string) bool {
			return scope == "openid" || scope == "offline_access" || scope == "profile"
		})
		found := false
		if len(scopes) == 1 {
			resource, found = strings.CutSuffix(scopes[0], "/.default")
		}
		if !found {
			return "", &refusal{http.StatusBadRequest, "invalid_scope", 70011, "The provided value for the input parameter 'scope' isn't valid. The scope " + strings.Join(scopes, " ") + " isn't valid.", false}
		}
	}
	resource = strings.TrimSuffix(resource, "/")
	if !slices.Contains(audiences, resource) && !foreignResource.MatchString(resource) {
		return "", &refusal{http.StatusBadRequest, "invalid_resource", 500011, "The resource principal named " + resource + " was not found in the tenant named Contoso. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.", false}
	}
	return resource, nil
}

func (s *Server) claims(resource, method string, now time.Time) claims {
	issuer := "https://sts.windows.net/" + s.TenantID() + "/"
	h := mix(textHash("service principal"), textHash(s.ClientID()))
	object := guid(h, mix(h))
	c := claims{
		Audience: resource, Issuer: issuer, IdentityProvider: issuer,
		IssuedAt: now.Unix() - 300, NotBefore: now.Unix() - 300, Expires: now.Add(s.options.TokenLifetime).Unix(),
		AIO: "E2NgYFedKTVnUe8ySqY60cef9BQA=", RH: "0.AQcA...", UTI: strings.ReplaceAll(newGUID(), "-", "")[:25],
		AppDisplayName: "MDE connector", AppID: s.ClientID(), AppIDACR: method,
		ObjectID: object, Subject: object, RegionScope: "NA", TenantID: s.TenantID(), Version: "1.0",
	}
	if slices.Contains(audiences, resource) {
		c.Roles = s.currentRoles()
	}
	return c
}

func (s *Server) signInHeaders(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store, no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("X-Ms-Request-Id", newGUID())
	h.Set("X-Ms-Ests-Server", "2.1.22218.4 - MUSTER")
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, f *refusal) {
	s.signInHeaders(w)
	trace := w.Header().Get("X-Ms-Request-Id")
	correlation := r.Header.Get("Client-Request-Id")
	if !guidPattern.MatchString(correlation) {
		correlation = newGUID()
	}
	at := s.now().UTC().Format("2006-01-02 15:04:05Z")
	lineBreak := "\r\n"
	if f.flat {
		lineBreak = " "
	}
	w.Header().Set("X-Ms-Clitelem", fmt.Sprintf("1,%d,0,,", f.aadsts))
	writeJSON(w, f.status, struct {
		Error         string `json:"error"`
		Description   string `json:"error_description"`
		Codes         []int  `json:"error_codes"`
		Timestamp     string `json:"timestamp"`
		TraceID       string `json:"trace_id"`
		CorrelationID string `json:"correlation_id"`
		URI           string `json:"error_uri"`
	}{
		Error:       f.code,
		Description: strings.Join([]string{fmt.Sprintf("AADSTS%d: %s", f.aadsts, f.text), "Trace ID: " + trace, "Correlation ID: " + correlation, "Timestamp: " + at}, lineBreak),
		Codes:       []int{f.aadsts}, Timestamp: at, TraceID: trace, CorrelationID: correlation,
		URI: fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", f.aadsts),
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) //nolint:errchkjson // the bodies are plain structs, and of a client that is gone nobody is left to tell
}
