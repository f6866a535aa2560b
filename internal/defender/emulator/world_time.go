package emulator

import "time"

// All times are computed in ticks of 100 ns, the source's own grain. A report of day n is
// made on the day before it, so that no row of day n lies later than its midnight,
// whatever the hour at which it is served.
const (
	tick      = 100 * time.Nanosecond
	perSecond = int64(time.Second / tick)
	perDay    = 86400 * perSecond
)

// ticks of the report for a day: a time of the day before it.
func reportTicks(day int, secondOfDay uint64, fraction int64) int64 {
	return int64(day-1)*perDay + int64(secondOfDay%86400)*perSecond + fraction
}

// fraction is a part of a second with 0 to 7 digits, each number of digits as likely.
func fraction(h uint64) int64 {
	f := int64(h >> 8 % uint64(perSecond))
	for range h % 8 {
		f /= 10
	}
	for range h % 8 {
		f *= 10
	}
	return f
}

func (w *World) time(ticks int64) time.Time {
	return w.o.Epoch.Add(time.Duration(ticks) * tick)
}

// appendFraction writes the digits behind the seconds, cut at trailing zeros.
func appendFraction(b []byte, ticks int64) []byte {
	f := (ticks%perSecond + perSecond) % perSecond
	if f == 0 {
		return b
	}
	var digits [8]byte
	digits[0] = '.'
	for i := 7; i > 0; i-- {
		digits[i] = byte('0' + f%10)
		f /= 10
	}
	n := 8
	for digits[n-1] == '0' {
		n--
	}
	return append(b, digits[:n]...)
}

// zulu is the entities' form: 2026-10-31T11:54:59.5717001Z.
func (w *World) zulu(ticks int64) *string {
	b := w.time(ticks).AppendFormat(make([]byte, 0, 32), "2006-01-02T15:04:05")
	s := string(append(appendFraction(b, ticks), 'Z'))
	return &s
}

// appendPlain is the assessments' form, without a zone: 2026-10-31 11:54:59.5717001.
func (w *World) appendPlain(b []byte, ticks int64) []byte {
	return appendFraction(w.time(ticks).AppendFormat(b, "2006-01-02 15:04:05"), ticks)
}

func (w *World) plain(ticks int64) *string {
	s := string(w.appendPlain(make([]byte, 0, 32), ticks))
	return &s
}
