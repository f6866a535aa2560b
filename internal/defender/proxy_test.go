package defender

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
)

// proxyRefusal signs in through a proxy that gives one answer, or does not
// answer the door where that is "".
func proxyRefusal(t *testing.T, answer string) (e *Error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newFar(t).client()
		c.transport.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse("http://user:passw0rd@proxy.example:3128") }
		c.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			if answer == "" {
				return nil, errors.New("connection refused")
			}
			near, there := net.Pipe()
			go func() {
				defer func() { _ = there.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
					_, _ = io.WriteString(there, answer)
				}
			}()
			return near, nil
		}
		if c.ProxyFor("api.example") != "proxy.example:3128" {
			t.Errorf("proxy %q", c.ProxyFor("api.example"))
		}
		_, err := c.SignIn(t.Context())
		clean(t, err)
		if !errors.As(err, &e) {
			t.Errorf("%v", err)
		}
	})
	return e
}
