package defender

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/klauspost/compress/gzip"
)

// Client reads one tenant through one app registration. It is safe for
// concurrent use; every iterator it returns is for one goroutine.
type Client struct {
	settings   *settings
	transport  *http.Transport
	sender     *sender
	credential *credential
	api, files runtime.Pipeline

	mu        sync.Mutex
	limits    map[string]*limit // by group; each export has its own, as its page states it
	source    time.Time         // the Date of the API's last answer
	skew      time.Duration     // that minus ours at that moment
	throttled time.Duration
}

// New checks the configuration. It sends nothing.
func New(config Config) (*Client, error) {
	s, err := config.settings()
	if err != nil {
		return nil, err
	}
	return newClient(s, newTransport(s))
}

func newClient(s *settings, transport *http.Transport) (*Client, error) {
	c := &Client{settings: s, transport: transport, limits: map[string]*limit{}}
	c.sender = &sender{
		transport: transport, userAgent: s.UserAgent, hide: newScrubber(s.Secret, s.CertificatePassword),
	}
	var err error
	if c.credential, err = newCredential(s, c.sender); err != nil {
		return nil, err
	}
	options := &policy.ClientOptions{Transport: c.sender, Telemetry: policy.TelemetryOptions{Disabled: true}}
	bearer := runtime.NewBearerTokenPolicy(c.credential, []string{s.scope}, nil)
	c.api = runtime.NewPipeline("defender", "v1.0.0", runtime.PipelineOptions{PerRetry: []policy.Policy{
		policyFunc(c.renew), policyFunc(c.pace), bearer, policyFunc(c.observe),
	}}, options)
	c.files = runtime.NewPipeline("defender", "v1.0.0", runtime.PipelineOptions{}, options)
	return c, nil
}

// SourceTime is the clock of the API at its last answer, to the second, in UTC;
// zero before the first.
func (c *Client) SourceTime() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.source
}

// Skew is the source's clock minus ours at the API's last answer.
func (c *Client) Skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skew
}

// Traffic is what was used so far.
func (c *Client) Traffic() Traffic {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Traffic{Calls: c.sender.calls.Load(), Bytes: c.sender.bytes.Load(), Throttled: c.throttled}
}

// Close drops idle connections. Calls under way are not disturbed.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// link is the address of a path of the API, with a query that is already encoded.
func (c *Client) link(path, query string) *url.URL {
	u := *c.settings.api
	u.Path, u.RawQuery = path, query
	return &u
}

// stream is the body of a good answer, unpacked.
type stream struct {
	*bufio.Reader
	call string
	wire *body
	body io.Closer
}

func (s *stream) Close() error { return s.body.Close() }

// get calls the API. It returns the body of a 200, or an *Error, or the
// context's own error.
func (c *Client) get(ctx context.Context, group Group, u *url.URL) (*stream, error) {
	req, err := runtime.NewRequest(withRetries(ctx), http.MethodGet, u.String())
	if err != nil {
		return nil, &Error{Kind: BadRequest, Message: "the address " + u.Host + u.EscapedPath() + " cannot be called"}
	}
	runtime.SkipBodyDownload(req)
	req.Raw().Header.Set("Accept", "application/json")
	req.Raw().Header.Set("Accept-Encoding", "gzip")
	req.SetOperationValue(&call{group: group})
	resp, err := c.api.Do(req)
	if err != nil {
		return nil, c.failed(ctx, callName(req.Raw()), err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, apiError(readAnswer(resp), c.sender.hide)
	}
	return unpack(resp, callName(req.Raw()))
}

// unpack makes a stream of a 200.
func unpack(resp *http.Response, name string) (*stream, error) {
	s := &stream{call: name, body: resp.Body}
	s.wire, _ = resp.Body.(*body)
	var in io.Reader = resp.Body
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			_ = resp.Body.Close()
			return nil, &Error{Kind: BadAnswer, Call: name, Status: resp.StatusCode, Message: "the answer is not gzip, though it says so", Err: err}
		}
		in = unpacked
	default:
		_ = resp.Body.Close()
		return nil, &Error{Kind: BadAnswer, Call: name, Status: resp.StatusCode, Message: fmt.Sprintf("the answer is packed as %.20q", encoding)}
	}
	s.Reader = bufio.NewReaderSize(in, 32<<10)
	start, _ := s.Peek(256)
	if isPage(resp.Header, start) {
		defer func() { _ = resp.Body.Close() }()
		return nil, answer{call: name, status: resp.StatusCode, header: resp.Header, body: []byte("<html>")}.foreign()
	}
	return s, nil
}

// failed is what a call without answer returns.
func (c *Client) failed(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	return fmt.Errorf("%s: %w", name, err)
}
