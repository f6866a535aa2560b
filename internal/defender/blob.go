package defender

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

const (
	emptyTries = 4 // how often a file of zero bytes is asked for
	maxCuts    = 5 // cuts in a row, without a byte in between
)

// blob reads a file from the storage, never with the token. Where the connection
// is cut it goes on from there: an export's file never changes.
type blob struct {
	ctx    context.Context
	client *Client
	file   File
	body   io.ReadCloser
	offset int64  // bytes read so far
	tag    string // the ETag of the first answer
	cuts   int
	broken error // why it cannot be read on
}

// open asks for the file. One of zero bytes is asked for again a few times: the
// service was seen to make them, for a while (elastic/integrations #15749).
func (b *blob) open() (*bufio.Reader, error) {
	for try := 0; ; try++ {
		if err := b.request(); err != nil {
			return nil, err
		}
		in := bufio.NewReaderSize(b, fileBuffer)
		_, err := in.Peek(1)
		switch {
		case err == nil:
			return in, nil
		case err != io.EOF:
			return nil, err
		case try == emptyTries-1:
			return nil, ErrEmptyFile
		}
		b.close()
		if err := sleep(b.ctx, retryDelay<<try); err != nil {
			return nil, err
		}
	}
}

// Read is io.Reader. io.EOF means that the storage sent all it promised.
func (b *blob) Read(p []byte) (int, error) {
	for b.broken == nil {
		n, err := b.body.Read(p)
		b.offset += int64(n)
		if n > 0 {
			b.cuts = 0
			return n, nil // an error comes again at the next Read
		}
		switch {
		case err == io.EOF:
			return 0, io.EOF
		case err == nil:
		case b.ctx.Err() != nil:
			b.broken = b.ctx.Err()
		default:
			b.broken = b.resume(err)
		}
	}
	return 0, b.broken
}

// resume asks for the rest of a file whose connection was cut.
func (b *blob) resume(cut error) error {
	b.close()
	b.cuts++
	if b.cuts > maxCuts {
		return &Error{Kind: Unreachable, Call: b.call(), Message: "the connection was cut: " + b.client.sender.hide.text(cut.Error()), Err: cut}
	}
	if err := sleep(b.ctx, retryDelay<<(b.cuts-1)); err != nil {
		return err
	}
	return b.request()
}

// request asks for the file from offset on.
func (b *blob) request() error {
	req, err := runtime.NewRequest(withRetries(b.ctx), http.MethodGet, string(b.file.URL))
	if err != nil {
		return &Error{Kind: BadRequest, Message: "the link of the file " + b.file.Name + " cannot be called"}
	}
	runtime.SkipBodyDownload(req)
	if b.offset > 0 {
		req.Raw().Header.Set("Range", fmt.Sprintf("bytes=%d-", b.offset))
	}
	resp, err := b.client.files.Do(req)
	if err != nil {
		return b.client.failed(b.ctx, b.call(), err)
	}
	tag := resp.Header.Get("ETag")
	whole := resp.StatusCode == http.StatusOK
	rest := resp.StatusCode == http.StatusPartialContent && b.offset > 0 &&
		strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", b.offset))
	if !whole && !rest {
		return b.refusal(readAnswer(resp))
	}
	if b.offset > 0 && tag != b.tag {
		_ = resp.Body.Close()
		return &Error{Kind: BadAnswer, Call: b.call(), Message: "the file changed while it was read"}
	}
	b.body, b.tag = resp.Body, tag
	if whole && b.offset > 0 {
		if _, err := io.CopyN(io.Discard, b.body, b.offset); err != nil {
			return b.resume(err)
		}
	}
	return nil
}

// refusal tells what an answer without the file means. The storage's own are
// XML; a failed authentication among them is a link whose time is over.
func (b *blob) refusal(a answer) error {
	if e := a.foreign(); e != nil {
		return e
	}
	said := b.client.sender.hide.text(string(xmlElement(a.body, "Code")))
	switch {
	case a.status == http.StatusForbidden && said == "AuthenticationFailed":
		return ErrExpiredLink
	case a.status == http.StatusForbidden:
		return a.error(Unauthorized, said, "the storage refused the file")
	case a.status == http.StatusTooManyRequests:
		return a.error(Throttled, said, "")
	case a.status >= 500:
		return a.error(ServerFault, said, "")
	case a.status == http.StatusNotFound:
		return a.error(NotFound, said, "the file is not there")
	}
	return a.error(BadAnswer, said, "")
}

// xmlElement is the text of an element, by the simplest of readings: the rest of
// the answer may hold the signature.
func xmlElement(text []byte, name string) []byte {
	_, text, _ = bytes.Cut(text, []byte("<"+name+">"))
	text, _, ok := bytes.Cut(text, []byte("</"+name+">"))
	if !ok {
		return nil
	}
	return text
}

// failure is what the consumer gets for an error of the file.
func (b *blob) failure(err error) error {
	var known *Error
	switch {
	case b.ctx.Err() != nil:
		return b.ctx.Err()
	case errors.As(err, &known):
		return known
	case errors.Is(err, ErrEmptyFile), errors.Is(err, ErrExpiredLink):
		return fmt.Errorf("%s: %w", b.call(), err)
	}
	return &Error{Kind: BadAnswer, Call: b.call(), Message: err.Error(), Err: err}
}

// call is the file's address without the query.
func (b *blob) call() string { return "GET " + strings.TrimPrefix(b.file.URL.String(), "https://") }

func (b *blob) close() {
	if b.body != nil {
		_ = b.body.Close()
		b.body = nil
	}
}
