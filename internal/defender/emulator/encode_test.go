package emulator

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// standard is what encoding/json makes of a value without HTML escapes.
func standard(t *rapid.T, value any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestTextIsQuotedAsEncodingJSONDoes(t *testing.T) {
	bytes := rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })
	special := rapid.StringOf(rapid.RuneFrom([]rune("\"\\<>&\x00\x1f\x7f\b\f\n\r\t\u2028\u2029\ufffdé®a")))
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), bytes, special).Draw(t, "s")
		if got, want := string(appendString(nil, s)), standard(t, s); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

func TestNumbersAreWrittenAsEncodingJSONDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 7, 7.5, 0.00154, 1e-7, 1e21, 1e20, 123456789e-15, -1e-9})).Draw(t, "f")
		if math.IsInf(f, 0) || math.IsNaN(f) {
			t.Skip()
		}
		if got, want := string(appendFloat(nil, f)), standard(t, f); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}

// TestRowsAreWrittenAsEncodingJSONDoes draws whole rows of every type.
func TestRowsAreWrittenAsEncodingJSONDoes(t *testing.T) {
	t.Run("Machine", rowsLikeStandard[Machine])
	t.Run("DeviceAVInfo", rowsLikeStandard[DeviceAVInfo])
	t.Run("AssetVulnerability", rowsLikeStandard[AssetVulnerability])
	t.Run("AssetConfiguration", rowsLikeStandard[AssetConfiguration])
	t.Run("AssetSoftware", rowsLikeStandard[AssetSoftware])
	t.Run("AssetNonCPESoftware", rowsLikeStandard[AssetNonCPESoftware])
	t.Run("InfoGathering", rowsLikeStandard[InfoGathering])
	t.Run("Vulnerability", rowsLikeStandard[Vulnerability])
}

func rowsLikeStandard[T any](t *testing.T) {
	t.Helper()
	p := planOf[T](false, apiName)
	rows := rapid.Make[T]()
	rapid.Check(t, func(t *rapid.T) {
		row := rows.Draw(t, "row")
		if got, want := string(p.append(nil, reflect.ValueOf(&row).Elem())), standard(t, row); got != want {
			t.Fatalf("\n%s, want\n%s", got, want)
		}
	})
}

func TestFileRowsLeaveNullsOut(t *testing.T) {
	name, version, device := "Windows11", "10.0.22631.4890", "aa"
	for _, c := range []struct {
		plan *plan
		row  any
		want string
	}{
		{
			planOf[AssetVulnerability](true, fileName), &AssetVulnerability{DeviceID: &device, OSPlatform: &name, OSVersion: &version, DiskPaths: []string{}, CVSSScore: 7},
			`{"DeviceId":"aa","RbacGroupId":0,"OSPlatform":"Windows11","OSVersion":"10.0.22631.4890","DiskPaths":[],"CvssScore":7,"SecurityUpdateAvailable":false}`,
		},
		{
			planOf[InfoGathering](true, fileName), &InfoGathering{OSPlatform: &name, OSVersion: &version, DeviceID: &device, RbacGroupID: 86},
			`{"OsPlatform":"Windows11","OsVersion":"10.0.22631.4890","DeviceId":"aa","RbacGroupId":86}`,
		},
	} {
		if got := string(c.plan.append(nil, reflect.ValueOf(c.row).Elem())); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}
