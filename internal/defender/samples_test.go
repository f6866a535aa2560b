package defender

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func sample(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// kept is a copy of a row that outlives it.
type kept[T any] struct {
	Value   T
	Unknown map[string]string
}

func keepRow[T any](row Row[T]) kept[T] {
	k := kept[T]{Value: *row.Value, Unknown: map[string]string{}}
	v := reflect.ValueOf(&k.Value).Elem()
	for _, f := range v.Fields() {
		if f.Kind() == reflect.Slice && !f.IsNil() {
			f.Set(reflect.AppendSlice(reflect.MakeSlice(f.Type(), 0, f.Len()), f))
		}
	}
	for _, m := range row.Unknown {
		k.Unknown[m.Name] = string(m.Value)
	}
	return k
}

// decoded decodes a sample, a page or lines by its ending; no row may be rejected.
func decoded[T any](t *testing.T, s *shape[T], name string) (rows []kept[T]) {
	t.Helper()
	d := s.take()
	defer s.give(d)
	keep := func(row Row[T]) error {
		if row.Rejected != nil {
			t.Errorf("%s: row %d is rejected: %s", name, len(rows), row.Rejected.Reason)
			return nil
		}
		rows = append(rows, keepRow(row))
		return nil
	}
	in := bytes.NewReader(sample(t, name))
	var err error
	if strings.HasSuffix(name, ".jsonl") {
		err = readLines(d, in, keep)
	} else {
		_, err = d.page(jsontext.NewDecoder(in, lenient...), keep)
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return rows
}

// check decodes a sample and compares how many rows and which unknown properties it has.
func check[T any](t *testing.T, s *shape[T], name string, rows int, unknown ...string) {
	t.Run(name, func(t *testing.T) {
		got := decoded(t, s, name)
		if len(got) != rows {
			t.Errorf("%d rows, want %d", len(got), rows)
		}
		names := map[string]bool{}
		for _, name := range unknown {
			names[name] = true
		}
		for i, row := range got {
			for name, value := range row.Unknown {
				if !names[name] {
					t.Errorf("row %d: %s = %s is unknown", i, name, value)
				}
			}
		}
	})
}

func TestEverySampleIsDecodedWhole(t *testing.T) {
	check(t, machineShape, "machines-recorded-2024.json", 3)
	check(t, machineShape, "machines-2025.json", 3)
	check(t, machineShape, "machines-edge-cases-constructed.json", 3)
	check(t, machineShape, "machines-empty-page.json", 0)
	check(t, antivirusShape, "deviceavinfo.json", 1)
	check(t, vulnerabilityShape, "SoftwareVulnerabilitiesByMachine-current.json", 2)
	check(t, vulnerabilityShape, "SoftwareVulnerabilitiesByMachine-doc-2021.json", 2)
	check(t, vulnerabilityShape, "SoftwareVulnerabilityChangesByMachine.json", 3, "status", "eventTimestamp")
	check(t, vulnerabilityShape, "SoftwareVulnerabilitiesExport.jsonl", 3)
	check(t, configurationShape, "SecureConfigurationsAssessmentByMachine.json", 3)
	check(t, configurationShape, "SecureConfigurationsAssessmentExport-guess.jsonl", 3)
	check(t, softwareShape, "SoftwareInventoryByMachine.json", 3)
	check(t, softwareShape, "SoftwareInventoryExport-guess.jsonl", 3)
	check(t, nonCPESoftwareShape, "SoftwareInventoryNoProductCodeByMachine.json", 3)
	check(t, informationShape, "InfoGatheringExport.jsonl", 2)
	check(t, catalogueShape, "vulnerabilities.json", 3)
	check(t, catalogueShape, "vulnerabilities-doc-2019.json", 1)
	check(t, catalogueShape, "machine-vulnerabilities-recorded-2024.json", 3)
	check(t, catalogueShape, "machine-vulnerabilities-empty-recorded-2024.json", 0)
}

func TestSingleEntities(t *testing.T) {
	machine, err := newDecoder[Machine](64).entity(jsontext.NewDecoder(bytes.NewReader(sample(t, "machine-by-id.json"))))
	if err != nil || machine.Rejected != nil || !machine.Value.ID.Valid || len(machine.Unknown) != 0 {
		t.Errorf("machine-by-id.json: %+v, %v", machine, err)
	}
	cve, err := newDecoder[Vulnerability](64).entity(jsontext.NewDecoder(bytes.NewReader(sample(t, "vulnerability-by-id.json"))))
	if err != nil || cve.Rejected != nil || !cve.Value.ID.Valid || cve.Value.UpdatedOn.IsZero() {
		t.Errorf("vulnerability-by-id.json: %+v, %v", cve, err)
	}
}

// TestBothCasingsGiveTheSameRow decodes pages (camelCase, nulls given) and files
// (PascalCase, nulls left out) of the same rows.
func TestBothCasingsGiveTheSameRow(t *testing.T) {
	page := decoded(t, softwareShape, "SoftwareInventoryByMachine.json")
	file := decoded(t, softwareShape, "SoftwareInventoryExport-guess.jsonl")
	if diff := cmp.Diff(page, file); diff != "" {
		t.Errorf("software (-page +file):\n%s", diff)
	}
	if diff := cmp.Diff(decoded(t, configurationShape, "SecureConfigurationsAssessmentByMachine.json"),
		decoded(t, configurationShape, "SecureConfigurationsAssessmentExport-guess.jsonl")); diff != "" {
		t.Errorf("configuration (-page +file):\n%s", diff)
	}
	for i, row := range page {
		if row.Value.EndOfSupportStatus.Value == "" || row.Value.EndOfSupportDate.Valid != (i == 0) {
			t.Errorf("row %d: %+v", i, row.Value)
		}
	}
}

func TestValuesOfSamples(t *testing.T) {
	yes := func(value string) Text { return Text{value, true} }
	m := decoded(t, machineShape, "machines-recorded-2024.json")[0].Value
	if m.FirstSeen != time.Date(2024, 1, 25, 18, 45, 56, 688814000, time.UTC) || m.OSVersion.Valid || m.IsAadJoined.Valid ||
		m.IsExcluded != yes("false") || m.RbacGroupID != yes("0") || m.DefenderAVStatus != yes("NotSupported") ||
		m.MachineTags == nil || len(m.MachineTags) != 0 || len(m.IPAddresses) != 4 || m.IPAddresses[3].IPAddress != yes("::1") ||
		m.VMID != yes("2ca81940-0000-4000-8000-000000000001") || m.VMCloudProvider != yes("Azure") {
		t.Errorf("machine: %+v", m)
	}
	edge := decoded(t, machineShape, "machines-edge-cases-constructed.json")[1].Value
	if edge.IPAddresses[0].IPAddress != yes("") || edge.IPAddresses[2].MacAddress.Valid {
		t.Errorf("addresses: %+v", edge.IPAddresses)
	}
	v := decoded(t, vulnerabilityShape, "SoftwareVulnerabilitiesExport.jsonl")[0].Value
	if v.FirstSeenTimestamp != time.Date(2025, 10, 6, 10, 43, 58, 0, time.UTC) || v.CVSSScore != yes("5.5") ||
		v.SecurityUpdateAvailable != yes("true") || v.IsOnboarded != yes("true") || !v.CVEBatchTitle.Valid || v.DiskPaths != nil || v.RegistryPaths == nil {
		t.Errorf("vulnerability: %+v", v)
	}
	none := decoded(t, vulnerabilityShape, "SoftwareVulnerabilitiesByMachine-current.json")[1].Value
	if none.CVEID.Valid || none.CVSSScore != yes("0") || len(none.RegistryPaths) != 1 || !strings.HasPrefix(none.RegistryPaths[0], `HKEY_USERS\S-1-5`) {
		t.Errorf("row without CVE: %+v", none)
	}
	c := decoded(t, catalogueShape, "vulnerabilities-doc-2019.json")[0].Value
	if c.CVESupportability != yes("supported") || c.CVSSV3 != yes("4.3") || c.EPSS.Valid {
		t.Errorf("catalogue: %+v", c)
	}
	info := decoded(t, informationShape, "InfoGatheringExport.jsonl")
	if g := info[0].Value.Info; len(g) != 30 || g[0] != (Gathered{Name: "AvMode"}) {
		t.Errorf("gathered: %+v", g)
	}
	if g := info[1].Value.Info; len(g) != 11 || g[0] != (Gathered{"AvMode", yes("0")}) || g[3] != (Gathered{"AvIsEngineUpToDate", yes("True")}) {
		t.Errorf("gathered: %+v", g)
	}
}

// TestRowTypesHaveEveryPropertyOfTheSchema compares the tags with the service's $metadata.
func TestRowTypesHaveEveryPropertyOfTheSchema(t *testing.T) {
	var schema struct {
		Types map[string]struct {
			Base       string
			Properties []struct{ Name, Type string }
		}
		Enums map[string][]string
	}
	if err := json.Unmarshal(sample(t, "schema-from-metadata-2026-05.json"), &schema); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]*names{
		"Machine": newDecoder[Machine](64).root, "DeviceAvInfo": newDecoder[DeviceAVInfo](64).root,
		"AssetVulnerability": newDecoder[AssetVulnerability](64).root, "AssetConfiguration": newDecoder[AssetConfiguration](64).root,
		"AssetSoftware": newDecoder[AssetSoftware](64).root, "AssetNonCpeSoftware": newDecoder[AssetNonCPESoftware](64).root,
		"PublicVulnerabilityDto": newDecoder[Vulnerability](64).root,
		"MachineIpAddress":       newDecoder[Machine](64).root.fields["ipaddresses"].members,
		"VmMetadata":             newDecoder[Machine](64).root.fields["vmmetadata"].members,
	} {
		if len(schema.Types[name].Properties) == 0 {
			t.Errorf("the schema has no %s", name)
		}
		for _, p := range schema.Types[name].Properties {
			f := row.fields[fold(p.Name)]
			if f == nil || f.name != row.prefix+p.Name {
				t.Errorf("%s.%s is missing or spelled otherwise: %+v", name, p.Name, f)
				continue
			}
			allowed := map[string][]kind{
				"Edm.String": {textKind, timeKind, dateKind}, "Edm.Guid": {textKind}, "Edm.Boolean": {booleanKind},
				"Edm.Int32": {numberKind}, "Edm.Int64": {numberKind}, "Edm.Double": {numberKind},
				"Edm.DateTimeOffset": {timeKind}, "Collection(Edm.String)": {textsKind},
				"Collection(MachineIpAddress)": {addressesKind}, "VmMetadata": {objectKind},
			}[p.Type]
			if _, enum := schema.Enums[p.Type]; enum {
				allowed = []kind{textKind}
			}
			fits := false
			for _, k := range allowed {
				fits = fits || k == f.kind
			}
			if !fits {
				t.Errorf("%s.%s is %s, decoded as kind %d", name, p.Name, p.Type, f.kind)
			}
		}
	}
}

func TestExportAnswers(t *testing.T) {
	for _, name := range []string{
		"SoftwareVulnerabilitiesExport.json", "SecureConfigurationsAssessmentExport.json", "SoftwareInventoryExport.json",
		"SoftwareInventoryNonCpeExport.json", "InfoGatheringExport.json",
	} {
		export, err := readExport("call", sample(t, name))
		if err != nil || len(export.Files) != 2 || export.GeneratedTime != time.Date(2025, 10, 9, 12, 1, 0, 0, time.UTC) {
			t.Errorf("%s: %+v, %v", name, export, err)
			continue
		}
		f := export.Files[0]
		if !strings.HasPrefix(f.Name, "/temp-43b2fdb7") || !strings.HasSuffix(f.Name, ".c000.json.gz") || strings.Contains(f.URL.String(), "sig") {
			t.Errorf("%s: file %+v", name, f)
		}
	}
	for _, empty := range []string{string(sample(t, "Export-empty-tenant-guess.json")), `{"exportFiles":null,"generatedTime":"2025-10-09T12:01:00Z"}`, `{"GeneratedTime":"2025-10-09T12:01:00Z"}`, `{}`} {
		if export, err := readExport("call", []byte(empty)); err != nil || len(export.Files) != 0 {
			t.Errorf("%s: %+v, %v", empty, export, err)
		}
	}
	for text, kind := range map[string]Kind{
		`{"exportFiles":["https://h/f?sig=S1gnature"]}`:                                              BadAnswer, // no time
		`{"exportFiles":["https://h/f?sig=S1gnature"],"generatedTime":"soon"}`:                       BadAnswer,
		`{"exportFiles":["http://h/f?sig=S1gnature"],"generatedTime":"2025-10-09T12:01:00Z"}`:        RefusedLink,
		`{"exportFiles":["/f?sig=S1gnature"],"generatedTime":"2025-10-09T12:01:00Z"}`:                BadAnswer,
		`{"exportFiles":["https://h\u0000/f?sig=S1gnature"],"generatedTime":"2025-10-09T12:01:00Z"}`: BadAnswer,
		`{"exportFiles":"https://h/f?sig=S1gnature","generatedTime":"2025-10-09T12:01:00Z"}`:         BadAnswer,
		`not json`: BadAnswer,
	} {
		_, err := readExport("call", []byte(text))
		if !hasKind(err, kind) {
			t.Errorf("%s: %v, want %s", text, err, kind)
		}
		clean(t, err)
	}
}
