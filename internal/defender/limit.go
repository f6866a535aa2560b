package defender

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// Group is a set of endpoints whose pages state the same budget of calls, per
// tenant and app. Its calls share it, but each export has one of its own.
type Group string

// The groups.
const (
	GroupMachine    Group = "machines"    // machines and one machine: 100 a minute, 1,500 an hour
	GroupAssessment Group = "assessments" // "…ByMachine" and deviceavinfo: 30 and 1,000
	GroupExport     Group = "exports"     // each "…Export": 5 and 20
	GroupCatalogue  Group = "catalogue"   // vulnerabilities: not documented; 45 and 1,500
)

// budgets are the calls a minute and an hour of each group.
var budgets = map[Group][2]int{
	GroupMachine:    {100, 1500},
	GroupAssessment: {30, 1000},
	GroupExport:     {5, 20},
	GroupCatalogue:  {45, 1500},
}

// Our minute and hour last a twentieth longer than the service's, so that calls
// that travel at different speeds never make one too many there.
const (
	minuteWindow = 63 * time.Second
	hourWindow   = 63 * time.Minute
)

// limit keeps calls within a budget. A token bucket would not do:
// filled with the whole budget it lets twice as many calls into its first window.
type limit struct {
	mu      sync.Mutex
	windows [2]window
}

// window holds the times of its last calls, the oldest at next.
type window struct {
	span  time.Duration
	calls []time.Time
	next  int
}

func newLimit(perMinute, perHour int) *limit {
	return &limit{windows: [2]window{
		{span: minuteWindow, calls: make([]time.Time, perMinute)},
		{span: hourWindow, calls: make([]time.Time, perHour)},
	}}
}

// reserve books the next free moment from now on and says how long it is to it.
func (l *limit) reserve(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := now
	for i := range l.windows {
		w := &l.windows[i]
		if oldest := w.calls[w.next]; !oldest.IsZero() && oldest.Add(w.span).After(at) {
			at = oldest.Add(w.span)
		}
	}
	for i := range l.windows {
		w := &l.windows[i]
		w.calls[w.next] = at
		w.next = (w.next + 1) % len(w.calls)
	}
	return at.Sub(now)
}

// limit is the one that a call counts against.
func (c *Client) limit(g Group, path string) *limit {
	key := string(g)
	if g == GroupExport {
		key = path
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.limits[key]
	if l == nil {
		l = newLimit(budgets[g][0], budgets[g][1])
		c.limits[key] = l
	}
	return l
}

// sleep waits, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// headerDelay reads Retry-After, seconds or date. A date counts from the answer's
// own Date, because the service's clock may differ from ours; now stands in for
// it where it is missing (nil = the date is not used then).
func headerDelay(header http.Header, now func() time.Time) (time.Duration, bool) {
	value := header.Get("Retry-After")
	if value == "" {
		return 0, false
	}
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second, true
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	from, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		if now == nil {
			return 0, false
		}
		from = now()
	}
	return max(until.Sub(from), 0), true
}

var delaySentence = regexp.MustCompile(`send requests again in (\d+) seconds`)

// sentenceDelay reads "You can send requests again in 8 seconds."; 0 where it is missing.
func sentenceDelay(body []byte) time.Duration {
	m := delaySentence.FindSubmatch(body)
	if m == nil {
		return 0
	}
	seconds, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
