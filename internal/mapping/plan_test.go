package mapping

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"muster/internal/wire"
)

func TestTransformations(t *testing.T) {
	for _, c := range []struct {
		dataset string
		in      map[string]any
		want    string
	}{
		{"machines", map[string]any{"computerDnsName": "Srv-1.Contoso.example"}, `{"DeviceName":"SRV-1","DisplayName":"Srv-1.Contoso.example","Network.TCPIP.FQDN":"srv-1.contoso.example","Network.TCPIP.HostName":"srv-1"}`},
		{"machines", map[string]any{"computerDnsName": "lab"}, `{"DeviceName":"LAB","DisplayName":"lab","Network.TCPIP.HostName":"lab"}`},
		{"machines", map[string]any{"computerDnsName": ""}, `{"DisplayName":""}`},
		{"machines", map[string]any{"computerDnsName": nil}, `{}`},
		{"machines", map[string]any{"osPlatform": "Windows11"}, `{"OS.Name":"Windows 11","OS.Platform":"Windows11"}`},
		{"machines", map[string]any{"osPlatform": "WindowsServer2012R2"}, `{"OS.Name":"Windows Server 2012 R2","OS.Platform":"WindowsServer2012R2"}`},
		{"machines", map[string]any{"osPlatform": "Windows10WVD"}, `{"OS.Name":"Windows 10 WVD","OS.Platform":"Windows10WVD"}`},
		{"machines", map[string]any{"osPlatform": "RedHatEnterpriseLinux"}, `{"OS.Name":"Red Hat Enterprise Linux","OS.Platform":"RedHatEnterpriseLinux"}`},
		{"machines", map[string]any{"osPlatform": "macOS"}, `{"OS.Name":"macOS","OS.Platform":"macOS"}`},
		{"machines", map[string]any{"osPlatform": "CentOS"}, `{"OS.Name":"CentOS","OS.Platform":"CentOS"}`},
		{"machines", map[string]any{"aadDeviceId": "D78DC223-8DC8-1234-5678-ABCDEF03505B"}, `{"AzureAD.DeviceId":"d78dc223-8dc8-1234-5678-abcdef03505b"}`},
		{"machines", map[string]any{"osBuild": "19045"}, `{"OS.BuildNumber":19045}`},
		{"machines", map[string]any{"osBuild": "1e+05"}, `{"OS.BuildNumber":100000}`},
		{"machines", map[string]any{"osBuild": ""}, `{}`},
		{"machines", map[string]any{"isExcluded": "False", "isAadJoined": "true"}, `{"AzureAD.IsJoined":true,"Discovery.MDE.Excluded":false}`},
		{"machines", map[string]any{"onboardingStatus": "onboarded"}, `{"Security.MDE.OnboardingStatus":"Onboarded"}`},
		{"machines", map[string]any{"riskScore": "Extreme"}, `{"Security.MDE.RiskScore":"Extreme"}`},
		{"machines", map[string]any{"lastSeen": "2025-04-02T02:51:16.2059102Z"}, `{"Discovery.MDE.LastSeen":"2025-04-02T02:51:16.20591Z"}`},
		{"machines", map[string]any{"lastSeen": "2025-04-02T02:51:16+02:00"}, `{"Discovery.MDE.LastSeen":"2025-04-02T00:51:16Z"}`},
		{"machines", map[string]any{"lastSeen": "0001-01-01T00:00:00Z"}, `{}`},
		{"machines", map[string]any{"machineTags": []any{"b", "a", nil, "b"}}, `{"Discovery.MDE.Tags":["a","b"]}`},
		{"machines", map[string]any{"machineTags": []any{}}, `{"Discovery.MDE.Tags":[]}`},
		{"machines", map[string]any{"*": `{"zeta":{"b":1,"a":12345678901234567890},"alpha":"<x>"}`}, `{"Discovery.MDE.Unmapped":{"alpha":"<x>","zeta":{"a":12345678901234567890,"b":1}}}`},
		{"machines", map[string]any{"*": "{}"}, `{}`},
		{"machines", map[string]any{"DeviceValue": "low"}, `{"Discovery.MDE.DeviceValue":"Low"}`},
		{
			"antivirus",
			map[string]any{"avMode": "0", "quickScanError": "", "avIsEngineUpToDate": "TRUE", "machineId": "m", "computerDnsName": "x"},
			`{"Security.Antivirus.IsEngineUpToDate":"True","Security.Antivirus.Mode":"0","Security.Antivirus.QuickScanError":""}`,
		},
		{
			"vulnerabilities",
			map[string]any{"cvssScore": "7.0", "vulnerabilitySeverityLevel": "critical", "endOfSupportDate": "2021-05-11T00:00:00+00:00", "securityUpdateAvailable": "true"},
			`{"Security.Vulnerability[].CVSS":7,"Security.Vulnerability[].Fix.Available":true,"Security.Vulnerability[].Severity":"Critical","Software.Package[].EndOfSupport.Date":"2021-05-11T00:00:00Z"}`,
		},
		{"vulnerabilities", map[string]any{"cvssScore": "-0"}, `{"Security.Vulnerability[].CVSS":0}`},
		{"software", map[string]any{"endOfSupportDate": "2020-12-30", "numberOfWeaknesses": "3"}, `{"Software.Package[].EndOfSupport.Date":"2020-12-30T00:00:00Z"}`},
		{"software", map[string]any{"endOfSupportDate": "soon"}, `{"Software.Package[].EndOfSupport.Date":"soon"}`},
		{"catalogue", map[string]any{"epss": "0.00154", "id": "CVE-1", "exposedMachines": "3"}, `{"Security.Vulnerability[].Definition.EPSS":0.00154}`},
		{
			"information",
			map[string]any{"deviceId": "m", "info.AvMode": "1", "info.AvIsSignatureUpToDate": "true", "info.New": "x", "info.Old": nil, "*": `{"N":1}`},
			`{"Security.Posture.AvIsSignatureUpToDate":"True","Security.Posture.AvMode":"1","Security.Posture.Unmapped":{"N":1,"New":"x"}}`,
		},
	} {
		got, err := mapOne(t, c.dataset, c.in)
		if err != nil || got != c.want {
			t.Errorf("%s %v:\n got %s %v\nwant %s", c.dataset, c.in, got, err, c.want)
		}
	}
}

