package emulator_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/internal/defender/emulator"
)

// everything are the permissions that a connector can have.
var everything = []string{"Machine.Read.All", "Vulnerability.Read.All", "Software.Read.All"}

// endpoints with the roles of which one is needed (mde-api.md §6).
var endpoints = map[string]string{
	"/api/machines":                                         "Machine.Read.All,Machine.ReadWrite.All",
	"/api/machines/x":                                       "Machine.Read.All,Machine.ReadWrite.All",
	"/api/machines/findbytag?tag=x":                         "Machine.Read.All,Machine.ReadWrite.All",
	"/api/deviceavinfo":                                     "Machine.Read.All",
	"/api/vulnerabilities":                                  "Vulnerability.Read.All",
	"/api/vulnerabilities/x":                                "Vulnerability.Read.All",
	"/api/vulnerabilities/x/machineReferences":              "Vulnerability.Read.All",
	"/api/vulnerabilities/machinesVulnerabilities":          "Vulnerability.Read.All",
	"/api/machines/SoftwareVulnerabilitiesByMachine":        "Vulnerability.Read.All",
	"/api/machines/SoftwareVulnerabilitiesExport":           "Vulnerability.Read.All",
	"/api/machines/SecureConfigurationsAssessmentByMachine": "Vulnerability.Read.All",
	"/api/machines/SecureConfigurationsAssessmentExport":    "Vulnerability.Read.All",
	"/api/machines/InfoGatheringExport":                     "Vulnerability.Read.All",
	"/api/machines/SoftwareInventoryByMachine":              "Software.Read.All",
	"/api/machines/SoftwareInventoryExport":                 "Software.Read.All",
	"/api/machines/SoftwareInventoryNoProductCodeByMachine": "Software.Read.All",
	"/api/machines/SoftwareInventoryNonCpeExport":           "Software.Read.All",
}

func TestEachEndpointNeedsItsRole(t *testing.T) {
	f := start(t, emulator.Options{Devices: 2}, emulator.ServerOptions{})
	for address, needed := range endpoints {
		for _, role := range append(slices.Clone(everything), "Machine.ReadWrite.All") {
			f.SetRoles([]string{role})
			f.signIn()
			r, body := f.get(address)
			if slices.Contains(strings.Split(needed, ","), role) {
				if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusNotFound {
					t.Errorf("%s with %s: %d %s", address, role, r.StatusCode, body)
				}
				continue
			}
			if want := "Missing application roles. API required roles: " + needed + ", application roles: " + role + "."; r.StatusCode != http.StatusForbidden || messageOf(t, body) != want {
				t.Errorf("%s with %s: %d %s", address, role, r.StatusCode, body)
			}
		}
	}
}

func messageOf(t *testing.T, body []byte) string {
	t.Helper()
	var answer struct {
		Error struct{ Code, Message, Target string }
	}
	decode(t, body, &answer)
	return answer.Error.Message
}

// targetless replaces the correlation id of an API error.
func targetless(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var answer map[string]map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if target, _ := answer["error"]["target"].(string); !anyGUID.MatchString(target) {
		t.Errorf("target is %q", target)
	}
	answer["error"]["target"] = nil
	return answer["error"]
}

func TestErrorsAreTheSamples(t *testing.T) {
	f := start(t, emulator.Options{Devices: 2, TenantID: sampleTenant}, emulator.ServerOptions{Roles: []string{"Vulnerability.Read.All", "Machine.Read.All"}})
	for name, c := range map[string]struct {
		address string
		status  int
	}{
		"error-403-missing-role.json":        {"/api/machines/SoftwareInventoryExport", http.StatusForbidden},
		"error-404-machine.json":             {"/api/machines/123123123", http.StatusNotFound},
		"error-400-odata-guess-message.json": {"/api/machines?$filter=foo%20eq%20'bar'", http.StatusBadRequest},
	} {
		r, body := f.get(c.address)
		if diff := cmp.Diff(targetless(t, sample(t, name)), targetless(t, body)); diff != "" || r.StatusCode != c.status {
			t.Errorf("%s: %d %s", c.address, r.StatusCode, diff)
		}
	}
}

func TestTokensAreChecked(t *testing.T) {
	f := start(t, emulator.Options{Devices: 2}, emulator.ServerOptions{TokenLifetime: 10 * time.Minute})
	f.signIn()
	other := start(t, emulator.Options{Devices: 2}, emulator.ServerOptions{})
	other.signIn()
	form := f.form()
	form.Set("scope", "https://userrequestsgraphapi-prd.trafficmanager.net/.default")
	_, body := f.post("/"+f.TenantID()+"/oauth2/v2.0/token", form)
	foreign := body["access_token"].(string)
	if roles, has := claimsOf(t, foreign)["roles"]; has {
		t.Errorf("a token of another API has roles %v of this one", roles)
	}
	for name, c := range map[string]struct {
		header string
		status int
		says   string
	}{
		"none":                {"", 401, `"code":"Unauthorized"`},
		"basic":               {"Basic abc", 401, `"code":"Unauthorized"`},
		"garbage":             {"Bearer abc", 401, `"code":"Unauthorized"`},
		"of another sign-in":  {"Bearer " + other.token, 401, `"code":"Unauthorized"`},
		"unsigned":            {"Bearer " + f.token[:strings.LastIndexByte(f.token, '.')+1], 401, `"code":"Unauthorized"`},
		"of another audience": {"Bearer " + foreign, 403, `"code":"Forbidden","message":"Access token audience 'https://userrequestsgraphapi-prd.trafficmanager.net'`},
		"right":               {"bearer " + f.token, 200, ""},
	} {
		header := http.Header{}
		if c.header != "" {
			header.Set("Authorization", c.header)
		}
		r, body := f.getWith("/api/machines", header)
		if r.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s: %d %s", name, r.StatusCode, body)
		}
	}
	f.clock.advance(10*time.Minute - time.Second)
	if r, _ := f.get("/api/machines"); r.StatusCode != http.StatusOK {
		t.Errorf("a second before the end: %d", r.StatusCode)
	}
	f.clock.advance(time.Second)
	if r, _ := f.get("/api/machines"); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("at the end: %d", r.StatusCode)
	}
}

