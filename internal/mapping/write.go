package mapping

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

var header = []string{"Data type", "Target attribute", "Source attribute", "Source endpoint", "Type", "Unit or values", "Transformation", "Permission", "Notes"}

func (a *Attribute) cells() []string {
	return []string{a.DataType, a.Target, a.Source, a.Endpoint, a.Type, a.Unit, a.Transformation, a.Permission, a.Notes}
}

// WriteCSV writes the table as RFC 4180, one row a pairing.
func WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	rows := [][]string{header}
	for _, a := range Attributes() {
		rows = append(rows, a.cells())
	}
	return c.WriteAll(rows)
}

// WriteMarkdown writes the table by data type, then what is not imported and why.
func WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Attribute mapping\n\nMade from the table that the import itself uses; do not edit. Version " + Version() + ".\n")
	last := ""
	for _, a := range Attributes() {
		if section := a.DataType + ", " + a.Endpoint; section != last {
			last = section
			fmt.Fprintf(&b, "\n## %s: %s\n\nPermission: `%s`\n\n", a.DataType, a.Endpoint, a.Permission)
			b.WriteString("| Target attribute | Source attribute | Type | Unit or values | Transformation | Kept as | Notes |\n|---|---|---|---|---|---|---|\n")
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s | %s | %s |\n", a.Target, a.Source, a.Type, a.Unit, a.Transformation, a.Stored, a.Notes)
	}
	b.WriteString("\n## Not imported\n\n| Source attribute | Endpoint | Reason |\n|---|---|---|\n")
	for _, u := range NotImported() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", u.Source, u.Endpoint, u.Reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type attributeJSON struct {
	DataType       string `json:"data_type"`
	Target         string `json:"target_attribute"`
	Source         string `json:"source_attribute"`
	Endpoint       string `json:"source_endpoint"`
	Type           string `json:"type"`
	Unit           string `json:"unit_or_values"`
	Transformation string `json:"transformation"`
	Permission     string `json:"permission"`
	Notes          string `json:"notes"`
	Dataset        string `json:"dataset"`
	Stored         Stored `json:"stored"`
}

type unusedJSON struct {
	Dataset  string `json:"dataset"`
	Source   string `json:"source_attribute"`
	Endpoint string `json:"source_endpoint"`
	Reason   string `json:"reason"`
}

// WriteJSON writes one object: version, attributes, not_imported.
func WriteJSON(w io.Writer) error {
	out := struct {
		Version     string          `json:"version"`
		Attributes  []attributeJSON `json:"attributes"`
		NotImported []unusedJSON    `json:"not_imported"`
	}{Version: Version()}
	for _, a := range Attributes() {
		out.Attributes = append(out.Attributes, attributeJSON{a.DataType, a.Target, a.Source, a.Endpoint, a.Type, a.Unit, a.Transformation, a.Permission, a.Notes, a.Dataset, a.Stored})
	}
	for _, u := range NotImported() {
		out.NotImported = append(out.NotImported, unusedJSON{u.Dataset, u.Source, u.Endpoint, u.Reason})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
