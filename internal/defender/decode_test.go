package defender

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"
)

// lineOf decodes one line of a file.
func lineOf[T any](t *testing.T, s *shape[T], line string) Row[T] {
	t.Helper()
	row, _ := s.pool.New().(*decoder[T]).line([]byte(line), 1)
	if (row.Value == nil) == (row.Rejected == nil) {
		t.Errorf("%s: %+v is neither a row nor a rejection, or both", line, row)
	}
	return row
}

func TestRowsThatCannotBeDecodedAreRejected(t *testing.T) {
	for _, test := range []struct{ line, machine, reason string }{
		{`{"DeviceId":"m1","CvssScore":"high"}`, "m1", "cvssScore: it is not a number: \"high\""},
		{`{"CvssScore":[7],"CveId":"CVE-1","DeviceId":"m1"}`, "m1", "cvssScore: it has the wrong type"},
		{`{"CveId":{"a":{"b":[1,2]}},"DeviceId":"m1"}`, "m1", "cveId: it has the wrong type"},
		{`{"DeviceId":"m1","SecurityUpdateAvailable":"maybe"}`, "m1", "securityUpdateAvailable: it is neither true nor false"},
		{`{"DeviceId":"m1","SecurityUpdateAvailable":1}`, "m1", "securityUpdateAvailable: it is neither true nor false"},
		{`{"DeviceId":"m1","FirstSeenTimestamp":"yesterday"}`, "m1", "firstSeenTimestamp: it is not a time: \"yesterday\""},
		{`{"DeviceId":"m1","FirstSeenTimestamp":20250101}`, "m1", "firstSeenTimestamp: it is not a time"},
		{`{"DeviceId":"m1","EndOfSupportDate":"someday"}`, "m1", "endOfSupportDate: it is not a time"},
		{`{"DeviceId":"m1","DiskPaths":"C:\\a"}`, "m1", "diskPaths: it has the wrong type"},
		{`{"DeviceId":"m1","DiskPaths":[{"a":1}]}`, "m1", "diskPaths: an element is not a text"},
		{`{"DeviceId":"m1","CvssScore":1e999}`, "m1", "cvssScore: it has the wrong type or is too large"},
		{`{"DeviceId":"m1","CvssScore":"x","CveId":[]}`, "m1", "cvssScore: it is not a number"}, // the first counts
		{`{"CveId":"CVE-1"}`, "", "deviceId is missing"},
		{`{"DeviceId":null,"CveId":"CVE-1"}`, "", "deviceId is missing"},
		{`{"DeviceId":"","CveId":"CVE-1"}`, "", "deviceId is missing"},
		{`{"DeviceId":{"a":1},"CveId":"CVE-1"}`, "", "deviceId: it has the wrong type"},
		{`{"DeviceId":"m1","CveId":"CVE-1"`, "", "line 1 is not a row in JSON"},
		{`{"DeviceId":"m1"}{"DeviceId":"m2"}`, "", "line 1 is not a row in JSON"},
		{`{"DeviceId":"m1",}`, "", "line 1 is not a row in JSON"},
		{`{'DeviceId':'m1'}`, "", "line 1 is not a row in JSON"},
		{`not json`, "", "line 1 is not a row in JSON"},
		{`"text"`, "", "the row is not a JSON object"},
		{`[{"DeviceId":"m1"}]`, "", "the row is not a JSON object"},
		{`null`, "", "the row is not a JSON object"},
	} {
		row := lineOf(t, vulnerabilityShape, test.line)
		if row.Rejected == nil {
			t.Errorf("%s is a row, want a rejection", test.line)
		} else if row.Rejected.Machine != test.machine || !strings.HasPrefix(row.Rejected.Reason, test.reason) {
			t.Errorf("%s: %+v, want %s of machine %q", test.line, *row.Rejected, test.reason, test.machine)
		}
	}
	if row := lineOf(t, informationShape, `{"DeviceGatheredInfo":"{\"a\":","DeviceId":"m1"}`); row.Rejected == nil || row.Rejected.Machine != "m1" {
		t.Errorf("cut gathered info: %+v", row)
	}
	if row := lineOf(t, informationShape, `{"DeviceGatheredInfo":"text","DeviceId":"m1"}`); row.Rejected == nil {
		t.Errorf("gathered info that is no JSON: %+v", row)
	}
	if row := lineOf(t, catalogueShape, `{"id":"CVE-1","epss":"x"}`); row.Rejected == nil || row.Rejected.Machine != "" {
		t.Errorf("a CVE is no machine: %+v", row)
	}
	if row := lineOf(t, machineShape, `{"id":"m1","ipAddresses":["127.0.0.1"]}`); row.Rejected == nil || row.Rejected.Machine != "m1" {
		t.Errorf("address that is no object: %+v", row)
	}
}

