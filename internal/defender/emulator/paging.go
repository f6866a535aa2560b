package emulator

import (
	"io"
	"iter"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// queryable is what a query may name of an entity type.
type queryable struct {
	typeName   string // in messages and contexts
	plan       *plan
	properties map[string]propertyType // $filter and $orderby, by spelled name
	sortOnly   []string                // texts for $orderby alone
	unselect   []string                // $select refuses them although they exist
}

func (q queryable) filterable(name string) (property, error) { return q.find(name, "$filter", nil) }

func (q queryable) find(name, option string, more []string) (property, error) {
	c, exists := q.plan.column(name)
	if !exists {
		return property{}, invalidQuery("Could not find a property named '%s' on type 'microsoft.windowsDefenderATP.api.%s'.", name, q.typeName)
	}
	compared, allowed := q.properties[c.name]
	if !allowed && !slices.Contains(more, c.name) {
		return property{}, invalidQuery("The property '%s' cannot be used in the %s query option.", c.name, option)
	}
	return property{c, compared}, nil
}

// entitySet is an entity list: paging system A of mde-api.md §3.
type entitySet struct {
	queryable
	set      string // the context's name
	maxTop   int
	nextLink bool // a full page without $top ends with a next link
}

// pageQuery is a list request after its options were checked.
type pageQuery struct {
	filter    predicate // nil = all
	order     []sortKey
	skip      int
	limit     int
	onward    bool // give a next link if rows are left
	count     bool
	plan      *plan
	selection string // "(a,b)" for the context
}

type sortKey struct {
	property
	descending bool
}

func (s *Server) pageQuery(c *apiCall, e *entitySet) (pageQuery, error) {
	q := pageQuery{plan: e.plan}
	var err error
	if filter := c.options["$filter"]; filter != "" {
		if q.filter, err = parseFilter(e.queryable, filter); err != nil {
			return q, err
		}
	}
	if q.order, err = parseOrder(e.queryable, c.options["$orderby"]); err != nil {
		return q, err
	}
	if err = q.selectColumns(e.queryable, c.options["$select"]); err != nil {
		return q, err
	}
	if q.skip, err = c.number("$skip", 0, 0); err != nil {
		return q, err
	}
	if q.count, err = c.flag("$count"); err != nil {
		return q, err
	}
	return q, s.pageLimit(c, e, &q)
}

func (s *Server) pageLimit(c *apiCall, e *entitySet, q *pageQuery) (err error) {
	if _, given := c.options["$top"]; !given {
		q.limit, q.onward = e.maxTop, e.nextLink
		if s.options.PageLimit > 0 && e.nextLink {
			q.limit = min(q.limit, s.options.PageLimit)
		}
		return nil
	}
	q.limit, err = s.bounded(c, "$top", 0, e.maxTop)
	return err
}

// bounded reads a row count with a maximum. What the service does above it is not known:
// 400 here, or the maximum when the server is told to clamp.
func (s *Server) bounded(c *apiCall, name string, least, most int) (int, error) {
	n, err := c.number(name, least, most)
	if err == nil && n > most {
		if s.options.ClampTop {
			return most, nil
		}
		err = invalidQuery("The limit of '%d' for %s query has been exceeded. The value from the incoming request is '%d'.", most, strings.TrimPrefix(name, "$"), n)
	}
	return n, err
}

// flag reads a true or false option; absent is false.
func (c *apiCall) flag(name string) (bool, error) {
	switch text := c.options[strings.ToLower(name)]; strings.ToLower(text) {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	default:
		return false, invalidQuery("Invalid value '%s' for %s query option found: true or false is needed.", text, name)
	}
}

func parseOrder(q queryable, order string) ([]sortKey, error) {
	var keys []sortKey
	for part := range strings.SplitSeq(order, ",") {
		words := strings.Fields(part)
		if len(words) == 0 && order == "" {
			return nil, nil
		}
		if len(words) == 0 || len(words) > 2 {
			return nil, invalidQuery("Syntax error in $orderby.")
		}
		found, err := q.find(words[0], "$orderby", q.sortOnly)
		if err != nil {
			return nil, err
		}
		descending := len(words) == 2 && strings.EqualFold(words[1], "desc")
		if len(words) == 2 && !descending && !strings.EqualFold(words[1], "asc") || found.compared == typeTexts {
			return nil, invalidQuery("Syntax error in $orderby at '%s'.", strings.TrimSpace(part))
		}
		keys = append(keys, sortKey{found, descending})
	}
	return keys, nil
}

func (p *pageQuery) selectColumns(q queryable, selection string) error {
	if selection == "" {
		return nil
	}
	chosen, names := &plan{}, []string{}
	for name := range strings.SplitSeq(selection, ",") {
		name = strings.TrimSpace(name)
		c, exists := q.plan.column(name)
		if !exists || slices.Contains(q.unselect, c.name) {
			return invalidQuery("Could not find a property named '%s' on type 'microsoft.windowsDefenderATP.api.%s'.", name, q.typeName)
		}
		chosen.columns, names = append(chosen.columns, c), append(names, c.name)
	}
	p.plan, p.selection = chosen, "("+strings.Join(names, ",")+")"
	return nil
}

// list answers an entity list. Rows are tested, skipped and written while they pass by.
func (s *Server) list(c *apiCall, e *entitySet, rows iter.Seq[reflect.Value]) error {
	q, err := s.pageQuery(c, e)
	if err != nil {
		return err
	}
	if q.filter != nil {
		rows = filtered(rows, q.filter)
	}
	total := 0
	if q.count {
		for range rows {
			total++
		}
	}
	lines := encoded(rows, q.plan)
	if len(q.order) > 0 {
		lines = ordered(rows, q)
	}
	c.begin()
	out := newRowWriter(c.w)
	out.text(`{"@odata.context":`).quote(c.context(e.set + q.selection))
	if q.count {
		out.text(`,"@odata.count":`).text(strconv.Itoa(total))
	}
	out.text(`,"value":[`)
	if written, more := out.page(lines, q.skip, q.limit); more && q.onward {
		out.text(`],"@odata.nextLink":`).quote(c.nextSkip(q.skip + written)).text("}")
	} else {
		out.text("]}")
	}
	out.flush()
	return nil
}

func filtered(rows iter.Seq[reflect.Value], test predicate) iter.Seq[reflect.Value] {
	return func(yield func(reflect.Value) bool) {
		for row := range rows {
			if test(row, "") && !yield(row) {
				return
			}
		}
	}
}

// appender writes one row; skipped rows are never asked to.
type appender func(buf []byte) []byte

func encoded(rows iter.Seq[reflect.Value], p *plan) iter.Seq[appender] {
	return func(yield func(appender) bool) {
		var row reflect.Value
		write := func(buf []byte) []byte { return p.append(buf, row) }
		for row = range rows {
			if !yield(write) {
				return
			}
		}
	}
}

// ordered gives the rows in $orderby's order. One pass reads the keys alone; only rows of
// the page are kept, as JSON, in a second pass.
func ordered(rows iter.Seq[reflect.Value], q pageQuery) iter.Seq[appender] {
	type place struct {
		keys []operand
		at   int
	}
	compare := func(a, b place) int {
		for i, key := range q.order {
			if order := key.compare(a.keys[i], b.keys[i]); order != 0 {
				return order
			}
		}
		return a.at - b.at
	}
	var places []place
	for row := range rows {
		keys := make([]operand, len(q.order))
		for i, key := range q.order {
			keys[i] = key.of(row)
			keys[i].text = strings.Clone(keys[i].text) // the row is gone with the next
		}
		places = append(places, place{keys, len(places)})
	}
	if slices.IsSortedFunc(places, compare) {
		return encoded(rows, q.plan)
	}
	slices.SortFunc(places, compare)
	return func(yield func(appender) bool) {
		kept := map[int][]byte{}
		end := min(q.skip+q.limit, len(places))
		for _, p := range places[min(q.skip, end):end] {
			kept[p.at] = nil
		}
		at := 0
		for row := range rows {
			if _, wanted := kept[at]; wanted {
				kept[at] = q.plan.append(nil, row)
			}
			at++
		}
		for _, p := range places {
			if !yield(func(buf []byte) []byte { return append(buf, kept[p.at]...) }) {
				return
			}
		}
	}
}

// compare orders nulls first, as the standard wants it of an ascending order.
func (k sortKey) compare(a, b operand) int {
	order := 0
	switch {
	case a.null && b.null:
	case a.null:
		order = -1
	case b.null:
		order = 1
	default:
		order = a.compare(b, k.compared)
	}
	if k.descending {
		return -order
	}
	return order
}

// nextSkip is the next link of system A: all options as they came, unknown ones too, and the new $skip.
func (c *apiCall) nextSkip(skip int) string {
	parts := slices.DeleteFunc(strings.Split(c.r.URL.RawQuery, "&"), func(part string) bool {
		name, _, _ := strings.Cut(part, "=")
		name, _ = url.QueryUnescape(name)
		return name == "" || strings.EqualFold(name, "$skip")
	})
	parts = append(parts, "$skip="+strconv.Itoa(skip))
	return c.origin() + c.r.URL.EscapedPath() + "?" + strings.Join(parts, "&")
}

// rowWriter gathers small writes. After an error it writes no more: the client is gone.
type rowWriter struct {
	w   io.Writer
	buf []byte
	err error
}

func newRowWriter(w io.Writer) *rowWriter { return &rowWriter{w: w, buf: make([]byte, 0, 64<<10)} }

func (o *rowWriter) text(s string) *rowWriter  { o.buf = append(o.buf, s...); return o }
func (o *rowWriter) quote(s string) *rowWriter { o.buf = appendString(o.buf, s); return o }

// spill writes out once enough is gathered; false when the client is gone.
func (o *rowWriter) spill() bool {
	if len(o.buf) > 48<<10 {
		o.flush()
	}
	return o.err == nil
}

func (o *rowWriter) flush() {
	if o.err == nil {
		_, o.err = o.w.Write(o.buf)
	}
	o.buf = o.buf[:0]
}

// page writes up to limit rows after skip of them, parted by commas, and tells whether more are left.
func (o *rowWriter) page(rows iter.Seq[appender], skip, limit int) (written int, more bool) {
	for write := range rows {
		if skip > 0 {
			skip--
			continue
		}
		if written == limit {
			return written, true
		}
		if written > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = write(o.buf)
		written++
		if !o.spill() {
			return written, false
		}
	}
	return written, false
}
