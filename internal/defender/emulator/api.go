package emulator

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Application permissions of the API (mde-api.md §6).
const (
	roleMachines        = "Machine.Read.All"
	roleMachinesWrite   = "Machine.ReadWrite.All"
	roleVulnerabilities = "Vulnerability.Read.All"
	roleSoftware        = "Software.Read.All"
)

var (
	machineRoles       = []string{roleMachines, roleMachinesWrite}
	antivirusRoles     = []string{roleMachines}
	vulnerabilityRoles = []string{roleVulnerabilities}
	softwareRoles      = []string{roleSoftware}

	machineQuota    = quota{100, 1500}
	assessmentQuota = quota{30, 1000}
	exportQuota     = quota{5, 20}
	catalogueQuota  = quota{100, 1500} // not documented
)

// endpoint is one path of the API.
type endpoint struct {
	roles []string // one of them is needed
	quota quota
	serve func(*apiCall) error // an error before the first byte becomes the answer
}

// apiCall is one authorised request.
type apiCall struct {
	w       http.ResponseWriter
	r       *http.Request
	now     time.Time
	day     *Day
	options map[string]string // query options by lower-case name
}

// apiError is an answer other than 200 (mde-api.md §5).
type apiError struct {
	status        int
	code, message string
}

func (e apiError) Error() string { return e.code + ": " + e.message }

func badRequest(code, message string) error {
	return apiError{http.StatusBadRequest, code, message}
}

func (s *Server) api() http.Handler {
	mux := http.NewServeMux()
	endpoints := map[string]endpoint{}
	add := func(pattern string, e endpoint) {
		endpoints[pattern] = e
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	s.addEntities(add)
	for _, f := range feeds {
		s.addFeed(f, add)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := s.now()
		token, refused := s.authorise(r, now)
		if refused != nil {
			s.writeError(w, *refused)
			return
		}
		folded := r.Clone(r.Context())
		folded.URL.Path = foldPath(r.URL.Path)
		_, pattern := mux.Handler(folded)
		e, known := endpoints[pattern]
		if !known {
			s.writeError(w, apiError{http.StatusNotFound, "NotFound", "No resource was found at " + r.URL.Path + " for " + r.Method})
			return
		}
		if !slices.ContainsFunc(e.roles, func(role string) bool { return slices.Contains(token.Roles, role) }) {
			s.writeError(w, apiError{http.StatusForbidden, "Forbidden", "Missing application roles. API required roles: " +
				strings.Join(e.roles, ",") + ", application roles: " + strings.Join(token.Roles, ",") + "."})
			return
		}
		if message, wait := s.limits.take(pattern+"+"+token.TenantID+"+"+token.AppID, e.quota, now); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)))
			s.writeErrorAt(w, apiError{http.StatusTooManyRequests, "429", message}, token.TenantID)
			return
		}
		mux.ServeHTTP(w, folded) // fills in the path values
		folded.URL.Path = r.URL.Path
		s.answer(w, folded, now, e)
	})
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, now time.Time, e endpoint) {
	options, err := queryOptions(r.URL.RawQuery)
	if err == nil {
		err = e.serve(&apiCall{w: w, r: r, now: now, day: s.day(now), options: options})
	}
	if err != nil {
		refused := apiError{http.StatusInternalServerError, "InternalServerError", ""}
		errors.As(err, &refused)
		s.writeError(w, refused)
	}
}

// authorise checks the bearer token: 401 when it is missing, forged or expired, 403 for
// a token of another API.
func (s *Server) authorise(r *http.Request, now time.Time) (claims, *apiError) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return claims{}, &apiError{http.StatusUnauthorized, "Unauthorized", "Authorization header is missing or is not a bearer token."}
	}
	c, err := s.signer.check(strings.TrimSpace(token), now)
	switch {
	case err != nil:
		return c, &apiError{http.StatusUnauthorized, "Unauthorized", "Access token is not valid: it is malformed, expired or not signed by this sign-in."}
	case !slices.Contains(audiences, c.Audience):
		return c, &apiError{http.StatusForbidden, "Forbidden", "Access token audience '" + c.Audience + "' is not an audience of this API."}
	}
	return c, nil
}

// foldPath gives the path without case, version and closing slash: paths are matched so.
func foldPath(path string) string {
	path = strings.TrimPrefix(strings.ToLower(path), "/api")
	path = strings.TrimPrefix(path, "/v1.0")
	return "/" + strings.Trim(path, "/")
}

// queryOptions reads the query with names in lower case; of a repeated one the first counts.
func queryOptions(raw string) (map[string]string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badRequest("BadRequest", "The query string cannot be read.")
	}
	options := make(map[string]string, len(values))
	for name, value := range values {
		options[strings.ToLower(name)] = value[0]
	}
	return options, nil
}

// number reads an option that is a whole number from least up; absent gives otherwise.
func (c *apiCall) number(name string, least, otherwise int) (int, error) {
	text, given := c.options[strings.ToLower(name)]
	if !given {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > math.MaxInt32 {
		return 0, invalidQuery("Invalid value '%s' for %s query option found. The %s query option requires a whole number of at least %d.", text, name, name, least)
	}
	return n, nil
}

// origin is the https origin that the client called.
func (c *apiCall) origin() string { return "https://" + c.r.Host }

// context is the @odata.context of an answer.
func (c *apiCall) context(of string) string { return c.origin() + "/api/$metadata#" + of }

// begin writes the headers of a 200 answer.
func (c *apiCall) begin() {
	h := c.w.Header()
	h.Set("Content-Type", "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8")
	h.Set("OData-Version", "4.0")
	c.w.WriteHeader(http.StatusOK)
}

func (s *Server) writeError(w http.ResponseWriter, e apiError) { s.writeErrorAt(w, e, newGUID()) }

func (s *Server) writeErrorAt(w http.ResponseWriter, e apiError, target string) {
	type body struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Target  string `json:"target"`
	}
	writeJSON(w, e.status, struct {
		Error body `json:"error"`
	}{body{e.code, e.message, target}})
}
