package defender

import (
	"context"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Vulnerability is one entity of GET /api/vulnerabilities: what is known of one
// CVE (api/vulnerability.md and $metadata).
type Vulnerability struct {
	ID                  Text      `mde:"id,key"`
	Name                Text      `mde:"name"`
	Description         Text      `mde:"description"`
	Severity            Text      `mde:"severity"`
	CVSSV3              Text      `mde:"cvssV3,number"` // 0–10
	CVSSVector          Text      `mde:"cvssVector"`    // CVSS 3.0, 3.1 or 4.0
	ExposedMachines     Text      `mde:"exposedMachines,number"`
	PublishedOn         time.Time `mde:"publishedOn"`
	UpdatedOn           time.Time `mde:"updatedOn"`
	FirstDetected       time.Time `mde:"firstDetected"`
	PatchFirstAvailable time.Time `mde:"patchFirstAvailable"`
	PublicExploit       Text      `mde:"publicExploit,boolean"`
	ExploitVerified     Text      `mde:"exploitVerified,boolean"`
	ExploitInKit        Text      `mde:"exploitInKit,boolean"`
	ExploitTypes        []string  `mde:"exploitTypes"`
	ExploitUris         []string  `mde:"exploitUris"`
	CVESupportability   Text      `mde:"cveSupportability"`
	Tags                []string  `mde:"tags"`
	EPSS                Text      `mde:"epss,number"` // 0–1
	Status              Text      `mde:"status"`
}

var catalogueShape = newShape[Vulnerability]()

const (
	cataloguePath = "/api/vulnerabilities"
	cataloguePage = 8000 // the most that the list gives (api/get-all-vulnerabilities.md)
)

// Catalogue reads what is known of CVEs: those updated at since or later, or of
// all where since is zero.
func (c *Client) Catalogue(ctx context.Context, since time.Time) iter.Seq2[Row[Vulnerability], error] {
	filter := ""
	if !since.IsZero() {
		filter = "&$filter=updatedOn%20ge%20" + since.UTC().Format("2006-01-02T15:04:05Z")
	}
	return read(ctx, c, GroupCatalogue, catalogueShape, func(l *lister[Vulnerability]) error {
		return l.skip(cataloguePath, filter, cataloguePage)
	})
}

// entriesPage is how many CVEs one call names: OData services limit a filter to about a
// hundred nodes, and each name takes four.
const entriesPage = 20

// CatalogueEntries reads what is known of some CVEs; unknown ones are left out. They are
// named in a $filter on id, many a call, because the list's budget is small.
func (c *Client) CatalogueEntries(ctx context.Context, cves []string) iter.Seq2[Row[Vulnerability], error] {
	return read(ctx, c, GroupCatalogue, catalogueShape, func(l *lister[Vulnerability]) error {
		for some := range slices.Chunk(cves, entriesPage) {
			names := make([]string, len(some))
			for i, cve := range some {
				names[i] = "id eq '" + strings.ReplaceAll(cve, "'", "''") + "'"
			}
			p, err := l.page(c.link(cataloguePath, "$filter="+url.PathEscape(strings.Join(names, " or "))))
			if err != nil {
				return err
			}
			if err := l.follow(p); err != nil {
				return err
			}
		}
		return nil
	})
}

// CatalogueEntry reads what is known of one CVE. An unknown one is ErrNotFound.
// The row stays valid.
func (c *Client) CatalogueEntry(ctx context.Context, cve string) (Row[Vulnerability], error) {
	u := c.link(cataloguePath+"/"+cve, "")
	u.RawPath = cataloguePath + "/" + url.PathEscape(cve)
	var row Row[Vulnerability]
	err := repeat(ctx, func() error {
		s, err := c.get(ctx, GroupCatalogue, u)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		row, err = newDecoder[Vulnerability](1).entity(jsontext.NewDecoder(s, lenient...))
		return s.failure(ctx, err)
	})
	if err != nil {
		return Row[Vulnerability]{}, err
	}
	return row, nil
}
