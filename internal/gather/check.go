package gather

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"muster"
	"muster/internal/defender"
)

// StepState is how one step of a connection test ended.
type StepState string

const (
	Passed      StepState = "passed"
	FailedStep  StepState = "failed"
	SkippedStep StepState = "skipped"
)

// Step is one line of a connection test.
type Step struct {
	Name   string    `json:"name"`
	State  StepState `json:"state"`
	Detail string    `json:"detail"` // what was found, or why it was skipped
	Code   string    `json:"code,omitempty"`
	Advice string    `json:"advice,omitempty"`
}

// check is one connection test under way.
type check struct {
	client   *defender.Client
	settings muster.Settings
	roles    []string
	tell     func(Step)
	failed   bool
	blocked  string // why the steps to come make no sense; "" = they do
}

// Check tests a connection step by step (SPEC §3) and tells each step as it ends. Exports
// are not called: their budget is too tight for a button. It reports whether all passed.
func Check(ctx context.Context, client *defender.Client, s muster.Settings, tell func(Step)) bool {
	c := &check{client: client, settings: s, tell: tell}
	c.step("name resolution", "a name was not resolved", func() (string, error) { return c.resolve(ctx) })
	c.step("proxy and TLS", "the host was not reached", func() (string, error) { return "", client.Reach(ctx) })
	c.step("token", "there is no token", func() (string, error) { return c.signIn(ctx) })
	c.step("consent", "there are no permissions", c.consent)
	c.rows(ctx)
	return !c.failed
}

// step runs one step and tells whether it passed. without says why the steps after it
// are skipped where it fails; "" = they are not.
func (c *check) step(name, without string, run func() (string, error)) bool {
	if c.blocked != "" {
		c.skip(name, c.blocked)
		return false
	}
	detail, err := run()
	if err == nil {
		c.tell(Step{Name: name, State: Passed, Detail: detail})
		return true
	}
	e := explain(err)
	c.failed, c.blocked = true, without
	c.tell(Step{Name: name, State: FailedStep, Detail: e.Message, Code: e.Code, Advice: e.Advice})
	return false
}

func (c *check) skip(name, why string) { c.tell(Step{Name: name, State: SkippedStep, Detail: why}) }

func (c *check) resolve(ctx context.Context) (string, error) {
	var found []string
	for _, host := range c.client.Hosts() {
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			name = host
		}
		if proxy := c.client.ProxyFor(host); proxy != "" {
			found = append(found, fmt.Sprintf("%s by the proxy %s", name, proxy))
			continue
		}
		addresses, err := net.DefaultResolver.LookupHost(ctx, name)
		if err != nil {
			return "", &muster.Error{
				Meaning: muster.ErrUnavailable, Code: "unreachable", Message: fmt.Sprintf("the name %s cannot be resolved", name),
				Advice: "Check the name server, or set HTTPS_PROXY where names are resolved by a proxy.", Err: err,
			}
		}
		found = append(found, fmt.Sprintf("%s is %s", name, addresses[0]))
	}
	return strings.Join(slices.Compact(found), ", "), nil
}

func (c *check) signIn(ctx context.Context) (string, error) {
	identity, err := c.client.SignIn(ctx)
	c.roles = identity.Roles
	return "tenant " + identity.TenantID, err
}

func (c *check) consent() (string, error) {
	if len(c.roles) == 0 {
		return "", noConsent()
	}
	return strings.Join(c.roles, ", "), nil
}

// probe is one page of one row.
type probe struct {
	dataset muster.Dataset
	name    string
	page    defender.Page
}

var probes = []probe{
	{muster.Antivirus, "antivirus", defender.AntivirusPage},
	{muster.Software, "software", defender.SoftwarePage},
	{muster.Vulnerabilities, "vulnerabilities", defender.VulnerabilityPage},
	{muster.Configuration, "configuration", defender.ConfigurationPage},
	{muster.Catalogue, "catalogue", defender.CataloguePage},
}

// rows reads one row of everything, and the whole machine list.
func (c *check) rows(ctx context.Context) {
	machines := c.step("one machine", "", func() (string, error) { return "", c.client.Probe(ctx, defender.MachinePage) })
	for _, p := range probes {
		name := "one row of " + p.name
		switch missing := missingRole(c.roles, p.dataset); {
		case c.blocked == "" && !slices.Contains(c.settings.Datasets, p.dataset):
			c.skip(name, "not among the datasets")
		case c.blocked == "" && missing != "":
			c.skip(name, missing)
		default:
			c.step(name, "", func() (string, error) { return "", c.client.Probe(ctx, p.page) })
		}
	}
	if !machines && c.blocked == "" {
		c.blocked = "no machine could be read"
	}
	c.step("machines let in by the filters", "", func() (string, error) { return c.count(ctx) })
}

// count applies the filters to the whole list, as a run would but for merged and
// re-imaged machines, which take what earlier runs know.
func (c *check) count(ctx context.Context) (string, error) {
	var all, in int
	left := map[muster.Reason]int{}
	for row, err := range c.client.Machines(ctx) {
		if err != nil {
			return "", err
		}
		if all++; row.Value == nil {
			continue
		}
		m := row.Value
		reason := c.settings.Filter.Decide(muster.Candidate{FirstSeen: m.FirstSeen, LastSeen: m.LastSeen, Tags: m.MachineTags, OnboardingStatus: m.OnboardingStatus.Value}, c.client.SourceTime())
		if reason == muster.InScope {
			in++
		} else {
			left[reason]++
		}
	}
	var detail strings.Builder
	fmt.Fprintf(&detail, "%d of %d", in, all)
	for _, reason := range []muster.Reason{muster.OutNotOnboarded, muster.OutNoDate, muster.OutStale, muster.OutTag} {
		if left[reason] > 0 {
			fmt.Fprintf(&detail, ", %d out: %s", left[reason], reason)
		}
	}
	return detail.String(), nil
}
