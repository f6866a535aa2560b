package emulator_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/internal/defender/emulator"
)

// machineIDs are those of the day, in the list's order.
func machineIDs(d *emulator.Day) (all []string) {
	for m := range d.Machines() {
		all = append(all, m.ID)
	}
	return all
}

func TestTwelveThousandMachinesArriveWhole(t *testing.T) {
	f := start(t, emulator.Options{Devices: 12000}, emulator.ServerOptions{})
	want := machineIDs(f.day())
	rows, pages := f.whole("/api/machines")
	if got := ids(t, rows, "id"); !slices.Equal(got, want) || len(want) < 11000 {
		t.Errorf("%d machines, want %d", len(got), len(want))
	}
	if !slices.Equal(pages, []int{10000, len(want) - 10000}) {
		t.Errorf("pages of %v", pages)
	}
	if first := f.list("/api/machines?$top=10000"); len(first.Value) != 10000 || first.Next != "" {
		t.Errorf("$top=10000 gave %d rows and next link %q", len(first.Value), first.Next)
	}
	if second := f.list("/api/machines?$top=10000&$skip=10000"); !slices.Equal(ids(t, second.Value, "id"), want[10000:]) {
		t.Errorf("$skip=10000 gave %d rows", len(second.Value))
	}
	if antivirus := f.list("/api/deviceavinfo"); len(antivirus.Value) > 10000 || antivirus.Next != "" {
		t.Errorf("deviceavinfo gave %d rows and next link %q", len(antivirus.Value), antivirus.Next)
	}
}

