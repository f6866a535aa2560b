package emulator_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"muster/internal/defender/emulator"
)

type exportAnswer struct {
	Context   string   `json:"@odata.context"`
	Files     []string `json:"exportFiles"`
	Generated string   `json:"generatedTime"`
}

func (f *farSide) export(name string) exportAnswer {
	f.t.Helper()
	r, body := f.get("/api/machines/" + name)
	if r.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %d %s", name, r.StatusCode, body)
	}
	var answer exportAnswer
	decode(f.t, body, &answer)
	return answer
}

// lines downloads a file without a token and reads its lines.
func (f *farSide) lines(link string) (lines [][]byte) {
	f.t.Helper()
	r, body := f.getWith(link, http.Header{})
	if r.StatusCode != http.StatusOK {
		f.t.Fatalf("%s: %d %s", link, r.StatusCode, body)
	}
	in, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, slices.Clone(scanner.Bytes()))
	}
	if err := scanner.Err(); err != nil {
		f.t.Fatal(err)
	}
	return lines
}

// folded makes a line comparable: names in lower case, nulls and columns that files alone have left out.
func folded(t *testing.T, line []byte) map[string]any {
	t.Helper()
	var row map[string]any
	if err := json.Unmarshal(line, &row); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	low := map[string]any{}
	for name, value := range row {
		if value != nil && name != "IsOnboarded" && name != "CveBatchTitle" {
			low[strings.ToLower(name)] = value
		}
	}
	return low
}

// worldRows are the rows that an export must hold, by group.
func worldRows[T any](t *testing.T, d *emulator.Day, rows func(*emulator.Day, int64) iter.Seq[*T]) (want []map[string]any) {
	t.Helper()
	for _, group := range d.Groups() {
		for row := range rows(d, group.ID) {
			line, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, folded(t, line))
		}
	}
	return want
}

func TestExportsHoldTheWorldsRows(t *testing.T) {
	f := start(t, emulator.Options{Devices: 50, Seed: 5, NullCVERows: true}, emulator.ServerOptions{PartMachines: 3, RateLimits: -1})
	d := f.day()
	for name, want := range map[string][]map[string]any{
		"SoftwareVulnerabilitiesExport":        worldRows(t, d, (*emulator.Day).Vulnerabilities),
		"SecureConfigurationsAssessmentExport": worldRows(t, d, (*emulator.Day).Configurations),
		"SoftwareInventoryExport":              worldRows(t, d, (*emulator.Day).Software),
		"SoftwareInventoryNonCpeExport":        worldRows(t, d, (*emulator.Day).NonCPESoftware),
		"InfoGatheringExport":                  worldRows(t, d, (*emulator.Day).Information),
	} {
		t.Run(name, func(t *testing.T) {
			answer := f.export(name)
			var got []map[string]any
			devices := map[any]string{}
			for _, link := range answer.Files {
				for _, line := range f.lines(link) {
					row := folded(t, line)
					got = append(got, row)
					if file, seen := devices[row["deviceid"]]; seen && file != link {
						t.Fatalf("machine %v is in two files", row["deviceid"])
					}
					devices[row["deviceid"]] = link
				}
			}
			if len(want) == 0 || len(got) != len(want) {
				t.Fatalf("%d rows, want %d", len(got), len(want))
			}
			if !reflect.DeepEqual(want, got) {
				t.Error(cmp.Diff(want, got))
			}
			if len(answer.Files) <= len(d.Groups()) {
				t.Errorf("%d files for %d groups", len(answer.Files), len(d.Groups()))
			}
			if want := f.clock.now().Truncate(6 * time.Hour).Format(time.RFC3339); answer.Generated != want || answer.Context != f.APIURL()+"/api/$metadata#microsoft.windowsDefenderATP.api.ExportFilesResponse" {
				t.Errorf("generated %s, want %s; context %s", answer.Generated, want, answer.Context)
			}
		})
	}
}

