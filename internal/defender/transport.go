package defender

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// Traffic is what a Client has used so far.
type Traffic struct {
	Calls     int64         // requests sent, sign-in, files and repeats included
	Bytes     int64         // bytes of answers as they came over the wire, without headers
	Throttled time.Duration // time that calls waited for budgets and after a 429
}

// idleLimit is how long a body may send nothing before it counts as cut.
const idleLimit = 2 * time.Minute

var errIdle = fmt.Errorf("no data for %v", idleLimit)

// newTransport connects as the settings say: TLS 1.2 or later, the system's and
// the given authorities, the proxy of the environment, a limit for each phase.
// Redirects are the caller's business: a RoundTripper follows none.
func newTransport(s *settings) *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  environmentProxy,
		OnProxyConnectResponse: proxyAnswer,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.roots},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  60 * time.Second,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        90 * time.Second,
		// Answers are counted as they come and unpacked here, gzip only: Go's
		// transport would do neither (mde-api: "deflate" gives raw deflate).
		DisableCompression: true,
	}
}

// environmentProxy is the proxy of HTTPS_PROXY and NO_PROXY. Its error would
// print the whole address, password included.
func environmentProxy(req *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil {
		return nil, &Error{Kind: Proxy, Message: "the proxy in HTTPS_PROXY is not a valid address"}
	}
	return proxy, nil
}

// proxyAnswer turns a proxy's refusal to connect into an Error.
func proxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return &Error{Kind: Proxy, Status: resp.StatusCode, Message: "the proxy refused to connect"}
}

// sender sends one request once and counts it. It is azcore's Transporter.
type sender struct {
	transport http.RoundTripper
	userAgent string
	hide      scrubber
	calls     atomic.Int64
	bytes     atomic.Int64
}

// Do returns an *Error, or the context's own error, where there is no answer.
func (s *sender) Do(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	req = req.WithContext(ctx)
	if s.userAgent != "" {
		req.Header.Set("User-Agent", s.userAgent)
	}
	s.calls.Add(1)
	resp, err := s.transport.RoundTrip(req)
	if err != nil {
		defer cancel(nil)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, transportError(callName(req), err, s.hide)
	}
	b := &body{stream: resp.Body, ctx: ctx, cancel: cancel, counter: &s.bytes}
	b.idle = time.AfterFunc(idleLimit, func() { cancel(errIdle) })
	b.idle.Stop()
	resp.Body = b
	return resp, nil
}

// body counts what is read, gives up on silence, and remembers whether the
// connection failed: what is read from a broken one is not the whole.
type body struct {
	stream  io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	idle    *time.Timer
	counter *atomic.Int64
	failed  error
}

func (b *body) Read(p []byte) (int, error) {
	b.idle.Reset(idleLimit)
	n, err := b.stream.Read(p)
	b.idle.Stop()
	b.counter.Add(int64(n))
	if err != nil && errors.Is(context.Cause(b.ctx), errIdle) {
		err = errIdle // whatever the other side makes of our hanging up
	}
	if err != nil && err != io.EOF {
		b.failed = err
	}
	return n, err
}

func (b *body) Close() error {
	b.idle.Stop()
	err := b.stream.Close()
	b.cancel(nil)
	return err
}