func TestOddButUsableValues(t *testing.T) {
	row := lineOf(t, vulnerabilityShape, `{"DEVICEID":"m1","deviceid":"m2","cvssScore":"7.50","SecurityUpdateAvailable":"True","SoftwareVersion":10.0,`+
		`"SoftwareName":true,"RbacGroupId":"0","RecommendedSecurityUpdateId":"","FirstSeenTimestamp":"","LastSeenTimestamp":"0001-01-01T00:00:00Z",`+
		`"EndOfSupportDate":"2020-12-30","DiskPaths":["a\\b",null,3],"RegistryPaths":[],"CveId":null,"IsOnboarded":""}`)
	if row.Value == nil {
		t.Fatalf("rejected: %+v", row.Rejected)
	}
	v := row.Value
	yes := func(value string) Text { return Text{value, true} }
	if v.DeviceID != yes("m2") || v.CVSSScore != yes("7.5") || v.SecurityUpdateAvailable != yes("true") || v.SoftwareVersion != yes("10") ||
		v.SoftwareName != yes("true") || v.RbacGroupID != yes("0") || v.RecommendedSecurityUpdateID != yes("") || !v.FirstSeenTimestamp.IsZero() ||
		!v.LastSeenTimestamp.IsZero() || v.EndOfSupportDate != yes("2020-12-30T00:00:00Z") || v.CVEID.Valid || v.IsOnboarded.Valid ||
		fmt.Sprint(v.DiskPaths) != `[a\b 3]` || v.RegistryPaths == nil || len(v.RegistryPaths) != 0 {
		t.Errorf("%+v", *v)
	}
	if row := lineOf(t, vulnerabilityShape, "{\"DeviceId\":\"m\xff1\",\"DeviceName\":\"caf\\u00e9 \xc3\xa9 \\ud800\"}"); row.Value == nil || row.Value.DeviceID.Value != "m\ufffd1" || row.Value.DeviceName.Value != "café é \ufffd" {
		t.Errorf("texts that are not UTF-8: %+v", row)
	}
	for _, line := range []string{`{"id":"m1","vm_metadata":{"vmId":"v1","cloudProvider":"Azure"}}`, `{"id":"m1","vmMetadata":{"vm_id":"v1","CLOUDPROVIDER":"Azure"}}`} {
		if row := lineOf(t, machineShape, line); row.Value == nil || row.Value.VMID != yes("v1") || row.Value.VMCloudProvider != yes("Azure") || row.Value.VMResourceID.Valid {
			t.Errorf("%s: %+v", line, row)
		}
	}
	if row := lineOf(t, antivirusShape, `{"id":"m1","machineId":null}`); row.Value == nil || row.Value.ID != yes("m1") {
		t.Errorf("antivirus row with the machine's id in id: %+v", row)
	}
	info := lineOf(t, informationShape, `{"DeviceId":"m1","DeviceGatheredInfo":{"a":true,"b":1.50,"c":{"d":[1]},"e":"{\"f\":1}","g":null}}`)
	if want := `[{a {true true}} {b {1.5 true}} {c {{"d":[1]} true}} {e {{"f":1} true}} {g { false}}]`; info.Value == nil || fmt.Sprint(info.Value.Info) != want {
		t.Errorf("gathered info that is an object: %+v", info)
	}
	for _, line := range []string{`{"DeviceId":"m1","DeviceGatheredInfo":""}`, `{"DeviceId":"m1","DeviceGatheredInfo":null}`, `{"DeviceId":"m1","DeviceGatheredInfo":"null"}`} {
		if row := lineOf(t, informationShape, line); row.Value == nil || row.Value.Info != nil {
			t.Errorf("%s: %+v", line, row)
		}
	}
}