func TestAdapters(t *testing.T) {
	got, err := mapOne(t, "machines", map[string]any{
		"ipAddresses[].ipAddress":         []any{"10.0.0.2", "127.0.0.1", "::1", "", "10.0.0.1", "::ffff:127.0.0.1", nil, "fe80::1"},
		"ipAddresses[].macAddress":        []any{"00005e0053ff", nil, "000000000000", "00-00-5E-00-53-01", nil, nil, nil, "odd"},
		"ipAddresses[].type":              []any{"Ethernet", "SoftwareLoopback", nil, "Ethernet", "softwareloopback", "Other", nil, nil},
		"ipAddresses[].operationalStatus": []any{"Up", "Up", "Up", nil, nil, nil, nil, nil},
	})
	want := `{"Network.TCPIP.BoundAdapter":[{"Description":"Ethernet","IPAddress":"10.0.0.2","PhysicalAddress":"00:00:5E:00:53:FF","Status":"Up"},` +
		`{"Description":"Ethernet","PhysicalAddress":"00:00:5E:00:53:01"},{"IPAddress":"fe80::1","PhysicalAddress":"odd"}]}`
	if err != nil || got != want {
		t.Errorf("got  %s %v\nwant %s", got, err, want)
	}
}

func TestWrongValues(t *testing.T) {
	for _, c := range []struct {
		dataset, column, value, want string
	}{
		{"machines", "osBuild", "many", `osBuild is "many", which is not a whole number`},
		{"machines", "osBuild", "1.5", `osBuild is "1.5", which is not a whole number`},
		{"machines", "isExcluded", "perhaps", `isExcluded is "perhaps", which is not true or false`},
		{"machines", "lastSeen", "yesterday", `lastSeen is "yesterday", which is not a time`},
		{"vulnerabilities", "cvssScore", "NaN", `cvssScore is "NaN", which is not a number`},
		{"machines", "*", "[1]", `what is unknown of the row is "[1]", which is not a JSON object`},
		{"machines", "osBuild", strings.Repeat("é", 60), `osBuild is "` + strings.Repeat("é", 40) + `…", which is not a whole number`},
	} {
		if _, err := mapOne(t, c.dataset, map[string]any{c.column: c.value}); err == nil || err.Error() != c.want {
			t.Errorf("%s=%s: %v, want %s", c.column, c.value, err, c.want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for dataset, column := range map[string]wire.Column{
		"machines":        {Name: "surprise", Kind: wire.Text},
		"vulnerabilities": {Name: "*", Kind: wire.Text},
		"antivirus":       {Name: "info.X", Kind: wire.Text},
		"catalogue":       {Name: "exploitTypes", Kind: wire.Text},
		"configuration":   {Name: "isCompliant", Kind: wire.Texts},
		"information":     {Name: "info.X", Kind: "number"},
	} {
		if _, err := Compile(dataset, []wire.Column{column}); err == nil {
			t.Errorf("%s took column %+v", dataset, column)
		}
	}
}

// TestEveryAttributeIsStored maps a tuple with a value for each source attribute of a
// dataset and compares the document's keys with the table.
func TestEveryAttributeIsStored(t *testing.T) {
	sample := map[string]string{"integer": "1", "number": "1", "boolean": "true", "time": "2026-01-02T03:04:05Z", "object": `{"a":1}`}
	for _, dataset := range []string{"machines", "antivirus", "information", "software", "vulnerabilities", "configuration", "catalogue"} {
		values := map[string]any{}
		var want []string
		for _, a := range Attributes() {
			if a.Dataset != dataset || a.Stored != InDocument {
				continue
			}
			if !slices.Contains(want, a.Key) {
				want = append(want, a.Key)
			}
			for _, name := range a.reads {
				if values[name] = "a.b"; lists[name] {
					values[name] = []any{"a"}
				} else if v, ok := sample[a.Type]; ok {
					values[name] = v
				}
			}
		}
		if dataset == "information" {
			values["info.unknown"] = "x"
		}
		text, err := mapOne(t, dataset, values)
		if err != nil {
			t.Fatal(err)
		}
		var document map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		var got []string
		for key := range document {
			got = append(got, key)
		}
		slices.Sort(got)
		slices.Sort(want)
		if len(got) == 0 && dataset != "" || !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", dataset, got, want)
		}
	}
}

// TestCanonical: order at the source, of tags, adapters and columns, does not matter.
func TestCanonical(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		tags := rapid.SliceOf(rapid.String()).Draw(r, "tags")
		adapters := rapid.SliceOf(rapid.Custom(func(r *rapid.T) [4]string {
			return [4]string{
				rapid.SampledFrom([]string{"", "10.0.0.1", "fe80::2", "127.0.0.9"}).Draw(r, "ip"), rapid.SampledFrom([]string{"", "000000000000", "00005E005301"}).Draw(r, "mac"),
				rapid.SampledFrom([]string{"", "Ethernet", "SoftwareLoopback"}).Draw(r, "type"), rapid.SampledFrom([]string{"", "Up"}).Draw(r, "status"),
			}
		})).Draw(r, "adapters")
		name := rapid.String().Draw(r, "name")
		document := func(tags []string, adapters [][4]string, reverse bool) string {
			values := map[string]any{"machineTags": anys(tags), "computerDnsName": name, "osBuild": "5"}
			for i, column := range adapterColumns {
				list := []any{}
				for _, a := range adapters {
					list = append(list, a[i])
				}
				values[column] = list
			}
			names := append([]string{"osBuild", "computerDnsName", "machineTags"}, adapterColumns...)
			if reverse {
				slices.Reverse(names)
			}
			b, columns, cells := one(t, names, values)
			p, err := Compile("machines", columns)
			if err != nil {
				r.Fatal(err)
			}
			d, err := p.Map(b, cells)
			if err != nil {
				r.Fatal(err)
			}
			return string(d.AppendJSON(nil))
		}
		a := document(tags, adapters, false)
		b := document(rapid.Permutation(tags).Draw(r, "other tags"), rapid.Permutation(adapters).Draw(r, "other adapters"), true)
		if a != b || !json.Valid([]byte(a)) {
			r.Fatalf("%s\n%s", a, b)
		}
		if d := Diff([]byte(a), []byte(b)); d != nil {
			r.Fatal(d)
		}
	})
}

