package defender

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseTime(t *testing.T) {
	utc := func(year int, month time.Month, day, hour, minute, second, nanos int) time.Time {
		return time.Date(year, month, day, hour, minute, second, nanos, time.UTC)
	}
	for text, want := range map[string]time.Time{
		"2024-11-05T11:54:59Z":              utc(2024, 11, 5, 11, 54, 59, 0),
		"2024-11-05T11:54:59.5Z":            utc(2024, 11, 5, 11, 54, 59, 500000000),
		"2024-11-05T11:54:59.5717001Z":      utc(2024, 11, 5, 11, 54, 59, 571700100),
		"2024-11-05T11:54:59.123456789Z":    utc(2024, 11, 5, 11, 54, 59, 123456789),
		"2021-05-11T00:00:00+00:00":         utc(2021, 5, 11, 0, 0, 0, 0),
		"2021-05-11T01:30:00+02:00":         utc(2021, 5, 10, 23, 30, 0, 0),
		"2021-05-11T01:30:00-0330":          utc(2021, 5, 11, 5, 0, 0, 0),
		"2020-11-03 10:13:34.8476880":       utc(2020, 11, 3, 10, 13, 34, 847688000),
		"2025-10-06 10:43:58":               utc(2025, 10, 6, 10, 43, 58, 0),
		"2021-01-11 09:47:58.854":           utc(2021, 1, 11, 9, 47, 58, 854000000),
		"2025-10-06 10:43:58Z":              utc(2025, 10, 6, 10, 43, 58, 0),
		"2020-12-30":                        utc(2020, 12, 30, 0, 0, 0, 0),
		"2024-02-29":                        utc(2024, 2, 29, 0, 0, 0, 0),
		"2000-02-29T00:00:00Z":              utc(2000, 2, 29, 0, 0, 0, 0),
		"0001-01-01":                        {},
		"0001-01-01T00:00:00Z":              {},
		"0001-01-01T00:00:00.0000000+00:00": {},
		"0001-01-01 00:00:00":               {},
		"2024-11-05t11:54:59z":              utc(2024, 11, 5, 11, 54, 59, 0),
	} {
		if got, ok := parseTime([]byte(text)); !ok || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s: %v %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "2024", "2024-1-05", "2024-13-01", "2024-02-30", "2023-02-29", "1900-02-29", "2024-11-05T", "2024-11-05T11:54", "2024-11-05T24:00:00Z",
		"2024-11-05T11:60:00Z", "2024-11-05T11:54:60Z", "2024-11-05T11:54:59.1234567890Z", "2024-11-05T11:54:59X", "2024-11-05T11:54:59+2:00",
		"2024-11-05T11:54:59+24:00", "05/11/2024", "20241105", "2024-11-05_11:54:59", "1730807699", "2024-11-05T11:54:59Z ", "+024-11-05", "yesterday…",
	} {
		if got, ok := parseTime([]byte(text)); ok {
			t.Errorf("%q: %v, want none", text, got)
		}
	}
}

// TestParseTimeReadsWhatIsWritten: every time, in every form and with every number
// of fraction digits, comes back.
func TestParseTimeReadsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.IntRange(0, 9).Draw(t, "digits")
		unit := int64(1)
		for range 9 - digits {
			unit *= 10
		}
		want := time.Unix(rapid.Int64Range(-60e9, 250e9).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanos")/unit*unit).UTC()
		layout := rapid.SampledFrom([]string{"2006-01-02T15:04:05", "2006-01-02 15:04:05"}).Draw(t, "layout")
		if digits > 0 {
			layout += "." + strings.Repeat("0", digits)
		}
		written := want
		switch zone := rapid.SampledFrom([]string{"", "Z", "Z07:00", "Z0700"}).Draw(t, "zone"); zone {
		case "":
		default:
			layout += zone
			if zone != "Z" {
				written = want.In(time.FixedZone("", 60*rapid.IntRange(-23*60, 23*60).Draw(t, "offset")))
			}
		}
		text := written.Format(layout)
		if got, ok := parseTime([]byte(text)); !ok || !got.Equal(want) {
			t.Fatalf("%s: %v %v, want %v", text, got, ok, want)
		}
	})
}
