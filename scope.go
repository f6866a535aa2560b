package muster

import (
	"slices"
	"strings"
	"time"
)

// Reason says why a machine is out of a connector's scope; "" = in scope.
type Reason string

const (
	InScope          Reason = ""
	OutStale         Reason = "stale"
	OutTag           Reason = "tag"
	OutNotOnboarded  Reason = "not_onboarded"
	OutNoDate        Reason = "no_date"
	OutMerged        Reason = "merged"
	OutSuperseded    Reason = "superseded"
	OutMissing       Reason = "missing"
	OutConnectorGone Reason = "connector_deleted"
)

// Candidate is what the scope rules look at, as the source gave it.
type Candidate struct {
	FirstSeen, LastSeen time.Time // zero = not given
	Tags                []string
	OnboardingStatus    string
	Merged              bool // merged into another machine that is known
	Superseded          bool // re-imaged under a new id
}

// Decide says whether f lets c in at the source's time T. The order of the reasons is
// from what no filter can change to what is easiest to change.
func (f Filter) Decide(c Candidate, T time.Time) Reason {
	switch {
	case c.Merged:
		return OutMerged
	case c.Superseded:
		return OutSuperseded
	case f.OnboardedOnly && !strings.EqualFold(c.OnboardingStatus, "Onboarded"):
		return OutNotOnboarded
	}
	if f.StaleDays > 0 {
		if c.FirstSeen.IsZero() && c.LastSeen.IsZero() {
			return OutNoDate
		}
		since := T.Add(-f.Window())
		// A zero time is before every window, so an absent date alone never lets a machine in.
		if c.LastSeen.Before(since) && c.FirstSeen.Before(since) {
			return OutStale
		}
	}
	if !f.matchesTags(c.Tags) {
		return OutTag
	}
	return InScope
}

func (f Filter) matchesTags(have []string) bool {
	if len(f.Tags) == 0 {
		return true
	}
	has := func(want string) bool {
		return slices.ContainsFunc(have, func(tag string) bool { return strings.EqualFold(strings.TrimSpace(tag), want) })
	}
	if f.AllTags {
		return !slices.ContainsFunc(f.Tags, func(want string) bool { return !has(want) })
	}
	return slices.ContainsFunc(f.Tags, has)
}