func anys(texts []string) []any {
	list := []any{}
	for _, s := range texts {
		list = append(list, s)
	}
	return list
}

// TestAppendString: every text comes back as encoding/json reads it.
func TestAppendString(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(r, "bytes"))
		if rapid.Bool().Draw(r, "text") {
			s = rapid.String().Draw(r, "s")
		}
		var back string
		if err := json.Unmarshal(AppendString(nil, s), &back); err != nil || back != strings.ToValidUTF8(s, "\uFFFD") && back != string([]rune(s)) {
			r.Fatalf("%q became %q: %v", s, back, err)
		}
	})
}

func TestPlanIsCheap(t *testing.T) {
	values := map[string]any{"vulnerabilitySeverityLevel": "High", "cvssScore": "7.5", "exploitabilityLevel": "NoExploit", "recommendedSecurityUpdate": "July 2026 security updates"}
	b, columns, cells := one(t, []string{"vulnerabilitySeverityLevel", "cvssScore", "exploitabilityLevel", "recommendedSecurityUpdate"}, values)
	p, err := Compile("vulnerabilities", columns)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		d, err := p.Map(b, cells)
		if err != nil {
			t.Fatal(err)
		}
		buf = d.AppendJSON(buf[:0])
	}); n > 0 {
		t.Errorf("%v allocations a row", n)
	}
}
