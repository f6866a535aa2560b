package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// transform turns the cells that an attribute reads into one JSON value. Appending
// nothing means that there is no value; an error is one sentence for the reader.
type transform struct {
	gives  string // the target's type
	says   string // for the table
	values []string
	append func(buf []byte, in *source) ([]byte, error)
}

// perText is a transformation of a single text; the source's null stays absent.
func perText(gives, says string, fn func(buf []byte, name, text string) ([]byte, error)) transform {
	return transform{gives: gives, says: says, append: func(buf []byte, in *source) ([]byte, error) {
		text, ok := in.text(0)
		if !ok {
			return buf, nil
		}
		return fn(buf, in.names[0], text)
	}}
}

// derived is a text made of another; an empty result is no value.
func derived(says string, fn func(string) string) transform {
	return perText("text", says, func(buf []byte, _, text string) ([]byte, error) {
		if text = fn(text); text == "" {
			return buf, nil
		}
		return AppendString(buf, text), nil
	})
}

var (
	asGiven = perText("text", "As given", func(buf []byte, _, text string) ([]byte, error) { return AppendString(buf, text), nil })

	lower           = derived("Lower case", strings.ToLower)
	firstLabelUpper = derived("First label, upper case", func(name string) string { return strings.ToUpper(firstLabel(name)) })
	firstLabelLower = derived("First label, lower case", func(name string) string { return strings.ToLower(firstLabel(name)) })
	qualifiedName   = derived("Lower case; only when it has a dot", func(name string) string {
		if !strings.Contains(name, ".") {
			return ""
		}
		return strings.ToLower(name)
	})
	platformName = derived("Normalised: Windows11 becomes Windows 11", platform)

	integer = perText("integer", "Whole number", appendInteger)
	number  = perText("number", "Number", appendNumber)
	boolean = perText("boolean", "True or false", appendBoolean)
	moment  = perText("time", "UTC, cut to microseconds; the year 1 means unknown", appendTime)
	// dated is for texts that the source does not promise to be times.
	dated = perText("time", "UTC, cut to microseconds; what is no date is kept as given", func(buf []byte, name, text string) ([]byte, error) {
		if text == "" {
			return buf, nil
		}
		if buf, err := appendTime(buf, name, text); err == nil {
			return buf, nil
		}
		return AppendString(buf, text), nil
	})

	set      = transform{gives: "set of text", says: "Sorted, doubles removed", append: appendSet}
	leftover = transform{gives: "object", says: "Properties that the table does not know, as given", append: appendObject}

	// Written by ingest from the row itself.
	rowTime = transform{gives: "time", says: "UTC, cut to microseconds"}
	rowText = transform{gives: "text", says: "As given"}
	paths   = transform{gives: "set of text", says: "Sorted, doubles removed"}
)

// enum gives known values in their documented spelling (case varies at the source) and
// keeps unknown ones.
func enum(values ...string) transform {
	t := perText("text", "Documented spelling, without regard to the source's case; unknown values as given", func(buf []byte, _, text string) ([]byte, error) {
		for _, known := range values {
			if strings.EqualFold(known, text) {
				return AppendString(buf, known), nil
			}
		}
		return AppendString(buf, text), nil
	})
	t.values = values
	return t
}

// stated is a text of the row with known values.
func stated(says string, values ...string) transform {
	return transform{gives: "text", says: says, values: values}
}

func firstLabel(name string) string {
	label, _, _ := strings.Cut(strings.TrimSpace(name), ".")
	return label
}

// platforms are names that the rule for Windows does not cover.
var platforms = map[string]string{
	"redhatenterpriselinux":     "Red Hat Enterprise Linux",
	"suselinuxenterpriseserver": "SUSE Linux Enterprise Server",
	"oraclelinux":               "Oracle Linux",
	"oracleenterpriselinux":     "Oracle Enterprise Linux",
	"amazonlinux":               "Amazon Linux",
	"rockylinux":                "Rocky Linux",
	"linuxmint":                 "Linux Mint",
}

