package defender

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// entityPage is the most rows that the entity lists give at once; vulnerabilities give 8,000.
const entityPage = 10000

// errStopped ends a read whose consumer wants no more rows.
var errStopped = errors.New("the consumer stopped")

// lister reads the pages of one list.
type lister[T any] struct {
	ctx     context.Context
	client  *Client
	group   Group
	decoder *decoder[T]
	yield   func(Row[T]) error
	last    *url.URL // the page read last
}

// read makes an iterator of the pages that walk asks for.
func read[T any](ctx context.Context, c *Client, group Group, s *shape[T], walk func(*lister[T]) error) iter.Seq2[Row[T], error] {
	return func(yield func(Row[T], error) bool) {
		d := s.take()
		defer s.give(d)
		l := &lister[T]{ctx: ctx, client: c, group: group, decoder: d, yield: rowsOf(yield)}
		if err := walk(l); err != nil && !errors.Is(err, errStopped) {
			yield(Row[T]{}, err)
		}
	}
}

func rowsOf[T any](yield func(Row[T], error) bool) func(Row[T]) error {
	return func(row Row[T]) error {
		if !yield(row, nil) {
			return errStopped
		}
		return nil
	}
}

// page reads one page. Where its connection is cut it is asked for again, and
// its rows come again from the first.
func (l *lister[T]) page(u *url.URL) (p page, err error) {
	l.last = u
	err = repeat(l.ctx, func() error {
		s, err := l.client.get(l.ctx, l.group, u)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		p, err = l.decoder.page(jsontext.NewDecoder(s, lenient...), l.yield)
		return s.failure(l.ctx, err)
	})
	return p, err
}

// failure tells what an error while decoding a stream is: the consumer's stop,
// the context's end, a cut connection, or an answer that is not what it should be.
func (s *stream) failure(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, errStopped):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case s.wire != nil && s.wire.failed != nil:
		return &cutError{&Error{Kind: Unreachable, Call: s.call, Message: "the connection was cut: " + s.wire.failed.Error(), Err: s.wire.failed}}
	}
	return &Error{Kind: BadAnswer, Call: s.call, Message: "the answer is not the JSON expected: " + plainError(err), Err: err}
}

// follow reads the pages after p by next links, until one has none.
func (l *lister[T]) follow(p page) error {
	seen := map[string]bool{l.last.String(): true}
	skipped := -1
	for p.next != "" {
		u, err := l.client.next(l.last, p.next)
		if err != nil {
			return err
		}
		if seen[u.String()] {
			return l.circle("the next link is one that was followed already")
		}
		seen[u.String()] = true
		if skip, ok := skipOf(u); ok {
			if skip <= skipped {
				return l.circle(fmt.Sprintf("the next link skips %d rows after one that skipped %d", skip, skipped))
			}
			skipped = skip
		}
		if p, err = l.page(u); err != nil {
			return err
		}
	}
	return nil
}

// skip reads a list by $top and $skip until an empty page: a page shorter than
// asked for may be one that the service cut to its own size. options begin with "&".
func (l *lister[T]) skip(path, options string, top int) error {
	for skip, previous := 0, ""; ; {
		p, err := l.page(l.client.link(path, fmt.Sprintf("$top=%d&$skip=%d%s", top, skip, options)))
		switch {
		case err != nil:
			return err
		case p.next != "":
			return l.follow(p)
		case p.rows == 0:
			return nil
		case p.first != "" && p.first == previous:
			return l.circle("the page begins like the one before: $skip has no effect")
		}
		skip, previous = skip+p.rows, p.first
	}
}

func (l *lister[T]) circle(why string) error {
	return &Error{Kind: BadAnswer, Call: "GET " + l.last.Host + l.last.EscapedPath(), Message: why}
}

// next is the address of a next link, if the token may go there: https, and the
// configured host or a published API host of the same cloud.
func (c *Client) next(from *url.URL, link string) (*url.URL, error) {
	refuse := func(where, why string) error {
		return &Error{Kind: RefusedLink, Call: "GET " + from.Host + from.EscapedPath(), Message: fmt.Sprintf("the next link goes to %.100q: %s", where, why)}
	}
	u, err := from.Parse(strings.ReplaceAll(link, " ", "%20"))
	switch {
	case err != nil:
		return nil, refuse("", "it is not an address")
	case u.Scheme != "https":
		return nil, refuse(u.Scheme+"://"+u.Host, "it is not https")
	case u.User != nil:
		return nil, refuse(u.Hostname(), "it holds a user name")
	case strings.EqualFold(u.Host, c.settings.api.Host):
		return u, nil
	case u.Port() != "" && u.Port() != "443":
		return nil, refuse(u.Host, "it is not one of the service's hosts")
	}
	for _, suffix := range c.settings.hosts {
		if strings.HasSuffix(strings.ToLower(u.Hostname()), suffix) {
			return u, nil
		}
	}
	return nil, refuse(u.Host, "it is not one of the service's hosts")
}

// skipOf is the value of $skip in an address.
func skipOf(u *url.URL) (int, bool) {
	for name, values := range u.Query() {
		if strings.EqualFold(name, "$skip") {
			n, err := strconv.Atoi(values[0])
			return n, err == nil
		}
	}
	return 0, false
}