func TestUnknownPropertiesAreKept(t *testing.T) {
	row := lineOf(t, machineShape, `{"@odata.type":"#Machine","id":"m1","tags@odata.type":"x","newThing":{"a":[1, 2]},"Other":null,`+
		`"vmMetadata":{"vmId":"v","zone":"z1"},"ipAddresses":[{"ipAddress":"::1","mtu":1500}],"newThing":"again"}`)
	got := fmt.Sprintf("%s", row.Unknown)
	if want := `[{newThing {"a":[1, 2]}} {Other null} {vmMetadata.zone "z1"} {ipAddresses[].mtu 1500} {newThing "again"}]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	d := newDecoder[Machine](64)
	for i := range 3 * maxSpellings {
		row, _ := d.line([]byte(fmt.Sprintf(`{"id":"m1","invented%d":1}`, i)), 1)
		if len(row.Unknown) != 1 || row.Unknown[0].Name != fmt.Sprintf("invented%d", i) {
			t.Fatalf("row %d: %+v", i, row)
		}
	}
	if len(d.root.seen) > maxSpellings {
		t.Errorf("%d names remembered", len(d.root.seen))
	}
}

// TestNothingIsLeftOfTheRowBefore decodes a full row, then one with the id alone.
func TestNothingIsLeftOfTheRowBefore(t *testing.T) {
	d := newDecoder[Machine](64)
	full := `{"id":"m1","machineTags":["a"],"ipAddresses":[{"ipAddress":"::1","type":"Other"}],"vmMetadata":{"vmId":"v"},"osBuild":1,"lastSeen":"2024-01-01","new":1}`
	if row, _ := d.line([]byte(full), 1); row.Value == nil || len(row.Unknown) != 1 {
		t.Fatalf("%+v", row)
	}
	if row, _ := d.line([]byte(`{"id":"m2","osBuild":"x"}`), 2); row.Rejected == nil {
		t.Fatalf("%+v", row)
	}
	row, _ := d.line([]byte(`{"id":"m2","ipAddresses":[{"macAddress":"0"}]}`), 3)
	if row.Value == nil || len(row.Unknown) != 0 || row.Value.IPAddresses[0].IPAddress.Valid {
		t.Fatalf("%+v", row)
	}
	row.Value.IPAddresses = nil
	if fmt.Sprintf("%+v", *row.Value) != fmt.Sprintf("%+v", Machine{ID: Text{"m2", true}}) {
		t.Errorf("%+v", *row.Value)
	}
}

func TestPages(t *testing.T) {
	for _, test := range []struct {
		text, next, first, err string
		rows                   int
	}{
		{text: `{"value":[{"id":"a"},{"id":"b"}],"@odata.nextLink":"https://n"}`, rows: 2, first: "a", next: "https://n"},
		{text: `{"@odata.context":"c","@odata.count":2,"@odata.nextLink":"https://n","value":[{"id":"a"},{"id":"b"}]}`, rows: 2, first: "a", next: "https://n"},
		{text: `{"Value":[7,{"id":"b"}],"@odata.nextLink":null} `, rows: 2},
		{text: `{"value":[]}`},
		{text: `{"@odata.context":"c"}`, err: "it has no list named value"},
		{text: `{"value":null}`, err: "a list named value is missing"},
		{text: `{"value":{"id":"a"}}`, err: "a list named value is missing"},
		{text: `[{"id":"a"}]`, err: "an object is missing"},
		{text: `{"value":[]} {}`, err: "something follows its end"},
		{text: `{"value":[{"id":"a"},{"id":`, err: "jsontext: unexpected EOF", rows: 1, first: "a"},
		{text: `{"value":[{"id":"a"}]`, err: "jsontext: unexpected EOF", rows: 1, first: "a"},
		{text: `{"value":[{"id":"a"},{"id":}]}`, err: "jsontext: ", rows: 1, first: "a"},
		{text: ``, err: "EOF"},
	} {
		p, err := newDecoder[Machine](64).page(jsontext.NewDecoder(strings.NewReader(test.text), lenient...), func(Row[Machine]) error { return nil })
		if p != (page{test.rows, test.next, test.first}) || (err == nil) != (test.err == "") || err != nil && !strings.HasPrefix(err.Error(), test.err) {
			t.Errorf("%s: %+v %v, want %+v", test.text, p, err, test)
		}
	}
	stop := errors.New("stop")
	if _, err := newDecoder[Machine](64).page(jsontext.NewDecoder(strings.NewReader(`{"value":[{"id":"a"},{"id":"b"}]}`)), func(Row[Machine]) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a stopped page: %v", err)
	}
}

// TestAnyJSONIsARowOrARejection: whatever comes, it is one of the two, a rejection
// has a reason, and the decoder is as good as new for the next line.
func TestAnyJSONIsARowOrARejection(t *testing.T) {
	d := newDecoder[AssetVulnerability](64)
	value := rapid.SampledFrom([]string{`null`, `true`, `"x"`, `""`, `"\u0041\n"`, `1`, `-0.50`, `1e3`, `[]`, `["a",null]`, `[[1]]`, `{}`, `{"a":[{}]}`, `"2024-01-01"`, `x`, `"`, `{`})
	name := rapid.SampledFrom([]string{"DeviceId", "deviceid", "CvssScore", "DiskPaths", "FirstSeenTimestamp", "EndOfSupportDate", "SecurityUpdateAvailable", "new", "@odata.x", "", "\\u0061"})
	rapid.Check(t, func(t *rapid.T) {
		var line bytes.Buffer
		for i := range rapid.IntRange(0, 6).Draw(t, "members") {
			fmt.Fprintf(&line, `%s"%s":%s`, map[bool]string{true: "{", false: ","}[i == 0], name.Draw(t, "name"), value.Draw(t, "value"))
		}
		line.WriteString("}")
		row, _ := d.line(line.Bytes(), 1)
		if (row.Value == nil) == (row.Rejected == nil) || row.Rejected != nil && row.Rejected.Reason == "" {
			t.Fatalf("%s: %+v", line.String(), row)
		}
		if good, whole := d.line([]byte(`{"DeviceId":"m1"}`), 2); !whole || good.Value == nil || good.Value.CVSSScore.Valid {
			t.Fatalf("after %s: %+v", line.String(), good)
		}
	})
}

func TestInternerIsBounded(t *testing.T) {
	texts := newInterner(internedSets)
	for i := range 200_000 {
		text := fmt.Sprintf("text %d", i)
		if got := texts.get([]byte(text)); got != text {
			t.Fatalf("%q, want %q", got, text)
		}
	}
	long := bytes.Repeat([]byte("x"), maxInterned+1)
	if texts.get(long) != string(long) || len(texts.sets) != internedSets {
		t.Error("a long text")
	}
	one := []byte("again")
	texts.get(one)
	if n := testing.AllocsPerRun(100, func() { texts.get(one) }); n != 0 {
		t.Errorf("%v allocations for a text that is known", n)
	}
}

// TestOnlyWhatIsAskedFor: a restricted decoder leaves the rest without a value, cannot be
// made to reject a row by it, and decodes everything again afterwards.
func TestOnlyWhatIsAskedFor(t *testing.T) {
	const line = `{"Id":"row","DeviceId":"m1","RbacGroupId":"no number","DeviceName":"host","CveId":"CVE-2026-1","DiskPaths":["a"],"RegistryPaths":["b"],"Other":1}`
	d := newDecoder[AssetVulnerability](16)
	d.restrict([]string{"cveId", "diskPaths"})
	row, _ := d.line([]byte(line), 1)
	if row.Value == nil {
		t.Fatalf("rejected: %+v", row.Rejected)
	}
	want := AssetVulnerability{DeviceID: Text{"m1", true}, CVEID: Text{"CVE-2026-1", true}, DiskPaths: []string{"a"}}
	if diff := cmp.Diff(want, *row.Value); diff != "" || len(row.Unknown) > 0 {
		t.Errorf("(-want +got)\n%s, unknown %v", diff, row.Unknown)
	}
	d.restrict(nil)
	if row, _ := d.line([]byte(line), 2); row.Rejected == nil || row.Rejected.Machine != "m1" {
		t.Errorf("a group that is no number was not looked at: %+v", row)
	}
}
