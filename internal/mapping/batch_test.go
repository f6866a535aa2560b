package mapping

import (
	"encoding/json"
	"testing"

	"muster/internal/wire"
)

// one builds a batch of a single tuple; a value is nil, string or []any of string and nil.
func one(t *testing.T, names []string, values map[string]any) (*wire.Batch, []wire.Column, []int32) {
	t.Helper()
	b := &wire.Batch{}
	var columns []wire.Column
	var cells []int32
	text := func(s string) int32 {
		b.Texts = append(b.Texts, s)
		return int32(len(b.Texts) - 1)
	}
	for _, name := range names {
		column := wire.Column{Name: name, Kind: wire.Text}
		cell := wire.NullCell
		switch v := values[name].(type) {
		case nil:
			if lists[name] {
				column.Kind = wire.Texts
			}
		case string:
			cell = text(v)
		case []any:
			column.Kind = wire.Texts
			list := []int32{}
			for _, e := range v {
				if e == nil {
					list = append(list, wire.NullCell)
				} else {
					list = append(list, text(e.(string)))
				}
			}
			b.Lists = append(b.Lists, list)
			cell = int32(len(b.Lists) - 1)
		default:
			t.Fatalf("%s: %T", name, v)
		}
		columns, cells = append(columns, column), append(cells, cell)
	}
	return b, columns, cells
}

// lists are the columns that hold lists of texts.
var lists = map[string]bool{
	"machineTags": true, "exploitTypes": true, "exploitUris": true, "tags": true, "diskPaths": true, "registryPaths": true,
	"ipAddresses[].ipAddress": true, "ipAddresses[].macAddress": true, "ipAddresses[].type": true, "ipAddresses[].operationalStatus": true,
}

// mapOne maps a single tuple and returns its JSON text.
func mapOne(t *testing.T, dataset string, values map[string]any) (string, error) {
	t.Helper()
	var names []string
	for name := range values {
		names = append(names, name)
	}
	b, columns, cells := one(t, names, values)
	p, err := Compile(dataset, columns)
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Map(b, cells)
	text := string(d.AppendJSON(nil))
	if err == nil && !json.Valid([]byte(text)) {
		t.Fatalf("not JSON: %s", text)
	}
	return text, err
}
