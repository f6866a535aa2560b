package defender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

const (
	maxRetries = 5
	retryDelay = 500 * time.Millisecond // then 3, 7, 15, 31 times that, give or take
	// maxRetryDelay must be longer than any wait that the service asks for:
	// azcore does not repeat at all where Retry-After is above it. The longest
	// window is an hour.
	maxRetryDelay = 65 * time.Minute
	// throttleDelay is waited after a 429 that does not say how long, doubled each time.
	throttleDelay = 30 * time.Second
	// maxDials is how often a host is tried that was never reached.
	maxDials = 3
)

// policyFunc is a policy.Policy.
type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(req *policy.Request) (*http.Response, error) { return f(req) }

// call is what the tries of one call of the API share.
type call struct {
	group     Group
	renewed   bool          // the token was renewed once
	throttles int           // 429s so far
	wait      time.Duration // asked for by the last 429, to be counted when it was waited
}

func callOf(req *policy.Request) *call {
	var c *call
	req.OperationValue(&c)
	return c
}

// repeated are the answers after which a call is repeated.
var repeated = []int{
	http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
	http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

// worthRepeating decides for azcore whether a try is repeated.
func worthRepeating(resp *http.Response, err error) bool {
	if err != nil {
		return hasKind(err, Unreachable)
	}
	return slices.Contains(repeated, resp.StatusCode)
}

// withRetries gives one call its retries.
func withRetries(ctx context.Context) context.Context {
	dials := 0
	return policy.WithRetryOptions(ctx, policy.RetryOptions{
		MaxRetries: maxRetries, RetryDelay: retryDelay, MaxRetryDelay: maxRetryDelay,
		ShouldRetry: func(resp *http.Response, err error) bool {
			if neverConnected(err) {
				dials++
			}
			return dials < maxDials && worthRepeating(resp, err)
		},
	})
}

// renew repeats a call once with a new token when the API answers 401. A second
// 401 is reported: it may be a matter of licence.
func (c *Client) renew(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	state := callOf(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || state.renewed {
		return resp, err
	}
	state.renewed = true
	used := strings.TrimPrefix(req.Raw().Header.Get("Authorization"), "Bearer ")
	runtime.Drain(resp)
	if err := c.credential.forget(used); err != nil {
		return nil, err
	}
	return req.Next()
}

// pace lets a call go when its group's budget allows.
func (c *Client) pace(req *policy.Request) (*http.Response, error) {
	ctx, state := req.Raw().Context(), callOf(req)
	c.throttle(state.wait)
	state.wait = 0
	if state.group == GroupExport && c.settings.Reserve != nil {
		from := c.settings.Now()
		if err := c.settings.Reserve(ctx, path.Base(req.Raw().URL.Path)); err != nil {
			return nil, fmt.Errorf("reserve a call of %s: %w", callName(req.Raw()), err)
		}
		c.throttle(c.settings.Now().Sub(from))
	}
	if wait := c.limit(state.group, req.Raw().URL.Path).reserve(c.settings.Now()); wait > 0 {
		c.settings.Log.WarnContext(ctx, "waiting for the budget of calls", "group", string(state.group), "wait", wait)
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		c.throttle(wait)
	}
	return req.Next()
}

func (c *Client) throttle(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.throttled += d
}

// observe notes the service's clock, and sets Retry-After in seconds where the
// service said the wait in another way, for azcore understands only that.
func (c *Client) observe(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if err != nil {
		c.settings.Log.DebugContext(req.Raw().Context(), "call failed", "call", callName(req.Raw()), "error", err)
		return resp, err
	}
	c.settings.Log.DebugContext(req.Raw().Context(), "called", "call", callName(req.Raw()), "status", resp.StatusCode, "request_id", resp.Header.Get("x-ms-request-id"))
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.mu.Lock()
		c.source, c.skew = date.UTC(), date.Sub(c.settings.Now())
		c.mu.Unlock()
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		state := callOf(req)
		wait, said := headerDelay(resp.Header, c.settings.Now)
		if !said {
			wait = sentenceDelay(peekAnswer(resp))
		}
		if wait <= 0 {
			wait = throttleDelay << state.throttles
		}
		state.throttles++
		state.wait = setDelay(resp, wait)
		c.settings.Log.WarnContext(req.Raw().Context(), "the service asks to wait", "call", callName(req.Raw()), "wait", state.wait)
	case http.StatusServiceUnavailable:
		if wait, said := headerDelay(resp.Header, c.settings.Now); said && wait > 0 {
			setDelay(resp, wait)
		}
	}
	return resp, nil
}

// setDelay makes Retry-After the one header of its kind, in whole seconds.
func setDelay(resp *http.Response, wait time.Duration) time.Duration {
	seconds := int64((wait + time.Second - 1) / time.Second)
	resp.Header.Del("Retry-After-Ms")
	resp.Header.Del("X-Ms-Retry-After-Ms")
	resp.Header.Set("Retry-After", strconv.FormatInt(seconds, 10))
	return time.Duration(seconds) * time.Second
}

// peekAnswer reads the beginning of an error's body, unpacked, and puts it back.
func peekAnswer(resp *http.Response) []byte {
	a := readAnswer(resp)
	resp.Body = io.NopCloser(bytes.NewReader(a.body))
	resp.Header.Del("Content-Encoding")
	return a.body
}

// repeat calls once until it succeeds, fails for good, or was cut more than
// maxRetries times in a row.
func repeat(ctx context.Context, once func() error) error {
	for try := 0; ; try++ {
		err := once()
		var cut *cutError
		if err == nil || !errors.As(err, &cut) {
			return err
		}
		if try == maxRetries {
			return cut.Err
		}
		if err := sleep(ctx, retryDelay<<try); err != nil {
			return err
		}
	}
}

// cutError is a body whose connection failed before its end.
type cutError struct{ Err *Error }

func (e *cutError) Error() string { return e.Err.Error() }
func (e *cutError) Unwrap() error { return e.Err }
