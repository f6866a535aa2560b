package muster_test

import (
	"testing"
	"time"

	"muster"
)

func TestDecide(t *testing.T) {
	now := time.Date(2026, 5, 31, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const days = 24 * time.Hour
	stale := muster.Filter{StaleDays: 30}
	everything := muster.Filter{StaleDays: 30, Tags: []string{"prod"}, OnboardedOnly: true}
	for _, c := range []struct {
		rule      string
		filter    muster.Filter
		candidate muster.Candidate
		want      muster.Reason
	}{
		{"no filter lets everything in", muster.Filter{}, muster.Candidate{}, muster.InScope},
		{"no limit needs no date", muster.Filter{}, muster.Candidate{LastSeen: ago(9000 * days)}, muster.InScope},

		{"checked in within the time", stale, muster.Candidate{FirstSeen: ago(900 * days), LastSeen: ago(days)}, muster.InScope},
		{"at the boundary", stale, muster.Candidate{FirstSeen: ago(900 * days), LastSeen: ago(30 * days)}, muster.InScope},
		{"just beyond it", stale, muster.Candidate{FirstSeen: ago(900 * days), LastSeen: ago(30*days + 1)}, muster.OutStale},
		{"first seen within the time", stale, muster.Candidate{FirstSeen: ago(days), LastSeen: ago(900 * days)}, muster.InScope},
		{"first seen at the boundary", stale, muster.Candidate{FirstSeen: ago(30 * days), LastSeen: ago(900 * days)}, muster.InScope},
		{"both beyond", stale, muster.Candidate{FirstSeen: ago(900 * days), LastSeen: ago(31 * days)}, muster.OutStale},
		{"last seen alone, within", stale, muster.Candidate{LastSeen: ago(days)}, muster.InScope},
		{"last seen alone, beyond", stale, muster.Candidate{LastSeen: ago(31 * days)}, muster.OutStale},
		{"first seen alone, within", stale, muster.Candidate{FirstSeen: ago(days)}, muster.InScope},
		{"first seen alone, beyond", stale, muster.Candidate{FirstSeen: ago(31 * days)}, muster.OutStale},
		{"no date", stale, muster.Candidate{}, muster.OutNoDate},
		{"a clock ahead of the source's", stale, muster.Candidate{LastSeen: now.Add(days)}, muster.InScope},
		{"one day, at the boundary", muster.Filter{StaleDays: 1}, muster.Candidate{LastSeen: ago(days)}, muster.InScope},
		{"the most days, absent dates stay outside", muster.Filter{StaleDays: 3650}, muster.Candidate{LastSeen: ago(3651 * days)}, muster.OutStale},

		{"the tag", muster.Filter{Tags: []string{"prod"}}, muster.Candidate{Tags: []string{"x", "prod"}}, muster.InScope},
		{"in another case", muster.Filter{Tags: []string{"Prod"}}, muster.Candidate{Tags: []string{"pROD"}}, muster.InScope},
		{"with blanks around it at the source", muster.Filter{Tags: []string{"prod"}}, muster.Candidate{Tags: []string{" prod\t"}}, muster.InScope},
		{"beyond ASCII, in another case", muster.Filter{Tags: []string{"büro"}}, muster.Candidate{Tags: []string{"BÜRO"}}, muster.InScope},
		{"a part of the value is not enough", muster.Filter{Tags: []string{"prod"}}, muster.Candidate{Tags: []string{"production", "pro"}}, muster.OutTag},
		{"no tag at all", muster.Filter{Tags: []string{"prod"}}, muster.Candidate{}, muster.OutTag},
		{"any: the second", muster.Filter{Tags: []string{"a", "b"}}, muster.Candidate{Tags: []string{"b"}}, muster.InScope},
		{"any: none", muster.Filter{Tags: []string{"a", "b"}}, muster.Candidate{Tags: []string{"c"}}, muster.OutTag},
		{"all: both", muster.Filter{Tags: []string{"a", "b"}, AllTags: true}, muster.Candidate{Tags: []string{"B", "c", "A"}}, muster.InScope},
		{"all: one", muster.Filter{Tags: []string{"a", "b"}, AllTags: true}, muster.Candidate{Tags: []string{"a"}}, muster.OutTag},
		{"all of no tags", muster.Filter{AllTags: true}, muster.Candidate{}, muster.InScope},

		{"onboarded", muster.Filter{OnboardedOnly: true}, muster.Candidate{OnboardingStatus: "Onboarded"}, muster.InScope},
		{"onboarded, in another case", muster.Filter{OnboardedOnly: true}, muster.Candidate{OnboardingStatus: "onboarded"}, muster.InScope},
		{"not onboarded", muster.Filter{OnboardedOnly: true}, muster.Candidate{OnboardingStatus: "CanBeOnboarded"}, muster.OutNotOnboarded},
		{"of unknown status", muster.Filter{OnboardedOnly: true}, muster.Candidate{}, muster.OutNotOnboarded},

		{"merged, without a filter", muster.Filter{}, muster.Candidate{Merged: true}, muster.OutMerged},
		{"superseded, without a filter", muster.Filter{}, muster.Candidate{Superseded: true}, muster.OutSuperseded},

		{"merged goes before all", everything, muster.Candidate{Merged: true, Superseded: true}, muster.OutMerged},
		{"superseded next", everything, muster.Candidate{Superseded: true}, muster.OutSuperseded},
		{"then the status", everything, muster.Candidate{}, muster.OutNotOnboarded},
		{"then the dates", everything, muster.Candidate{OnboardingStatus: "Onboarded"}, muster.OutNoDate},
		{"or their age", everything, muster.Candidate{OnboardingStatus: "Onboarded", LastSeen: ago(31 * days)}, muster.OutStale},
		{"then the tags", everything, muster.Candidate{OnboardingStatus: "Onboarded", LastSeen: now}, muster.OutTag},
		{"and in", everything, muster.Candidate{OnboardingStatus: "Onboarded", LastSeen: now, Tags: []string{"prod"}}, muster.InScope},
	} {
		if got := c.filter.Decide(c.candidate, now); got != c.want {
			t.Errorf("%s: reason %q, want %q", c.rule, got, c.want)
		}
	}
}
