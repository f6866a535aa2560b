package muster_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster"
)

func valid() muster.Settings {
	return muster.Settings{TenantID: "11111111-2222-3333-4444-555555555555", ClientID: "66666666-7777-8888-9999-AAAAaaaa0000"}
}

// refused checks an error of a refused option: code, meaning, sentence and advice.
func refused(t *testing.T, what string, err error, option string) {
	t.Helper()
	var e *muster.Error
	switch {
	case !errors.As(err, &e):
		t.Errorf("%s: error = %v, want code invalid_%s", what, err, option)
	case e.Code != "invalid_"+option || !errors.Is(err, muster.ErrInvalid) || e.Message == "" || e.Advice == "" || strings.Contains(e.Message, "hunter2"):
		t.Errorf("%s: error = %+v, want code invalid_%s with a sentence and advice", what, *e, option)
	}
}

func TestSettingsRefused(t *testing.T) {
	ownAddresses := func(login, api string) func(*muster.Settings) {
		return func(s *muster.Settings) { s.LoginURL, s.APIURL = login, api }
	}
	const good = "https://api.test"
	for _, c := range []struct {
		what, option string
		change       func(*muster.Settings)
	}{
		{"no tenant", "tenant_id", func(s *muster.Settings) { s.TenantID = "" }},
		{"a tenant cut short", "tenant_id", func(s *muster.Settings) { s.TenantID = "11111111-2222-3333-4444-55555555555" }},
		{"a tenant in braces", "tenant_id", func(s *muster.Settings) { s.TenantID = "{11111111-2222-3333-4444-555555555555}" }},
		{"a name without a dot", "tenant_id", func(s *muster.Settings) { s.TenantID = "organizations" }},
		{"an address for a domain", "tenant_id", func(s *muster.Settings) { s.TenantID = "https://contoso.com" }},
		{"a path in the domain", "tenant_id", func(s *muster.Settings) { s.TenantID = "contoso.com/x" }},
		{"a line end after the domain", "tenant_id", func(s *muster.Settings) { s.TenantID = "contoso.com\n" }},
		{"no client", "client_id", func(s *muster.Settings) { s.ClientID = "" }},
		{"a domain for a client", "client_id", func(s *muster.Settings) { s.ClientID = "contoso.com" }},
		{"letters beyond hex", "client_id", func(s *muster.Settings) { s.ClientID = "g6666666-7777-8888-9999-000000000000" }},
		{"an unknown cloud", "cloud", func(s *muster.Settings) { s.Cloud = "china" }},
		{"a cloud in another case", "cloud", func(s *muster.Settings) { s.Cloud = "GCC" }},
		{"a sign-in address alone", "api_url", ownAddresses(good, "")},
		{"an API address alone", "login_url", ownAddresses("", good)},
		{"http for the sign-in", "login_url", ownAddresses("http://login.test", good)},
		{"http for the API", "api_url", ownAddresses(good, "http://api.test")},
		{"no scheme", "login_url", ownAddresses("login.test", good)},
		{"no host", "login_url", ownAddresses("https://", good)},
		{"a port alone", "login_url", ownAddresses("https://:8443", good)},
		{"a path", "login_url", ownAddresses("https://login.test/tenant", good)},
		{"a query", "login_url", ownAddresses("https://login.test?sig=hunter2", good)},
		{"an empty query", "login_url", ownAddresses("https://login.test?", good)},
		{"a fragment", "login_url", ownAddresses("https://login.test#hunter2", good)},
		{"a user", "api_url", ownAddresses(good, "https://me:hunter2@api.test")},
		{"no port after the colon", "api_url", ownAddresses(good, "https://api.test:")},
		{"port 0", "api_url", ownAddresses(good, "https://api.test:0")},
		{"port 65536", "api_url", ownAddresses(good, "https://api.test:65536")},
		{"a port of letters", "api_url", ownAddresses(good, "https://api.test:https")},
		{"a control character", "api_url", ownAddresses(good, "https://api.test\x7f")},
		{"a scope without addresses", "scope", func(s *muster.Settings) { s.Scope = "https://api.test/.default" }},
		{"two scopes", "scope", func(s *muster.Settings) { s.LoginURL, s.APIURL, s.Scope = good, good, "a b" }},
		{"an unknown dataset", "datasets", func(s *muster.Settings) { s.Datasets = []muster.Dataset{"machines", "alerts"} }},
		{"days below none", "stale_days", func(s *muster.Settings) { s.Filter.StaleDays = -1 }},
		{"too many days", "stale_days", func(s *muster.Settings) { s.Filter.StaleDays = 3651 }},
		{"far too many days", "stale_days", func(s *muster.Settings) { s.Filter.StaleDays = 99999 }},
		{"an empty tag", "tag", func(s *muster.Settings) { s.Filter.Tags = []string{"a", ""} }},
		{"a tag of blanks", "tag", func(s *muster.Settings) { s.Filter.Tags = []string{" \t"} }},
	} {
		s := valid()
		c.change(&s)
		refused(t, c.what, s.Validate(), c.option)
	}
}

