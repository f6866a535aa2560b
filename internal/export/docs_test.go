package export

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const page = "../../docs/exports.md"

// describe is the table of an export's columns, as the page shows it.
func describe(columns []heading) string {
	var b strings.Builder
	b.WriteString("\n| Column | Type | Null | What it is |\n|---|---|---|---|\n")
	for _, c := range columns {
		order, null := "", "yes"
		if c.sorted {
			order = "°"
		}
		if c.never {
			null = ""
		}
		fmt.Fprintf(&b, "| `%s`%s | %s | %s | %s |\n", c.name, order, c.form, null, strings.ReplaceAll(c.says, "|", `\|`))
	}
	return b.String() + "\n"
}

// TestGeneratedColumns keeps the page's tables of columns true to those that are written.
func TestGeneratedColumns(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, name := range written {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
		before, rest, ok := strings.Cut(text, begin)
		table, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("%s lacks its marks %q and %q", page, begin, end)
		}
		want := describe(exports[name].columns)
		if table != want && !*update {
			t.Errorf("the columns of %s in %s are not those of the export; go test ./internal/export -run Generated -update", name, page)
		}
		text = before + begin + want + end + after
	}
	for _, name := range Names() {
		if !strings.Contains(text, name) {
			t.Errorf("%s does not name the export %s", page, name)
		}
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMappedForms: columns of target attributes have the type that the mapping gives them.
func TestMappedForms(t *testing.T) {
	for target, want := range map[string]form{
		"DeviceName": formText, "OS.BuildNumber": formInteger, "AzureAD.IsJoined": formBoolean, "Discovery.MDE.Tags": formList, "Discovery.MDE.LastSeen": formTime,
		"Network.TCPIP.BoundAdapter": formJSON, "Discovery.MDE.Unmapped": formJSON,
		"Security.Posture.AvEngineUpdateTime": formText, endOfSupport + "Date": formText, // not promised to be times
		vulnerability + "CVSS": formNumber, definitionOf + "PublicExploit": formBoolean, definitionOf + "PublishedOn": formTime,
	} {
		if got := mapped(target); got != want {
			t.Errorf("%s is %s, want %s", target, got, want)
		}
	}
	for name, d := range exports {
		for _, c := range d.columns {
			target, only := strings.CutSuffix(strings.TrimPrefix(c.says, "`"), "`")
			if _, known := attributeForms()[target]; only && !known && !strings.Contains(target, "`") {
				t.Errorf("%s.%s: the mapping has no %s", name, c.name, target)
			}
		}
	}
}
