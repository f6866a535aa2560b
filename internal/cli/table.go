package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/mattn/go-isatty"

	"muster"
)

// Terminal tells whether f is a screen that somebody looks at.
func Terminal(f *os.File) bool { return isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()) }

// Colour tells whether f is a terminal that may be written to in colour: NO_COLOR
// (https://no-color.org) and TERM=dumb say no.
func Colour(f *os.File) bool {
	return Terminal(f) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

type paint string // an SGR code, https://www.ecma-international.org/publications-and-standards/standards/ecma-48/

const (
	bold   paint = "1"
	red    paint = "31"
	green  paint = "32"
	yellow paint = "33"
)

// painter colours words, or leaves them as they are.
type painter bool

func (p painter) do(c paint, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// outcome says how a state looks.
func (p painter) outcome(s muster.RunState) string {
	words := strings.ReplaceAll(string(s), "_", " ")
	switch s {
	case muster.Succeeded:
		return p.do(green, words)
	case muster.SucceededWithWarnings:
		return p.do(yellow, words)
	case muster.Failed, muster.Abandoned:
		return p.do(red, words)
	default:
		return words
	}
}

// WriteSummary tells a person how a run ended: one line, an aligned row per dataset, what
// it cost, and every warning with its advice. The error is for standard error.
func WriteSummary(w io.Writer, run muster.Run, colour bool) error {
	p := painter(colour)
	var b strings.Builder
	fmt.Fprintf(&b, "Connector %s: %s", run.Connector, p.outcome(run.State))
	if !run.StartedAt.IsZero() && !run.FinishedAt.IsZero() {
		fmt.Fprintf(&b, " after %s", duration(run.FinishedAt.Sub(run.StartedAt)))
	}
	if run.TenantID != "" {
		fmt.Fprintf(&b, ", tenant %s", run.TenantID)
	}
	b.WriteString("\n")
	if len(run.Datasets) > 0 {
		b.WriteString("\n" + datasetTable(run, p) + "\n\n")
		for _, d := range muster.Datasets {
			if r := run.Datasets[d]; r != nil && r.SkippedBecause != "" {
				fmt.Fprintf(&b, "%s: %s\n", d, r.SkippedBecause)
			}
		}
		fmt.Fprintf(&b, "%s API calls, %s", number(run.Traffic.APICalls), size(run.Traffic.Bytes))
		if run.Traffic.Throttled >= time.Second {
			fmt.Fprintf(&b, ", %s spent waiting for rate limits", duration(run.Traffic.Throttled))
		}
		b.WriteString("\n")
	}
	for _, n := range run.Warnings {
		writeWarning(&b, p, n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeWarning(b *strings.Builder, p painter, n muster.Notice) {
	fmt.Fprintf(b, "\n%s %s", p.do(yellow, "warning"), n.Code)
	if n.Dataset != "" {
		fmt.Fprintf(b, " (%s)", n.Dataset)
	}
	fmt.Fprintf(b, ": %s\n", n.Message)
	if n.Advice != "" {
		fmt.Fprintf(b, "  %s\n", n.Advice)
	}
}

// column is one count of the table. Those that are rarely more than zero are shown only
// where there is something to see.
type column struct {
	title string
	rare  bool
	of    func(*muster.Counts) int64
}

var columns = []column{
	{"read", false, func(c *muster.Counts) int64 { return c.Read }},
	{"new", false, func(c *muster.Counts) int64 { return c.New }},
	{"changed", false, func(c *muster.Counts) int64 { return c.Changed }},
	{"unchanged", false, func(c *muster.Counts) int64 { return c.Unchanged }},
	{"closed", false, func(c *muster.Counts) int64 { return c.Closed }},
	{"reopened", true, func(c *muster.Counts) int64 { return c.Reopened }},
	{"out of scope", true, func(c *muster.Counts) int64 { return c.OutOfScope }},
	{"rejected", true, func(c *muster.Counts) int64 { return c.Rejected }},
	{"duplicates", true, func(c *muster.Counts) int64 { return c.Duplicates }},
}

func datasetTable(run muster.Run, p painter) string {
	var total muster.Counts
	for _, r := range run.Datasets {
		total.Add(r.Counts)
	}
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	style := t.Style()
	style.Options = table.Options{SeparateHeader: true}
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "

	header := table.Row{p.do(bold, "dataset"), p.do(bold, "how"), p.do(bold, "as of")}
	var shown []column
	var aligned []table.ColumnConfig
	for _, c := range columns {
		if c.rare && c.of(&total) == 0 {
			continue
		}
		shown = append(shown, c)
		header = append(header, p.do(bold, c.title))
		aligned = append(aligned, table.ColumnConfig{Number: len(header), Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.AppendHeader(header)
	t.SetColumnConfigs(aligned)
	for _, d := range muster.Datasets {
		r := run.Datasets[d]
		if r == nil {
			continue
		}
		row := table.Row{string(d), how(r, p), asOf(r.SourceTime)}
		for _, c := range shown {
			cell := number(c.of(&r.Counts))
			if r.Mode == muster.ModeSkipped {
				cell = "–" // nobody looked, which is not none
			}
			row = append(row, cell)
		}
		t.AppendRow(row)
	}
	lines := strings.Split(t.Render(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// how says how a dataset was read, and whether whole.
func how(r *muster.DatasetResult, p painter) string {
	if !r.Complete && (r.Mode == muster.ModeFull || r.Mode == muster.ModeChanges) {
		return p.do(yellow, string(r.Mode)+", partial")
	}
	return string(r.Mode)
}

// asOf is to the minute and in UTC: the source's snapshots are hours apart.
func asOf(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

// number groups digits: 1,234,567.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size is in decimal units, as network traffic is counted.
func size(n int64) string {
	if n < 1000 {
		return number(n) + " B"
	}
	value, units := float64(n), []string{"kB", "MB", "GB", "TB"}
	for i, unit := range units {
		if value /= 1000; value < 999.95 || i == len(units)-1 {
			return strconv.FormatFloat(value, 'f', 1, 64) + " " + unit
		}
	}
	return ""
}

func duration(d time.Duration) string {
	if d < time.Minute {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return d.Round(time.Second).String()
}
