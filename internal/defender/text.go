package defender

import (
	"bytes"
	"strconv"
)

// Text is a value that the source may leave out. Strings are as given; numbers
// in their shortest decimal form without exponent ("7.5", "0"); booleans "true"
// or "false"; dates RFC 3339 in UTC. Valid is false for null and for missing.
type Text struct {
	Value string
	Valid bool
}

// Member is one property that a row type does not know: its name as it came,
// with the path where it is nested ("vmMetadata.zone"), and its JSON.
type Member struct {
	Name  string
	Value []byte
}

// Rejection tells why a row could not be decoded. Machine is "" where not even
// the machine could be told.
type Rejection struct {
	Machine string
	Reason  string
}

// Row is one row of a read. Value, with all its slices, and Unknown are valid
// until the next row; texts may be kept. Value is nil when Rejected is set.
type Row[T any] struct {
	Value    *T
	Rejected *Rejection
	Unknown  []Member
}

// isNumber reports whether b is a number as JSON writes it (RFC 8259, section 6).
func isNumber(b []byte) bool {
	b = bytes.TrimPrefix(b, []byte("-"))
	whole := digits(b)
	if whole == 0 || whole > 1 && b[0] == '0' {
		return false
	}
	b = b[whole:]
	if len(b) > 0 && b[0] == '.' {
		n := digits(b[1:])
		if n == 0 {
			return false
		}
		b = b[1+n:]
	}
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		b = b[1:]
		if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		n := digits(b)
		if n == 0 {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

// digits counts the digits that b begins with.
func digits(b []byte) int {
	for i, c := range b {
		if c < '0' || c > '9' {
			return i
		}
	}
	return len(b)
}

// decimal returns the shortest decimal form of a JSON number, without exponent.
// It may use scratch for it. Integers keep all their digits. ok is false where
// the number is beyond a float64.
func decimal(number, scratch []byte) (shortest []byte, ok bool) {
	plain := !bytes.ContainsAny(number, "eE")
	switch {
	case plain && !bytes.Contains(number, []byte(".")):
		shortest = number
	case plain && len(number) <= 16:
		// Up to 15 digits survive the way to a float64 and back: cutting zeros is enough.
		shortest = bytes.TrimRight(number, "0")
		shortest = bytes.TrimSuffix(shortest, []byte("."))
	default:
		f, err := strconv.ParseFloat(string(number), 64)
		if err != nil {
			return nil, false
		}
		shortest = strconv.AppendFloat(scratch[:0], f, 'f', -1, 64)
	}
	if string(shortest) == "-0" {
		shortest = shortest[1:]
	}
	return shortest, true
}
