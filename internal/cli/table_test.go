package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster"
)

func summaryRun() muster.Run {
	start := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	return muster.Run{
		Connector: "Contoso", State: muster.SucceededWithWarnings, TenantID: "11111111-2222-3333-4444-555555555555",
		StartedAt: start, FinishedAt: start.Add(83500 * time.Millisecond),
		Traffic: muster.Traffic{APICalls: 1234, Bytes: 45_678_901, Throttled: 2500 * time.Millisecond},
		Datasets: map[muster.Dataset]*muster.DatasetResult{
			muster.Machines:        {Mode: muster.ModeFull, Complete: true, SourceTime: start, Counts: muster.Counts{Read: 1000, New: 12, Changed: 3, Unchanged: 935, OutOfScope: 50}},
			muster.Vulnerabilities: {Mode: muster.ModeFull, SourceTime: start.Add(-2 * time.Hour), Counts: muster.Counts{Read: 1_234_567, New: 4567, Unchanged: 1_229_998, Rejected: 2}},
			muster.Software:        {Mode: muster.ModeSkipped, SkippedBecause: "The app lacks the permission Software.Read.All."},
			muster.Catalogue:       {Mode: muster.ModeUnchanged, Complete: true, SourceTime: start.Add(-24 * time.Hour)},
		},
		Warnings: []muster.Notice{
			{Code: "partial_read", Dataset: "vulnerabilities", Message: "One of 12 files stayed empty.", Advice: "Nothing was closed; the next run reads it again."},
			{Code: "clock_skew", Message: "This machine's clock is 6 minutes behind the source's.", Advice: "Set it by NTP."},
		},
	}
}

func TestSummaryGolden(t *testing.T) {
	var b strings.Builder
	if err := WriteSummary(&b, summaryRun(), false); err != nil {
		t.Fatal(err)
	}
	golden(t, "summary.txt", b.String())
	failed := muster.Run{Connector: "default", State: muster.Failed, Error: &muster.Notice{Code: "wrong_secret", Message: "Entra refused the client secret.", Advice: "Use the secret's value, not its id."}}
	b.Reset()
	if err := WriteSummary(&b, failed, false); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != "Connector default: failed\n" { // why is for standard error
		t.Errorf("got %q", got)
	}
}

// TestSummaryColour: colour adds escape sequences and moves nothing.
func TestSummaryColour(t *testing.T) {
	var plain, coloured strings.Builder
	if err := WriteSummary(&plain, summaryRun(), false); err != nil {
		t.Fatal(err)
	}
	if err := WriteSummary(&coloured, summaryRun(), true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("escape sequences without colour")
	}
	got := coloured.String()
	for _, code := range []paint{bold, red, green, yellow, "0"} {
		got = strings.ReplaceAll(got, "\x1b["+string(code)+"m", "")
	}
	if got == coloured.String() {
		t.Error("no escape sequence with colour")
	}
	if got != plain.String() {
		t.Errorf("without its colours the text differs:\n%s\nwant:\n%s", got, plain.String())
	}
}

func TestColourNotInFiles(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if Terminal(f) || Colour(f) {
		t.Error("a file is no terminal")
	}
}

func TestNumbersForPeople(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{number(0), "0"},
		{number(999), "999"},
		{number(1000), "1,000"},
		{number(-1000), "-1,000"},
		{number(-100), "-100"},
		{number(1234567), "1,234,567"},
		{size(0), "0 B"},
		{size(999), "999 B"},
		{size(1000), "1.0 kB"},
		{size(999_960), "1.0 MB"},
		{size(45_678_901), "45.7 MB"},
		{size(1_500_000_000_000_000), "1500.0 TB"},
		{duration(0), "0.0 s"},
		{duration(59900 * time.Millisecond), "59.9 s"},
		{duration(83500 * time.Millisecond), "1m24s"},
		{asOf(time.Time{}), "–"},
		{asOf(time.Date(2026, 11, 24, 1, 30, 0, 0, time.FixedZone("", 3600))), "2026-11-24 00:30Z"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