func TestEveryAudienceOfTheAPIIsTaken(t *testing.T) {
	f := start(t, emulator.Options{Devices: 2}, emulator.ServerOptions{})
	for _, scope := range []string{
		"https://api.securitycenter.microsoft.com/.default", "https://api.security.microsoft.com/.default", "https://securitycenter.onmicrosoft.com/windowsatpservice/.default",
		"https://api-gcc.securitycenter.microsoft.us/.default", "https://api-gov.securitycenter.microsoft.us/.default",
	} {
		form := f.form()
		form.Set("scope", scope+" openid offline_access profile")
		_, body := f.post("/"+f.TenantID()+"/oauth2/v2.0/token", form)
		f.token, _ = body["access_token"].(string)
		if r, _ := f.get("/api/machines"); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %v", scope, r.StatusCode, body)
		}
	}
}

func TestPathsHaveNoCase(t *testing.T) {
	f := start(t, emulator.Options{Devices: 2}, emulator.ServerOptions{})
	for address, status := range map[string]int{
		"/api/Machines?$TOP=1": 200, "/API/v1.0/machines": 200, "/api/MACHINES/softwarevulnerabilitiesEXPORT": 200,
		"/api/v1.0/Vulnerabilities/": 200, "/api/v2.0/machines": 404, "/api/nothing": 404, "/api/machines/x/y": 404,
	} {
		r, body := f.get(address)
		if r.StatusCode != status {
			t.Errorf("%s: %d %s", address, r.StatusCode, body)
		}
		if status == http.StatusOK && (r.Header.Get("OData-Version") != "4.0" || r.Header.Get("Content-Type") != "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8") {
			t.Errorf("%s: header %v", address, r.Header)
		}
	}
}

func TestContextNamesTheHostCalled(t *testing.T) {
	f := start(t, emulator.Options{Devices: 2}, emulator.ServerOptions{})
	local := strings.Replace(f.APIURL(), "127.0.0.1", "localhost", 1)
	for address, want := range map[string]string{
		local + "/api/machines?$top=0":                            local + "/api/$metadata#Machines",
		local + "/api/machines?$top=0&$select=id,computerDnsName": local + "/api/$metadata#Machines(id,computerDnsName)",
		"/api/deviceavinfo?$top=0":                                f.APIURL() + "/api/$metadata#DeviceAvInfo",
		"/api/vulnerabilities?$top=0":                             f.APIURL() + "/api/$metadata#Vulnerabilities",
		"/api/vulnerabilities/machinesVulnerabilities?$top=0":     f.APIURL() + "/api/$metadata#Collection(microsoft.windowsDefenderATP.api.PublicAssetVulnerabilityDto)",
		"/api/machines/SoftwareVulnerabilitiesByMachine?$top=0":   f.APIURL() + "/api/$metadata#Collection(microsoft.windowsDefenderATP.api.AssetVulnerability)",
	} {
		if got := f.list(address).Context; got != want {
			t.Errorf("%s: context %s, want %s", address, got, want)
		}
	}
}

func TestThrottledCallsSayWhenToComeBack(t *testing.T) {
	f := start(t, emulator.Options{Devices: 2, TenantID: sampleTenant}, emulator.ServerOptions{})
	for range 5 {
		if r, body := f.get("/api/machines/InfoGatheringExport"); r.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", r.StatusCode, body)
		}
	}
	f.clock.advance(52 * time.Second)
	r, body := f.get("/api/machines/InfoGatheringExport")
	want := strings.Replace(string(sample(t, "error-429-per-minute.json")), "30 per", "5 per", 1)
	var got, wanted any
	decode(t, body, &got)
	decode(t, []byte(want), &wanted)
	if diff := cmp.Diff(wanted, got); diff != "" || r.StatusCode != http.StatusTooManyRequests || r.Header.Get("Retry-After") != "8" {
		t.Errorf("%d, Retry-After %q, %s", r.StatusCode, r.Header.Get("Retry-After"), diff)
	}
	if r, _ := f.get("/api/machines/SoftwareInventoryExport"); r.StatusCode != http.StatusOK {
		t.Errorf("another export is throttled too: %d", r.StatusCode)
	}
	f.clock.advance(8 * time.Second)
	if r, _ := f.get("/api/machines/InfoGatheringExport"); r.StatusCode != http.StatusOK {
		t.Errorf("after the wait: %d", r.StatusCode)
	}
}
