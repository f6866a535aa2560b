package muster

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Connector is one configured tenant with its filters.
type Connector struct {
	ID       int64    `json:"-"`
	Name     string   `json:"name"`
	Settings Settings `json:"settings"`
	Version  int64    `json:"version"` // of the settings, raised by each change
	// Tenant is the token's tid of the first successful run; "" before. It never changes.
	Tenant string `json:"tenant"`
}

// Settings are a connector's options (SPEC §1) but for its secret, which never travels with them.
type Settings struct {
	TenantID string    `json:"tenant_id"` // GUID or verified domain
	ClientID string    `json:"client_id"` // GUID
	Cloud    string    `json:"cloud"`     // see Clouds; "" = commercial
	LoginURL string    `json:"login_url,omitempty"`
	APIURL   string    `json:"api_url,omitempty"`
	Scope    string    `json:"scope,omitempty"`
	Filter   Filter    `json:"filter"`
	Datasets []Dataset `json:"datasets"`
}

// Filter limits the machines that are imported (SPEC §1, Scope).
type Filter struct {
	StaleDays     int      `json:"stale_days,omitempty"` // 1–3650; 0 = no limit
	Tags          []string `json:"tags,omitempty"`       // trimmed; empty = no filter
	AllTags       bool     `json:"all_tags,omitempty"`   // all of Tags instead of any
	OnboardedOnly bool     `json:"onboarded_only,omitempty"`
}

// Clouds are the names of Microsoft's clouds and commercial regions.
var Clouds = []string{"commercial", "us", "eu", "uk", "au", "gcc", "gcc-high", "dod"}

const maxStaleDays = 3650

var (
	guid   = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
	domain = regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]{2,63}$`)
)

// IsGUID tells whether text is a GUID in its usual form, in any case.
func IsGUID(text string) bool { return guid.MatchString(text) }

// ValidName checks a connector's name: 1–128 characters after trimming, printable.
func ValidName(name string) error {
	name = strings.TrimSpace(name)
	if n := utf8.RuneCountInString(name); n < 1 || n > 128 {
		return Invalid("connector", "the connector's name must have 1 to 128 characters", "Give it a short name, for example \"Contoso\".")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return Invalid("connector", "the connector's name holds characters that cannot be printed", "Use letters, digits, blanks and punctuation.")
	}
	return nil
}

// NameKey is what makes names unique without regard to case.
func NameKey(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// Validate checks every option and returns the first that is wrong.
func (s *Settings) Validate() error {
	if !IsGUID(s.TenantID) && !domain.MatchString(s.TenantID) {
		return Invalid("tenant_id", fmt.Sprintf("%q is neither a GUID nor a domain name", s.TenantID),
			"Copy the Directory (tenant) ID from the app's overview page in the Entra portal.")
	}
	if !IsGUID(s.ClientID) {
		return Invalid("client_id", fmt.Sprintf("%q is not a GUID", s.ClientID),
			"Copy the Application (client) ID from the app's overview page in the Entra portal.")
	}
	if s.Cloud == "" {
		s.Cloud = "commercial"
	}
	if !slices.Contains(Clouds, s.Cloud) {
		return Invalid("cloud", fmt.Sprintf("unknown cloud %q", s.Cloud), "Use one of: "+strings.Join(Clouds, ", ")+".")
	}
	if err := s.validateAddresses(); err != nil {
		return err
	}
	datasets, err := ParseDatasets(datasetNames(s.Datasets))
	if err != nil {
		return err
	}
	s.Datasets = datasets
	return s.Filter.Validate()
}

func (s *Settings) validateAddresses() error {
	const both = "Give both --login-url and --api-url, or neither."
	switch {
	case s.LoginURL == "" && s.APIURL != "":
		return Invalid("login_url", "the API address lacks its sign-in address", both)
	case s.LoginURL != "" && s.APIURL == "":
		return Invalid("api_url", "the sign-in address lacks its API address", both)
	case s.Scope != "" && s.LoginURL == "":
		return Invalid("scope", "a scope of one's own belongs to addresses of one's own", "Give --scope together with --login-url and --api-url, or leave it out.")
	case strings.ContainsFunc(s.Scope, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return Invalid("scope", fmt.Sprintf("%q is not a scope", s.Scope), "Give one scope without blanks, for example https://api.securitycenter.microsoft.com/.default.")
	}
	if err := httpsOrigin("login_url", s.LoginURL); err != nil {
		return err
	}
	return httpsOrigin("api_url", s.APIURL)
}

func httpsOrigin(option, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" || u.User != nil || strings.ContainsAny(text, "?#") || strings.Trim(u.Path, "/") != "" {
		return Invalid(option, fmt.Sprintf("%q is not an https origin", redactedURL(text)),
			"Use https, a host and perhaps a port, nothing else: https://login.example.com:8443.")
	}
	if _, port, err := net.SplitHostPort(u.Host); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return Invalid(option, fmt.Sprintf("%q is not a port", port), "Write https://host:port with a port from 1 to 65535, or leave the colon out.")
		}
	}
	return nil
}

// redactedURL keeps what is safe to repeat: a query or user part may hold a secret.
func redactedURL(text string) string {
	if at := strings.IndexAny(text, "?#"); at >= 0 {
		text = text[:at]
	}
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		return "…" + text[at:]
	}
	return text
}

// Validate checks the filters and trims the tags; equal tags are kept once.
func (f *Filter) Validate() error {
	if f.StaleDays < 0 || f.StaleDays > maxStaleDays {
		return Invalid("stale_days", fmt.Sprintf("the stale threshold %d is outside 1 to %d days", f.StaleDays, maxStaleDays),
			"Give a number of days, or leave it out for no limit.")
	}
	var tags []string
	for _, tag := range f.Tags {
		tag = strings.TrimSpace(tag)
		if tag == "" {
			return Invalid("tag", "a device tag is empty", "Give the tag's whole text, or leave it out.")
		}
		if !slices.ContainsFunc(tags, func(t string) bool { return strings.EqualFold(t, tag) }) {
			tags = append(tags, tag)
		}
	}
	f.Tags = tags
	return nil
}

// Equal tells whether two validated filters let the same machines in: neither the order
// nor the case of tags matters, and with one tag at most, all are any.
func (f Filter) Equal(g Filter) bool {
	return f.StaleDays == g.StaleDays && f.OnboardedOnly == g.OnboardedOnly && (f.AllTags == g.AllTags || len(f.Tags) < 2) && sameTags(f.Tags, g.Tags)
}

func sameTags(a, b []string) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(tag string) bool {
		return !slices.ContainsFunc(b, func(t string) bool { return strings.EqualFold(t, tag) })
	})
}

// Window is the stale threshold as a duration, 0 for none.
func (f Filter) Window() time.Duration { return time.Duration(f.StaleDays) * 24 * time.Hour }