// platform spells the source's platform name: Windows names are parted at capitals and
// numbers, some others by a list, the rest stays as it is.
func platform(name string) string {
	if known, ok := platforms[strings.ToLower(name)]; ok {
		return known
	}
	if !strings.HasPrefix(name, "Windows") {
		return name
	}
	var b strings.Builder
	var last rune
	for _, r := range name {
		if parts(last, r) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		last = r
	}
	return b.String()
}

func parts(last, r rune) bool {
	small := func(r rune) bool { return r >= 'a' && r <= 'z' }
	large := func(r rune) bool { return r >= 'A' && r <= 'Z' }
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	switch {
	case small(last):
		return large(r) || digit(r)
	case digit(last):
		return large(r) // Windows Server 2012 R2
	}
	return false
}

func wrong(name, text, want string) error {
	if runes := []rune(text); len(runes) > 40 {
		text = string(runes[:40]) + "…"
	}
	return fmt.Errorf("%s is %q, which is not %s", name, text, want)
}

func appendInteger(buf []byte, name, text string) ([]byte, error) {
	if text == "" {
		return buf, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return strconv.AppendInt(buf, n, 10), nil
	}
	f, err := strconv.ParseFloat(text, 64) // 5.0, 1e+05
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return buf, wrong(name, text, "a whole number")
	}
	return strconv.AppendInt(buf, int64(f), 10), nil
}

func appendNumber(buf []byte, name, text string) ([]byte, error) {
	if text == "" {
		return buf, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return buf, wrong(name, text, "a number")
	}
	return strconv.AppendFloat(buf, f+0, 'f', -1, 64), nil
}

func appendBoolean(buf []byte, name, text string) ([]byte, error) {
	switch {
	case text == "":
		return buf, nil
	case strings.EqualFold(text, "true"):
		return append(buf, "true"...), nil
	case strings.EqualFold(text, "false"):
		return append(buf, "false"...), nil
	}
	return buf, wrong(name, text, "true or false")
}

// layouts of times as batches and texts within texts have them; no zone means UTC.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02"}

// TimeLayout is how times are written: RFC 3339 in UTC, no trailing zeros.
const TimeLayout = "2006-01-02T15:04:05.999999Z"

func appendTime(buf []byte, name, text string) ([]byte, error) {
	if text == "" {
		return buf, nil
	}
	for _, layout := range layouts {
		at, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if at = at.UTC(); at.Year() <= 1 {
			return buf, nil
		}
		buf = append(buf, '"')
		buf = at.Truncate(time.Microsecond).AppendFormat(buf, TimeLayout)
		return append(buf, '"'), nil
	}
	return buf, wrong(name, text, "a time")
}

func appendSet(buf []byte, in *source) ([]byte, error) {
	list, ok := in.list(0)
	if !ok {
		return buf, nil
	}
	var texts []string
	for _, cell := range list {
		if text, ok := in.batch.Text(cell); ok {
			texts = append(texts, text)
		}
	}
	slices.Sort(texts)
	buf = append(buf, '[')
	for i, text := range slices.Compact(texts) {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = AppendString(buf, text)
	}
	return append(buf, ']'), nil
}

// appendObject writes a JSON object with sorted keys, or nothing for an empty one.
func appendObject(buf []byte, in *source) ([]byte, error) {
	object, err := in.object(0)
	if err != nil {
		return buf, err
	}
	return appendMembers(buf, object)
}

// object reads the cell of properties that the reader does not know.
func (s *source) object(i int) (object map[string]any, err error) {
	text, ok := s.text(i)
	if !ok {
		return nil, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		return nil, wrong("what is unknown of the row", text, "a JSON object")
	}
	return object, nil
}

func appendMembers(buf []byte, object map[string]any) ([]byte, error) {
	if len(object) == 0 {
		return buf, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(object); err != nil {
		return buf, err
	}
	return append(buf, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...), nil
}
