package muster

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite generated files")

const runStatesPage = "docs/run-states.md"

// states lists every run state in the order of a run's life.
var states = []RunState{Queued, Dispatched, Running, Merging, Succeeded, SucceededWithWarnings, Failed, Cancelled, Missed, Skipped, Abandoned}

// diagram draws the moves table.
func diagram() string {
	var b strings.Builder
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> queued\n")
	for _, from := range states {
		for _, to := range moves[from] {
			fmt.Fprintf(&b, "    %s --> %s\n", from, to)
		}
	}
	for _, s := range states {
		if s.Final() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// TestGeneratedRunStates keeps the page's diagram and its list of states true to the table.
func TestGeneratedRunStates(t *testing.T) {
	const begin, end = "<!-- begin generated -->\n", "<!-- end generated -->\n"
	data, err := os.ReadFile(runStatesPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	drawn, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s lacks its marks %q and %q", runStatesPage, begin, end)
	}
	for _, s := range states {
		if !strings.Contains(after, "| `"+string(s)+"` |") {
			t.Errorf("%s does not explain %q", runStatesPage, s)
		}
	}
	want := diagram()
	if drawn == want {
		return
	}
	if !*update {
		t.Fatalf("the diagram in %s is not that of the moves table; go test . -run RunStates -update\ngot:\n%swant:\n%s", runStatesPage, drawn, want)
	}
	if err := os.WriteFile(runStatesPage, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestMoves looks at every pair of states: what the table says is what May and Before
// say, final states lead nowhere, and every state can be reached from queued.
func TestMoves(t *testing.T) {
	for from, next := range moves {
		for _, s := range append([]RunState{from}, next...) {
			if !slices.Contains(states, s) {
				t.Errorf("the table names %q, which is no state", s)
			}
		}
	}
	reached := map[RunState]bool{Queued: true}
	for range states {
		for from := range reached {
			for _, to := range moves[from] {
				reached[to] = true
			}
		}
	}
	for _, to := range states {
		if !reached[to] {
			t.Errorf("%s cannot be reached from %s", to, Queued)
		}
		before := to.Before()
		for _, from := range states {
			want := slices.Contains(moves[from], to)
			if from.May(to) != want {
				t.Errorf("%s may go to %s: %v, want %v", from, to, !want, want)
			}
			if slices.Contains(before, from) != want {
				t.Errorf("Before(%s) holds %s: %v, want %v", to, from, !want, want)
			}
			if from.Final() && from.May(to) {
				t.Errorf("%s is final and may go to %s", from, to)
			}
		}
	}
}
