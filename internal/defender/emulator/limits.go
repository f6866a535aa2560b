package emulator

import (
	"fmt"
	"math"
	"sync"
	"time"
)

// rateLimits count calls per API, tenant and app over the last minute and the last hour
// (mde-api.md §4).
type rateLimits struct {
	factor float64 // negative = no limits
	mu     sync.Mutex
	calls  map[string][]time.Time // per key, oldest first, of the last hour
}

// quota is what one endpoint allows.
type quota struct{ perMinute, perHour int }

// take counts a call at now, or says why it is refused and after how long it would pass.
func (l *rateLimits) take(key string, q quota, now time.Time) (refusal string, wait time.Duration) {
	if l.factor < 0 {
		return "", 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.calls[key]
	for len(calls) > 0 && now.Sub(calls[0]) >= time.Hour {
		calls = calls[1:]
	}
	l.calls[key] = calls
	for _, window := range []struct {
		limit int
		span  time.Duration
		text  string
	}{{q.perHour, time.Hour, "01:00:00"}, {q.perMinute, time.Minute, "00:01:00"}} {
		limit := max(1, int(math.Round(float64(window.limit)*l.factor)))
		if len(calls) < limit {
			continue
		}
		// The call that must leave the window before another fits in.
		if age := now.Sub(calls[len(calls)-limit]); age < window.span {
			wait = max(time.Second, (window.span - age + time.Second - 1).Truncate(time.Second))
			return fmt.Sprintf("API calls quota exceeded! Maximum allowed %d per %s for the key Destination+TenantID+AppID. You can send requests again in %d seconds.",
				limit, window.text, wait/time.Second), wait
		}
	}
	l.calls[key] = append(calls, now)
	return "", 0
}
