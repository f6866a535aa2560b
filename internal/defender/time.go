package defender

import "time"

// parseTime reads every form of time that the API uses:
//
//	2024-11-05T11:54:59.5717001Z   RFC 3339, 0 to 9 fraction digits, any offset
//	2020-11-03 10:13:34.8476880    a blank instead of the T, no zone: UTC
//	2020-12-30                     a date: its first moment in UTC
//
// The year 1 stands for "unknown" and gives the zero time.
func parseTime(b []byte) (t time.Time, ok bool) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return time.Time{}, false
	}
	year, ok1 := number(b[0:4])
	month, ok2 := number(b[5:7])
	day, ok3 := number(b[8:10])
	if !ok1 || !ok2 || !ok3 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return time.Time{}, false
	}
	var clock, nanos, offset int
	if b = b[10:]; len(b) > 0 {
		if clock, nanos, offset, ok = parseClock(b); !ok {
			return time.Time{}, false
		}
	}
	if year <= 1 {
		return time.Time{}, true
	}
	return time.Date(year, time.Month(month), day, 0, 0, clock-offset, nanos, time.UTC), true
}

// parseClock reads "T15:04:05[.fffffffff][Z|±hh:mm]": seconds of the day,
// nanoseconds, and the offset in seconds.
func parseClock(b []byte) (clock, nanos, offset int, ok bool) {
	if len(b) < 9 || (b[0] != 'T' && b[0] != 't' && b[0] != ' ') || b[3] != ':' || b[6] != ':' {
		return 0, 0, 0, false
	}
	hour, ok1 := number(b[1:3])
	minute, ok2 := number(b[4:6])
	second, ok3 := number(b[7:9])
	if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 59 {
		return 0, 0, 0, false
	}
	b = b[9:]
	if len(b) > 0 && b[0] == '.' {
		n := digits(b[1:])
		if n > 9 {
			return 0, 0, 0, false
		}
		for i := range 9 {
			nanos *= 10
			if i < n {
				nanos += int(b[1+i] - '0')
			}
		}
		b = b[1+n:]
	}
	offset, ok = parseOffset(b)
	return hour*3600 + minute*60 + second, nanos, offset, ok
}

// parseOffset reads "", "Z", "+hh:mm" or "+hhmm" as seconds east of UTC.
func parseOffset(b []byte) (seconds int, ok bool) {
	switch {
	case len(b) == 0, len(b) == 1 && (b[0] == 'Z' || b[0] == 'z'):
		return 0, true
	case b[0] != '+' && b[0] != '-':
		return 0, false
	}
	sign := 1
	if b[0] == '-' {
		sign = -1
	}
	if b = b[1:]; len(b) == 5 && b[2] == ':' {
		b = append(b[:2:2], b[3:]...)
	}
	if len(b) != 4 {
		return 0, false
	}
	hours, ok1 := number(b[:2])
	minutes, ok2 := number(b[2:])
	if !ok1 || !ok2 || hours > 23 || minutes > 59 {
		return 0, false
	}
	return sign * (hours*3600 + minutes*60), true
}

// number reads decimal digits and nothing else.
func number(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