func TestAntivirusStopsWithoutNextLink(t *testing.T) {
	f := start(t, emulator.Options{Devices: 16000}, emulator.ServerOptions{})
	var want, got []string
	for row := range f.day().AntivirusHealth() {
		want = append(want, row.ID)
	}
	for {
		p := f.list("/api/deviceavinfo?$skip=" + strconv.Itoa(len(got)))
		if p.Next != "" {
			t.Fatalf("next link %s", p.Next)
		}
		got = append(got, ids(t, p.Value, "id")...)
		if len(p.Value) < 10000 {
			break
		}
	}
	if !slices.Equal(got, want) || len(want) <= 10000 {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

func TestEntityPages(t *testing.T) {
	f := start(t, emulator.Options{Devices: 95}, emulator.ServerOptions{PageLimit: 20})
	all := machineIDs(f.day())
	n := len(all)
	for query, want := range map[string][]string{
		"":                         all[:20],
		"?$top=3":                  all[:3],
		"?$top=0":                  {},
		"?$top=10000":              all,
		"?$top=3&$skip=5":          all[5:8],
		"?%24TOP=3&%24Skip=5":      all[5:8],
		"?top=3":                   all[:20], // without $ it is an option of nobody
		"?$skip=" + itoa(n-2):      all[n-2:],
		"?$skip=" + itoa(n):        {},
		"?$skip=" + itoa(n+100000): {},
	} {
		p := f.list("/api/machines" + query)
		if got := ids(t, p.Value, "id"); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
		onward := !strings.Contains(strings.ToLower(query), "$top") && !strings.Contains(query, "24TOP") && len(want) == 20
		if (p.Next != "") != onward {
			t.Errorf("%q: next link %q", query, p.Next)
		}
	}
	rows, pages := f.whole("/api/machines")
	if got := ids(t, rows, "id"); !slices.Equal(got, all) || len(pages) != (n+19)/20 {
		t.Errorf("by next links: %d rows in %v", len(got), pages)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func TestNextLinkKeepsEveryOption(t *testing.T) {
	f := start(t, emulator.Options{Devices: 200}, emulator.ServerOptions{PageLimit: 10})
	for query, want := range map[string]string{
		"": "?$skip=10",
		"?$filter=onboardingstatus%20eq%20%27onboarded%27": "?$filter=onboardingstatus%20eq%20%27onboarded%27&$skip=10",
		"?$skip=10&Mangled=1":                              "?Mangled=1&$skip=20",
		"?%24skip=5&$count=true":                           "?$count=true&$skip=15",
		"?$select=id":                                      "?$select=id&$skip=10",
	} {
		if got := f.list("/api/v1.0/Machines" + query).Next; got != f.APIURL()+"/api/v1.0/Machines"+want {
			t.Errorf("%q: next link %s", query, got)
		}
	}
}

func TestNoNextLinkAfterTheLastFullPage(t *testing.T) {
	f := start(t, emulator.Options{Devices: 50}, emulator.ServerOptions{PageLimit: 10})
	n := len(machineIDs(f.day()))
	if p := f.list("/api/machines?$skip=" + itoa(n-10)); len(p.Value) != 10 || p.Next != "" {
		t.Errorf("the last ten: %d rows, next link %q", len(p.Value), p.Next)
	}
	if p := f.list("/api/machines?$skip=" + itoa(n-11)); len(p.Value) != 10 || p.Next == "" {
		t.Errorf("ten before the last: %d rows, next link %q", len(p.Value), p.Next)
	}
}

func TestPageLimitsAreTheDocumentedOnes(t *testing.T) {
	clamped := start(t, emulator.Options{Devices: 20}, emulator.ServerOptions{ClampTop: true})
	f := start(t, emulator.Options{Devices: 20}, emulator.ServerOptions{})
	for address, most := range map[string]int{
		"/api/machines?$top=":                                      10000,
		"/api/deviceavinfo?$top=":                                  10000,
		"/api/vulnerabilities?$top=":                               8000,
		"/api/machines/findbytag?tag=x&$top=":                      10000,
		"/api/vulnerabilities/machinesVulnerabilities?$top=":       10000,
		"/api/machines/SoftwareVulnerabilitiesByMachine?pageSize=": 200000,
		"/api/machines/SoftwareVulnerabilitiesByMachine?$top=":     200000,
	} {
		if r, body := f.get(address + itoa(most)); r.StatusCode != http.StatusOK {
			t.Errorf("%s%d: %d %s", address, most, r.StatusCode, body)
		}
		if r, body := f.get(address + itoa(most+1)); r.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "ODataError") {
			t.Errorf("%s%d: %d %.200s", address, most+1, r.StatusCode, body)
		}
		if r, _ := clamped.get(address + itoa(most+1)); r.StatusCode != http.StatusOK {
			t.Errorf("%s%d, clamped: %d", address, most+1, r.StatusCode)
		}
	}
}

func TestMachineByIDAndName(t *testing.T) {
	f := start(t, emulator.Options{Devices: 300}, emulator.ServerOptions{})
	var first *emulator.Machine
	for m := range f.day().Machines() {
		if m.ComputerDNSName != nil {
			first = m
			break
		}
	}
	want, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{first.ID, strings.ToUpper(first.ID), *first.ComputerDNSName, strings.ToUpper(*first.ComputerDNSName)} {
		r, body := f.get("/api/machines/" + name)
		wanted := `{"@odata.context":"` + f.APIURL() + `/api/$metadata#Machines/$entity",` + string(want[1:])
		if string(body) != wanted || r.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s, want %s", name, r.StatusCode, body, wanted)
		}
	}
}

func TestFindByTag(t *testing.T) {
	f := start(t, emulator.Options{Devices: 400}, emulator.ServerOptions{})
	tagged := func(match func(string) bool) (all []string) {
		for m := range f.day().Machines() {
			if slices.ContainsFunc(m.MachineTags, match) {
				all = append(all, m.ID)
			}
		}
		return all
	}
	tag := ""
	for m := range f.day().Machines() {
		if len(m.MachineTags) > 0 && len(m.MachineTags[0]) > 3 {
			tag = m.MachineTags[0]
			break
		}
	}
	whole := tagged(func(have string) bool { return have == tag })
	begun := tagged(func(have string) bool { return strings.HasPrefix(have, tag[:2]) })
	for query, want := range map[string][]string{
		"tag=" + url.QueryEscape(tag):                                       whole,
		"Tag=" + url.QueryEscape(tag[:2]):                                   nil,
		"tag=" + url.QueryEscape(tag[:2]) + "&useStartsWithFilter=true":     begun,
		"tag=" + url.QueryEscape(tag) + "&useStartsWithFilter=false&$top=1": whole[:1],
	} {
		if got := ids(t, f.list("/api/machines/findbytag?"+query).Value, "id"); !slices.Equal(got, want) {
			t.Errorf("%s: %d machines, want %d", query, len(got), len(want))
		}
	}
	if r, body := f.get("/api/machines/findbytag"); r.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "MissingRequiredParameter") {
		t.Errorf("without a tag: %d %s", r.StatusCode, body)
	}
}

func TestVulnerabilitiesAndTheirMachines(t *testing.T) {
	f := start(t, emulator.Options{Devices: 60}, emulator.ServerOptions{})
	d := f.day()
	var catalogue []string
	var common *emulator.Vulnerability
	for v := range d.Catalogue() {
		catalogue = append(catalogue, v.ID)
		if common == nil || v.ExposedMachines > common.ExposedMachines {
			common = v
		}
	}
	rows, _ := f.whole("/api/vulnerabilities")
	if got := ids(t, rows, "id"); !slices.Equal(got, catalogue) || len(got) == 0 {
		t.Errorf("%d vulnerabilities, want %d", len(got), len(catalogue))
	}
	_, body := f.get("/api/vulnerabilities/" + common.ID)
	want, err := json.Marshal(common)
	if err != nil {
		t.Fatal(err)
	}
	if wanted := `{"@odata.context":"` + f.APIURL() + `/api/$metadata#Vulnerabilities/$entity",` + string(want[1:]); strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(wanted) != string(body) {
		t.Errorf("%s, want %s", body, wanted)
	}
	if r, _ := f.get("/api/vulnerabilities/CVE-1900-0001"); r.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown CVE: %d", r.StatusCode)
	}
	exposed := map[string]bool{}
	pairs := 0
	for _, group := range d.Groups() {
		for row := range d.Vulnerabilities(group.ID) {
			if row.CVEID == nil {
				continue
			}
			pairs++
			if _, listed := d.Machine(*row.DeviceID); listed && *row.CVEID == common.ID {
				exposed[*row.DeviceID] = true
			}
		}
	}
	machines := ids(t, f.list("/api/vulnerabilities/"+common.ID+"/machineReferences").Value, "id")
	for _, id := range machines {
		if !exposed[id] {
			t.Errorf("machine %s is named twice or does not have %s", id, common.ID)
		}
		delete(exposed, id)
	}
	if len(exposed) > 0 || len(machines) == 0 {
		t.Errorf("machines lacking: %v", exposed)
	}
	thin, _ := f.whole("/api/vulnerabilities/machinesVulnerabilities")
	if len(thin) != pairs || pairs == 0 {
		t.Errorf("%d thin rows, want %d", len(thin), pairs)
	}
	numbers := 0
	for _, kb := range ids(t, thin, "fixingKbId") {
		if strings.Trim(kb, "0123456789") != "" {
			t.Errorf("%s is no KB number", kb)
		}
		if kb != "" {
			numbers++
		}
	}
	if numbers == 0 || numbers == pairs {
		t.Errorf("%d of %d rows have a KB number: both kinds were expected", numbers, pairs)
	}
}

