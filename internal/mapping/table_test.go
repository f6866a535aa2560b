package mapping

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/mapping.md")

func TestGolden(t *testing.T) {
	for path, write := range map[string]func(io.Writer) error{
		"testdata/mapping.csv":  WriteCSV,
		"testdata/mapping.json": WriteJSON,
		"../../docs/mapping.md": WriteMarkdown,
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got.String()); d != "" {
			t.Errorf("%s is not what the table says; run go test ./internal/mapping -update (-want +got):\n%s", path, d)
		}
	}
}

// TestEverySourceProperty: no property of a gathered type is forgotten.
func TestEverySourceProperty(t *testing.T) {
	data, err := os.ReadFile("testdata/schema-from-metadata-2026-05.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Types map[string]struct {
			Properties []struct{ Name string }
		}
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, a := range Attributes() {
		known[a.Dataset+" "+strings.ToLower(a.Source)] = true
	}
	for _, u := range NotImported() {
		if u.Reason == "" {
			t.Errorf("%s is left out without a reason", u.Source)
		}
		known[u.Dataset+" "+strings.ToLower(u.Source)] = true
	}
	checked := 0
	for kind, place := range map[string]struct{ dataset, prefix string }{
		"Machine": {"machines", ""}, "VmMetadata": {"machines", "vmmetadata."}, "MachineIpAddress": {"machines", "ipaddresses[]."}, "DeviceAvInfo": {"antivirus", ""},
		"AssetSoftware": {"software", ""}, "AssetNonCpeSoftware": {"software", ""}, "AssetVulnerability": {"vulnerabilities", ""}, "AssetConfiguration": {"configuration", ""},
		"PublicVulnerabilityDto": {"catalogue", ""},
	} {
		for _, p := range schema.Types[kind].Properties {
			if p.Name == "ipAddresses" || p.Name == "vmMetadata" {
				continue // their own types
			}
			if checked++; !known[place.dataset+" "+place.prefix+strings.ToLower(p.Name)] {
				t.Errorf("%s.%s is neither mapped nor listed as not imported", kind, p.Name)
			}
		}
	}
	if checked < 150 {
		t.Errorf("only %d properties found in the schema", checked)
	}
}

func TestTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range Attributes() {
		if a.DataType == "" || a.Target == "" || a.Source == "" || a.Endpoint == "" || a.Type == "" || a.Transformation == "" || a.Permission == "" || a.Stored == "" {
			t.Errorf("incomplete: %+v", a)
		}
		if (a.Stored == InDocument) != (a.Key != "") || (a.Stored == InDocument) != (a.transform.append != nil) {
			t.Errorf("%s: stored as %s with key %q", a.Target, a.Stored, a.Key)
		}
		pair := a.Dataset + " " + a.Source + " " + a.Target
		if seen[pair] {
			t.Errorf("twice: %s", pair)
		}
		seen[pair] = true
	}
	for _, target := range []string{
		"DeviceName", "DisplayName", "Network.TCPIP.HostName", "OS.Name", "OS.Version", "Network.TCPIP.Address",
		"Network.TCPIP.BoundAdapter[].IPAddress", "Network.TCPIP.BoundAdapter[].PhysicalAddress", "Network.TCPIP.BoundAdapter[].Description",
	} {
		if !slices.ContainsFunc(Attributes(), func(a Attribute) bool { return a.Target == target }) {
			t.Errorf("%s is a name others rely on", target)
		}
	}
	if keys := MachineKeys(); slices.Contains(keys, "Discovery.MDE.MachineId") || !slices.Contains(keys, "Network.TCPIP.BoundAdapter") || !slices.Contains(keys, "Security.Antivirus.Mode") {
		t.Errorf("machine keys: %q", keys)
	}
}

func TestVersion(t *testing.T) {
	all := Attributes()
	base := version(all)
	if base != Version() || version(Attributes()) != base {
		t.Fatal("the version is not stable")
	}
	for name, change := range map[string]func(*Attribute){
		"target":         func(a *Attribute) { a.Target = "X" },
		"source":         func(a *Attribute) { a.Source = "x" },
		"transformation": func(a *Attribute) { a.Transformation = "Otherwise" },
	} {
		other := Attributes()
		change(&other[3])
		if version(other) == base {
			t.Errorf("another %s, the same version", name)
		}
	}
	if version(all[1:]) == base {
		t.Error("a pairing less, the same version")
	}
	note := Attributes()
	note[3].Notes = "Something else"
	if version(note) != base {
		t.Error("a note changes the version")
	}
}

func TestDiff(t *testing.T) {
	before := []byte(`{"A":1,"B":"x","C":[1]}`)
	after := []byte(`{"A":1,"B":"y","D":true}`)
	want := []Change{{"B", []byte(`"x"`), []byte(`"y"`)}, {"C", []byte(`[1]`), nil}, {"D", nil, []byte(`true`)}}
	if d := cmp.Diff(want, Diff(before, after)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]Change{{"A", nil, []byte("1")}}, Diff(nil, []byte(`{"A":1}`))); d != "" {
		t.Error(d)
	}
	if changes := Diff([]byte(`{"Discovery.MDE.LastSeen":"2026-11-01T00:00:00Z"}`), []byte(`{"Discovery.MDE.LastSeen":"2026-11-02T00:00:00Z"}`)); changes != nil {
		t.Errorf("a report's time is a difference: %v", changes)
	}
	if Diff(before, before) != nil {
		t.Error("the same document differs")
	}
}