func TestFileLinesAreSpelledAsTheService(t *testing.T) {
	f := start(t, emulator.Options{Devices: 60}, emulator.ServerOptions{})
	for name, want := range map[string][]string{
		"SoftwareVulnerabilitiesExport": {"Id", "DeviceId", "OSPlatform", "OSVersion", "OSArchitecture", "CveId", "CvssScore", "RbacGroupId", "FirstSeenTimestamp", "IsOnboarded", "CveBatchTitle"},
		"InfoGatheringExport":           {"DeviceId", "OsPlatform", "OsVersion", "DeviceGatheredInfo", "RbacGroupId"},
		"SoftwareInventoryExport":       {"DeviceId", "OSPlatform", "SoftwareFirstSeenTimestamp", "NumberOfWeaknesses"},
	} {
		seen := map[string]bool{}
		for _, link := range f.export(name).Files {
			for _, line := range f.lines(link) {
				var row map[string]any
				if err := json.Unmarshal(line, &row); err != nil {
					t.Fatal(err)
				}
				for property, value := range row {
					if value == nil {
						t.Errorf("%s: %s is null in a file", name, property)
					}
					seen[property] = true
				}
			}
		}
		for _, property := range want {
			if !seen[property] {
				t.Errorf("%s: no %s in %v", name, property, seen)
			}
		}
	}
}

func TestFilesKeepTheirPathForASnapshot(t *testing.T) {
	f := start(t, emulator.Options{Devices: 40}, emulator.ServerOptions{})
	form := regexp.MustCompile(`^https://127\.0\.0\.1:\d+/blobs/2026-11-04/0600/VaExport/json/OrgId=[0-9a-f-]{36}/_RbacGroupId=\d+/part-\d{5}-[0-9a-f-]{36}\.c000\.json\.gz\?sv=2020-08-04&st=2026-11-04T09%3A00%3A00Z&se=2026-11-04T10%3A00%3A00Z&sr=b&sp=r&sig=`)
	paths := func(answer exportAnswer) (all []string) {
		for _, link := range answer.Files {
			address, _, _ := strings.Cut(link, "?")
			all = append(all, address)
		}
		return all
	}
	first := f.export("SoftwareVulnerabilitiesExport")
	for _, link := range first.Files {
		if !form.MatchString(link) {
			t.Errorf("link %s", link)
		}
	}
	f.clock.advance(time.Hour)
	f.token = ""
	again := f.export("SoftwareVulnerabilitiesExport")
	if !slices.Equal(paths(first), paths(again)) || again.Files[0] == first.Files[0] || again.Generated != first.Generated {
		t.Errorf("the same snapshot signed again: %v, then %v", first, again)
	}
	f.clock.advance(2 * time.Hour)
	f.token = ""
	if next := f.export("SoftwareVulnerabilitiesExport"); next.Generated == first.Generated || path.Base(paths(next)[0]) == path.Base(paths(first)[0]) {
		t.Errorf("the next snapshot has the same files: %v", next)
	}
}

func TestFileOfAnEarlierSnapshotStays(t *testing.T) {
	f := start(t, emulator.Options{Devices: 60}, emulator.ServerOptions{})
	link := f.export("SoftwareVulnerabilitiesExport?sasValidHours=6").Files[0]
	before := f.lines(link)
	f.clock.advance(6*time.Hour - time.Second) // 14:59:59, the snapshot of 12:00 is there
	if after := f.lines(link); len(before) == 0 || !slices.EqualFunc(before, after, bytes.Equal) {
		t.Errorf("%d lines, then %d", len(before), len(after))
	}
	g := start(t, emulator.Options{Devices: 60}, emulator.ServerOptions{LinkLifetime: 24 * time.Hour})
	link = g.export("SoftwareVulnerabilitiesExport").Files[0]
	before = g.lines(link)
	g.clock.advance(20 * time.Hour) // another day, other rows
	if after := g.lines(link); !slices.EqualFunc(before, after, bytes.Equal) {
		t.Error("a file changed with the day")
	}
}