func TestAssessmentPagesAreTheFilesRows(t *testing.T) {
	f := start(t, emulator.Options{Devices: 25, NullCVERows: true}, emulator.ServerOptions{PartMachines: 3, RateLimits: -1})
	for list, export := range map[string]string{
		"SoftwareVulnerabilitiesByMachine":        "SoftwareVulnerabilitiesExport",
		"SecureConfigurationsAssessmentByMachine": "SecureConfigurationsAssessmentExport",
		"SoftwareInventoryByMachine":              "SoftwareInventoryExport",
		"SoftwareInventoryNoProductCodeByMachine": "SoftwareInventoryNonCpeExport",
	} {
		t.Run(list, func(t *testing.T) {
			var want, got []map[string]any
			sizes := []int{}
			for _, link := range f.export(export).Files {
				lines := f.lines(link)
				for _, line := range lines {
					want = append(want, folded(t, line))
				}
				for n := len(lines); ; n -= 97 {
					sizes = append(sizes, min(n, 97))
					if n <= 97 {
						break
					}
				}
			}
			rows, pages := f.whole("/api/machines/" + list + "?pageSize=97")
			for _, row := range rows {
				got = append(got, folded(t, row))
			}
			if !reflect.DeepEqual(want, got) || len(want) == 0 {
				t.Errorf("%d rows, want %d: %.2000s", len(got), len(want), cmp.Diff(want, got))
			}
			if !slices.Equal(pages, sizes) {
				t.Errorf("pages of %v, want %v: short ones where a file ends", pages, sizes)
			}
			if p := f.list("/api/machines/" + list + "?$top=150"); len(p.Value) != min(150, len(want)) || p.Next != "" {
				t.Errorf("$top=150 gave %d rows and next link %q", len(p.Value), p.Next)
			}
		})
	}
}

func TestSkipTokenPinsTheSnapshot(t *testing.T) {
	f := start(t, emulator.Options{Devices: 60}, emulator.ServerOptions{PartMachines: 6, RateLimits: -1})
	const address = "/api/machines/SoftwareVulnerabilitiesByMachine?PageSize=40&Other=a%20b"
	want, _ := f.whole(address)
	first := f.list(address)
	prefix := f.APIURL() + "/api/machines/SoftwareVulnerabilitiesByMachine?pagesize=40&other=a+b&$skiptoken="
	text, found := strings.CutPrefix(first.Next, prefix)
	text, err := url.QueryUnescape(text)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if !found || err != nil || string(raw) != `{"ExportDefinition":{"TimePath":"2026-11-04/0600/"},"ExportFileIndex":0,"LineStoppedAt":40}` {
		t.Errorf("next link %s holds %s", first.Next, raw)
	}
	f.clock.advance(24 * time.Hour)
	f.token = ""
	rest, _ := f.whole(first.Next)
	got := slices.Concat(first.Value, rest)
	if !slices.EqualFunc(got, want, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
		t.Errorf("read on over midnight: %d rows, want %d of the first snapshot", len(got), len(want))
	}
	if next := f.list(address); string(next.Value[0]) == string(want[0]) && len(next.Value) == len(want) {
		t.Error("the next day's list begins with the old snapshot")
	}
}

func TestBadSkipTokens(t *testing.T) {
	f := start(t, emulator.Options{Devices: 2}, emulator.ServerOptions{})
	for _, text := range []string{"", "x", "{}", `{"ExportDefinition":{"TimePath":"yesterday"}}`, `{"ExportDefinition":{"TimePath":"2026-11-04/0600/"},"ExportFileIndex":-1}`} {
		encoded := url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(text)))
		if r, body := f.get("/api/machines/SoftwareVulnerabilitiesByMachine?$skiptoken=" + encoded); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d %s", text, r.StatusCode, body)
		}
	}
	for _, query := range []string{"pageSize=0", "pageSize=x", "pageSize=1e4", "$top=-1"} {
		if r, body := f.get("/api/machines/SoftwareVulnerabilitiesByMachine?" + query); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d %s", query, r.StatusCode, body)
		}
	}
}
