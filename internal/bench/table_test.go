package bench

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// results are the rounds over one world.
type results struct {
	size
	params
	manifest manifest
	rounds   []round
}

func (r *results) median(name string, of func(figure) float64) float64 {
	return median(each(r.rounds, func(x round) float64 { return of(x.figures[name]) }))
}

// ratio is the median of the rounds' own ratios: what disturbed one round has disturbed
// both of its figures.
func (r *results) ratio(name, to string, of func(figure) float64) float64 {
	return median(each(r.rounds, func(x round) float64 { return of(x.figures[name]) / of(x.figures[to]) }))
}

func (r *results) writtenShare(name, of string) float64 {
	return median(each(r.rounds, func(x round) float64 {
		return 100 * float64(x.figures[name].written) / float64(max(1, x.figures[of].written))
	}))
}

func each[T, U any](all []T, fn func(T) U) []U {
	out := make([]U, len(all))
	for i, v := range all {
		out[i] = fn(v)
	}
	return out
}

const mb = 1 << 20

// timeGoals are ratios to the floor or to the unchanged gathering, memoryGoals megabytes by
// size; writtenGoal is percent of what the first gathering has written.
var (
	timeGoals = map[string]struct {
		to, name string
		most     float64
	}{first: {encode, "floor", 2.8}, again: {encode, "floor", 1.3}, cluster: {again, "again", 1.1}, scatter: {again, "again", 1.5}}
	memoryGoals = map[string]float64{"1m": 150, "10m": 300}
)

const writtenGoal = 20

func (r *results) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s: %s\nMedians of %d rounds, everything in turn within each; ratios are medians of each round's own.\n\n", r.name, header(r.params, r.manifest), len(r.rounds))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\twall s\tmin..max\tCPU s\t× floor\trows/s\t× floor\t× again\tgoal\tpeak MB\tgoal\twritten MB\tgoal")
	for _, name := range measured {
		fmt.Fprintln(t, strings.Join(r.cells(name), "\t"))
	}
	_ = t.Flush()
	fmt.Fprintln(w)
	r.printDatabase(w)
}

func (r *results) cells(name string) []string {
	walls := each(r.rounds, func(x round) time.Duration { return x.figures[name].wall })
	wall := r.median(name, seconds)
	rate := "-"
	if name != skipped {
		rate = fmt.Sprintf("%.0f", float64(r.manifest.Rows)/wall)
	}
	cells := []string{
		name, fmt.Sprintf("%.2f", wall), fmt.Sprintf("%.2f..%.2f", slices.Min(walls).Seconds(), slices.Max(walls).Seconds()),
		fmt.Sprintf("%.2f", r.median(name, processor)), fmt.Sprintf("%.2f", r.ratio(name, encode, processor)),
		rate, fmt.Sprintf("%.2f", r.ratio(name, encode, seconds)), fmt.Sprintf("%.2f", r.ratio(name, again, seconds)),
	}
	goal, memoryGoal, written, writeGoal := "", "", "", ""
	if g, ok := timeGoals[name]; ok {
		goal = verdict(r.ratio(name, g.to, seconds), g.most, fmt.Sprintf("≤ %.1f × %s", g.most, g.name))
	}
	memory := r.median(name, func(f figure) float64 { return float64(f.rss) / mb })
	if name != gunzip && name != encode {
		if most, ok := memoryGoals[r.name]; ok {
			memoryGoal = verdict(memory, most, fmt.Sprintf("≤ %.0f", most))
		}
		written = fmt.Sprintf("%.1f", r.median(name, func(f figure) float64 { return float64(f.written) / mb }))
	}
	if name == again {
		share := r.writtenShare(again, first)
		writeGoal = verdict(share, writtenGoal, fmt.Sprintf("%.0f%% of the first, ≤ %d%%", share, writtenGoal))
	}
	return append(cells, goal, fmt.Sprintf("%.0f", memory), memoryGoal, written, writeGoal)
}

func seconds(f figure) float64 { return f.wall.Seconds() }

// processor is the time of all processors, which other work beside this disturbs less.
func processor(f figure) float64 { return f.cpu.Seconds() }

// verdict says of a goal whether it was met.
func verdict(have, most float64, goal string) string {
	if have <= most {
		return goal + ": met"
	}
	return goal + ": missed"
}

func (r *results) printDatabase(w io.Writer) {
	last := r.rounds[len(r.rounds)-1]
	rows := float64(r.manifest.Rows)
	fmt.Fprintf(w, "Database after the unchanged gatherings: %.1f MB, %.0f bytes a finding. ", float64(last.database)/mb, float64(last.database)/rows)
	finding := float64(last.tables["finding"]) / rows
	fmt.Fprintf(w, "The table of findings alone: %.0f bytes a finding (%s). The largest tables and indexes:\n", finding, verdict(finding, 60, "≤ 60 with the way back"))
	names := slices.SortedFunc(maps.Keys(last.tables), func(a, b string) int { return cmp.Compare(last.tables[b], last.tables[a]) })
	for _, name := range names[:min(8, len(names))] {
		fmt.Fprintf(w, "  %-32s %7.1f MB\n", name, float64(last.tables[name])/mb)
	}
	fmt.Fprintln(w)
}

// printRelation sets ten times as many findings in relation.
func (r *results) printRelation(w io.Writer, to *results) {
	for name, most := range map[string]float64{first: 11, again: 10.5} {
		relation := r.median(name, seconds) / to.median(name, seconds)
		fmt.Fprintf(w, "%s at %s: %.1f times that at %s (%s)\n", name, r.name, relation, to.name, verdict(relation, most, fmt.Sprintf("≤ %.1f", most)))
	}
}