func TestLinksExpire(t *testing.T) {
	for name, c := range map[string]struct {
		query    string
		lifetime time.Duration // option
		want     time.Duration
	}{
		"default":      {"", 0, time.Hour},
		"asked":        {"?sasValidHours=3", 0, 3 * time.Hour},
		"most":         {"?SASVALIDHOURS=6", 0, 6 * time.Hour},
		"by the tests": {"?sasValidHours=6", 90 * time.Second, 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, emulator.Options{Devices: 20}, emulator.ServerOptions{LinkLifetime: c.lifetime})
			link := f.export("InfoGatheringExport" + c.query).Files[0]
			f.clock.advance(c.want)
			f.lines(link)
			f.clock.advance(time.Second)
			r, body := f.getWith(link, http.Header{})
			if r.StatusCode != http.StatusForbidden || blobShape(string(body)) != blobShape(string(sample(t, "blob-error-403-sas-expired.xml"))) {
				t.Errorf("%d %q, want the shape of %q", r.StatusCode, blobShape(string(body)), blobShape(string(sample(t, "blob-error-403-sas-expired.xml"))))
			}
		})
	}
}

var blobMoments = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z|\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT`)

// blobShape is a file store error without ids and times.
func blobShape(body string) string {
	return strings.TrimSpace(strings.ReplaceAll(blobMoments.ReplaceAllString(body, "*"), "\r\n", "\n"))
}

func TestSasValidHoursIsBounded(t *testing.T) {
	f := start(t, emulator.Options{Devices: 2}, emulator.ServerOptions{})
	for _, hours := range []string{"0", "-1", "7", "24", "x"} {
		if r, body := f.get("/api/machines/InfoGatheringExport?sasValidHours=" + hours); r.StatusCode != http.StatusBadRequest {
			t.Errorf("%s hours: %d %s", hours, r.StatusCode, body)
		}
	}
}

func TestOnlyTheLinkOpensAFile(t *testing.T) {
	f := start(t, emulator.Options{Devices: 40}, emulator.ServerOptions{PartMachines: 5, RateLimits: -1})
	files := f.export("SoftwareVulnerabilitiesExport").Files
	link, other := files[0], files[1]
	address, query, _ := strings.Cut(link, "?")
	_, otherQuery, _ := strings.Cut(other, "?")
	change := func(name, value string) string {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		values.Set(name, value)
		return address + "?" + values.Encode()
	}
	token := http.Header{"Authorization": {"Bearer " + f.token}}
	for name, c := range map[string]struct {
		link   string
		header http.Header
		status int
		code   string
	}{
		"right":                {link, http.Header{}, 200, ""},
		"no signature":         {address, http.Header{}, 403, "AuthenticationFailed"},
		"wrong signature":      {change("sig", "AAAA"), http.Header{}, 403, "AuthenticationFailed"},
		"later end":            {change("se", "2099-01-01T00:00:00Z"), http.Header{}, 403, "AuthenticationFailed"},
		"earlier start":        {change("st", "2020-01-01T00:00:00Z"), http.Header{}, 403, "AuthenticationFailed"},
		"more permissions":     {change("sp", "rw"), http.Header{}, 403, "AuthenticationFailed"},
		"signature of another": {address + "?" + otherQuery, http.Header{}, 403, "AuthenticationFailed"},
		"token, no signature":  {address, token, 400, "InvalidAuthenticationInfo"},
		"token and signature":  {link, token, 400, "InvalidAuthenticationInfo"},
	} {
		r, body := f.getWith(c.link, c.header)
		if r.StatusCode != c.status || r.Header.Get("X-Ms-Error-Code") != c.code || !strings.Contains(string(body), "<Code>"+c.code+"</Code>") && c.code != "" {
			t.Errorf("%s: %d %.200q", name, r.StatusCode, body)
		}
	}
}

// BenchmarkExport measures rows of one export, generated, written and compressed, over TLS.
func BenchmarkExport(b *testing.B) {
	f := start(b, emulator.Options{Devices: 3000}, emulator.ServerOptions{RateLimits: -1})
	rows, bytes := 0, int64(0)
	for group := range slices.Values(f.day().Groups()) {
		for range f.day().Vulnerabilities(group.ID) {
			rows++
		}
	}
	for b.Loop() {
		for _, link := range f.export("SoftwareVulnerabilitiesExport").Files {
			r, err := f.client.Get(link)
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, r.Body)
			if err != nil {
				b.Fatal(err)
			}
			r.Body.Close()
			bytes += n
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(bytes)/float64(rows*b.N), "B/row")
}