func TestSettingsTidied(t *testing.T) {
	s := valid()
	s.TenantID, s.LoginURL, s.APIURL, s.Scope = "contoso.onmicrosoft.com", "https://127.0.0.1:9443/", "https://[::1]:443", "https://api.test/.default"
	s.Datasets = []muster.Dataset{"catalogue", "information"}
	s.Filter = muster.Filter{StaleDays: 3650, Tags: []string{" Prod ", "prod", "b", "PROD"}, AllTags: true}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	want := s
	want.Cloud, want.Datasets = "commercial", []muster.Dataset{muster.Machines, muster.Information, muster.Catalogue}
	want.Filter.Tags = []string{"Prod", "b"}
	for range 2 { // tidying twice changes nothing
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cloud := range muster.Clouds {
		s := valid()
		if s.Cloud = cloud; s.Validate() != nil {
			t.Errorf("cloud %s is refused", cloud)
		}
	}
	plain := valid()
	if err := plain.Validate(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(muster.DefaultDatasets(), plain.Datasets); diff != "" {
		t.Errorf("datasets when none are named (-want +got):\n%s", diff)
	}
}

func TestFilterEqual(t *testing.T) {
	base := muster.Filter{StaleDays: 30, Tags: []string{"a", "b"}}
	for _, same := range []muster.Filter{base, {StaleDays: 30, Tags: []string{"B", "A"}}} {
		if !base.Equal(same) || !same.Equal(base) {
			t.Errorf("%+v lets other machines in than %+v", base, same)
		}
	}
	if one := (muster.Filter{Tags: []string{"a"}}); !one.Equal(muster.Filter{Tags: []string{"A"}, AllTags: true}) {
		t.Error("with one tag, all is not any")
	}
	if !(muster.Filter{}).Equal(muster.Filter{Tags: []string{}}) {
		t.Error("no tags are not no tags")
	}
	for _, other := range []muster.Filter{
		{StaleDays: 31, Tags: base.Tags},
		{StaleDays: 30, Tags: []string{"a"}},
		{StaleDays: 30, Tags: []string{"a", "c"}},
		{StaleDays: 30, Tags: []string{"a", "b", "c"}},
		{StaleDays: 30, Tags: base.Tags, AllTags: true},
		{StaleDays: 30, Tags: base.Tags, OnboardedOnly: true},
	} {
		if base.Equal(other) || other.Equal(base) {
			t.Errorf("%+v lets the same machines in as %+v", base, other)
		}
	}
	if got := base.Window(); got != 720*time.Hour {
		t.Errorf("30 days are %s", got)
	}
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", " Contoso ", strings.Repeat("ä", 128), "  " + strings.Repeat("x", 128) + "\n", "Büro / Süd (2)", "日本"} {
		if err := muster.ValidName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", " \t\n ", strings.Repeat("ä", 129), "a\tb", "a\x00", "a\u202eb", "a\u00a0b", "a\nb"} {
		refused(t, name, muster.ValidName(name), "connector")
	}
	if muster.NameKey(" ConToso Ä ") != muster.NameKey("contoso ä") {
		t.Error("names differ by case or blanks")
	}
}
