package defender

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Page is a list of the API that can be asked for a single row.
type Page struct {
	path, query string
	group       Group
}

// The pages. Exports have none: their budget is too tight for a test.
var (
	MachinePage       = Page{"/api/machines", "$top=1", GroupMachine}
	AntivirusPage     = Page{"/api/deviceavinfo", "$top=1", GroupAssessment}
	CataloguePage     = Page{"/api/vulnerabilities", "$top=1", GroupCatalogue}
	SoftwarePage      = Page{"/api/machines/SoftwareInventoryByMachine", "pageSize=1", GroupAssessment}
	VulnerabilityPage = Page{"/api/machines/SoftwareVulnerabilitiesByMachine", "pageSize=1", GroupAssessment}
	ConfigurationPage = Page{"/api/machines/SecureConfigurationsAssessmentByMachine", "pageSize=1", GroupAssessment}
)

// Probe asks for one row of a page. An empty list is no error.
func (c *Client) Probe(ctx context.Context, p Page) error {
	s, err := c.get(ctx, p.group, c.link(p.path, p.query))
	if hasKind(err, NotFound) {
		return nil // how the machine list may say that it is empty (api/get-machines.md)
	}
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	var answer struct {
		Value *[]jsontext.Value `json:"value"`
	}
	err = json.NewDecoder(s).Decode(&answer)
	if err == nil && answer.Value == nil {
		return &Error{Kind: BadAnswer, Call: s.call, Message: "the answer holds no list"}
	}
	return s.failure(ctx, err)
}

// Hosts are the hosts that a run calls first: sign-in and API, with their ports where given.
func (c *Client) Hosts() []string {
	return slices.Compact([]string{c.settings.login.Host, c.settings.api.Host})
}

// ProxyFor names the proxy through which a host is reached, without user and password;
// "" for none.
func (c *Client) ProxyFor(host string) string {
	proxy, err := environmentProxy(&http.Request{URL: &url.URL{Scheme: "https", Host: host}})
	if err != nil || proxy == nil {
		return ""
	}
	return proxy.Host
}

// Reach connects to every host of Hosts, through the proxy where there is one. Any answer
// of HTTP will do; no token is sent.
func (c *Client) Reach(ctx context.Context) error {
	for _, host := range c.Hosts() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/", http.NoBody)
		if err != nil {
			return &Error{Kind: BadRequest, Message: "the host " + host + " cannot be called"}
		}
		resp, err := c.sender.Do(req)
		if err != nil {
			return err
		}
		_, err = io.CopyN(io.Discard, resp.Body, 64<<10)
		_ = resp.Body.Close()
		if err != nil && err != io.EOF {
			return transportError(callName(req), err, c.sender.hide)
		}
		if resp.StatusCode == http.StatusProxyAuthRequired {
			return &Error{Kind: Proxy, Call: callName(req), Status: resp.StatusCode, Message: "the proxy wants a user and password"}
		}
	}
	return nil
}
