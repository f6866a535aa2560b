package emulator

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// schema is the service's $metadata as JSON: the authority on names, types and nulls.
type schema struct {
	Types map[string]struct {
		Properties []struct {
			Name     string
			Type     string
			Nullable bool
		}
	}
	Enums map[string][]string
}

// recordedOnly are properties that every recorded answer has and the $metadata has not.
var recordedOnly = map[string]string{"Machine": "osVersion"}

// TestRowsHaveTheServicesProperties holds every row of two days against the $metadata.
func TestRowsHaveTheServicesProperties(t *testing.T) {
	raw, err := os.ReadFile("testdata/schema-from-metadata-2026-05.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	w := NewWorld(Options{Devices: 180, Seed: 2, NullCVERows: true})
	seen := map[string]bool{}
	for _, n := range []int{0, 9} {
		eachRow(t, w.Day(n), func(dataset string, raw []byte) {
			if dataset == "InfoGathering" {
				return // a file of its own form, not in the $metadata
			}
			seen[dataset] = true
			var row map[string]any
			if err := json.Unmarshal(raw, &row); err != nil {
				t.Fatal(err)
			}
			if extra := recordedOnly[dataset]; extra != "" {
				delete(row, extra)
			}
			s.check(t, dataset, row)
		})
	}
	if len(seen) != 7 {
		t.Errorf("only %v were checked", slices.Sorted(maps.Keys(seen)))
	}
}

func (s *schema) check(t *testing.T, name string, row map[string]any) {
	t.Helper()
	properties := s.Types[name].Properties
	if len(properties) != len(row) {
		t.Fatalf("%s has %d properties, want %d: %v", name, len(row), len(properties), slices.Sorted(maps.Keys(row)))
	}
	for _, p := range properties {
		v, ok := row[p.Name]
		switch {
		case !ok:
			t.Fatalf("%s lacks %s", name, p.Name)
		case v == nil:
			if !p.Nullable {
				t.Fatalf("%s.%s is null", name, p.Name)
			}
		default:
			s.value(t, name+"."+p.Name, p.Type, v)
		}
	}
}

func (s *schema) value(t *testing.T, where, kind string, v any) {
	t.Helper()
	if inner, ok := strings.CutPrefix(kind, "Collection("); ok {
		list, ok := v.([]any)
		if !ok {
			t.Fatalf("%s is %T", where, v)
		}
		for _, one := range list {
			s.value(t, where+"[]", strings.TrimSuffix(inner, ")"), one)
		}
		return
	}
	text, isText := v.(string)
	number, isNumber := v.(float64)
	var ok bool
	switch kind {
	case "Edm.String":
		ok = isText
	case "Edm.Guid":
		ok = isText && len(text) == 36 && strings.Count(text, "-") == 4
	case "Edm.Boolean":
		_, ok = v.(bool)
	case "Edm.Int32", "Edm.Int64":
		ok = isNumber && number == float64(int64(number))
	case "Edm.Double", "Edm.Single":
		ok = isNumber
	case "Edm.DateTimeOffset":
		_, err := time.Parse(time.RFC3339Nano, text)
		ok = isText && err == nil && strings.HasSuffix(text, "Z")
	default:
		if values, enum := s.Enums[kind]; enum {
			ok = isText && slices.Contains(values, text)
			break
		}
		object, isObject := v.(map[string]any)
		if !isObject || len(s.Types[kind].Properties) == 0 {
			t.Fatalf("%s is %T, want %s", where, v, kind)
		}
		s.check(t, kind, object)
		return
	}
	if !ok {
		t.Fatalf("%s is %v, which is no %s", where, v, kind)
	}
}
