package defender

import (
	"encoding/json"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestDecimal(t *testing.T) {
	for number, want := range map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "-0.0": "0", "7": "7", "7.0": "7", "7.50": "7.5", "5.5": "5.5", "-3.140": "-3.14", "100": "100", "100.00": "100",
		"1e2": "100", "1E+2": "100", "15e-1": "1.5", "1e+05": "100000", "0.00154": "0.00154", "1.5e-7": "0.00000015",
		"9007199254740993": "9007199254740993", "123456789012345678901234567890": "123456789012345678901234567890",
		"0.1000000000000000055511151231257827": "0.1", "0.30000000000000004": "0.30000000000000004",
	} {
		if got, ok := decimal([]byte(number), make([]byte, 0, 8)); !ok || string(got) != want {
			t.Errorf("%s: %s %v, want %s", number, got, ok, want)
		}
	}
	if got, ok := decimal([]byte("1e999"), nil); ok {
		t.Errorf("1e999: %s, want none", got)
	}
}

func TestDecimalIsTheShortestFormOfTheSameNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64Range(-1e9, 1e9).Draw(t, "number")
		format := rapid.SampledFrom([]byte{'f', 'e', 'g'}).Draw(t, "format")
		precision := rapid.IntRange(-1, 12).Draw(t, "precision")
		text := strconv.FormatFloat(f, format, precision, 64)
		written, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		want := strconv.FormatFloat(written, 'f', -1, 64)
		if want == "-0" {
			want = "0"
		}
		got, ok := decimal([]byte(text), nil)
		if whole := strconv.FormatFloat(written, 'f', 0, 64); !ok || string(got) != want && string(got) != whole {
			t.Fatalf("%s: %s, want %s", text, got, want)
		}
	})
}

// TestIsNumber compares with encoding/json.
func TestIsNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{0,3}(\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?x?`).Draw(t, "text")
		var n json.Number
		want := json.Unmarshal([]byte(text), &n) == nil
		if got := isNumber([]byte(text)); got != want {
			t.Fatalf("%q: %v, want %v", text, got, want)
		}
	})
}
