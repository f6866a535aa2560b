package defender

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Page is the first page of a list, one row long. Exports have none: their budget
// is too tight for a test.
type Page struct {
	group       Group
	path, query string
}

// The pages that Probe asks for.
var (
	MachinePage       = Page{GroupMachine, machinesPath, "$top=1"}
	AntivirusPage     = Page{GroupAssessment, antivirusPath, "$top=1"}
	SoftwarePage      = Page{GroupAssessment, "/api/machines/SoftwareInventoryByMachine", "pageSize=1"}
	VulnerabilityPage = Page{GroupAssessment, vulnerabilitiesPath, "pageSize=1"}
	ConfigurationPage = Page{GroupAssessment, "/api/machines/SecureConfigurationsAssessmentByMachine", "pageSize=1"}
	CataloguePage     = Page{GroupCatalogue, cataloguePath, "$top=1"}
)

// Probe asks for one row, to see whether the list can be read. An empty list is no
// error, nor is the 404 by which the machine list may say that it is empty.
func (c *Client) Probe(ctx context.Context, p Page) error {
	err := repeat(ctx, func() error {
		s, err := c.get(ctx, p.group, c.link(p.path, p.query))
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		return s.failure(ctx, probe(jsontext.NewDecoder(s, lenient...)))
	})
	if p == MachinePage && hasKind(err, NotFound) {
		return nil
	}
	return err
}

// probe reads as much of a list's answer as shows that it is one.
func probe(dec *jsontext.Decoder) error {
	if err := expect(dec, '{', "an object"); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if strings.EqualFold(name.String(), "value") {
			return expect(dec, '[', "a list named value")
		}
		if err := dec.SkipValue(); err != nil {
			return err
		}
	}
	return errNoList
}

// Hosts are the hosts that a run calls first, sign-in and API, with the port where
// the address names one.
func (c *Client) Hosts() []string {
	return slices.Compact([]string{c.settings.login.Host, c.settings.api.Host})
}

// ProxyFor is the proxy that https requests to a host go through, without user and
// password; "" where there is none.
func (c *Client) ProxyFor(host string) string {
	if c.transport.Proxy == nil {
		return ""
	}
	proxy, err := c.transport.Proxy(&http.Request{URL: &url.URL{Scheme: "https", Host: host}})
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host
}

// Reach connects to each of Hosts, through the proxy where there is one, and checks
// its certificate. What the host answers does not matter; no token is sent.
func (c *Client) Reach(ctx context.Context) error {
	for _, host := range c.Hosts() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", http.NoBody)
		if err != nil {
			return &Error{Kind: BadRequest, Message: "the host " + host + " cannot be called"}
		}
		resp, err := c.sender.Do(req)
		if err != nil {
			return c.failed(ctx, callName(req), err)
		}
		if resp.StatusCode == http.StatusProxyAuthRequired {
			return readAnswer(resp).foreign()
		}
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody) // so that the connection can be used again
		_ = resp.Body.Close()
	}
	return nil
}
