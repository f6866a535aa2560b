package defender

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"
)

// ExportKind is one of the exports: the last part of its path.
type ExportKind string

// The exports.
const (
	VulnerabilityExport  ExportKind = "SoftwareVulnerabilitiesExport"
	ConfigurationExport  ExportKind = "SecureConfigurationsAssessmentExport"
	SoftwareExport       ExportKind = "SoftwareInventoryExport"
	NonCPESoftwareExport ExportKind = "SoftwareInventoryNonCpeExport"
	InformationExport    ExportKind = "InfoGatheringExport"
)

// Export is the newest snapshot of a dataset. The service makes one every 6
// hours; GeneratedTime tells whether it is another than the last.
type Export struct {
	GeneratedTime time.Time
	Files         []File
}

// File is one part of an export.
type File struct {
	Name string // the path of its address: stable while the signature changes
	URL  Link   // signed; valid for hours
	only []string
}

// Only gives the same file, of whose rows these members and the machine's id alone are
// decoded: many rows repeat what the list of machines has, or an id that nobody asks for.
// The others are left without a value, and what they hold cannot reject a row.
func (f File) Only(members ...string) File {
	f.only = members
	return f
}

// linkHours is how long the links are asked to live: the most that all exports allow.
const linkHours = 6

// maxExport bounds an export's answer, in bytes: some 100,000 links.
const maxExport = 64 << 20

// Export asks for the files of the newest snapshot. It counts against the
// tightest budget, 5 calls a minute and 20 an hour. No files is no error: the
// tenant has no rows.
func (c *Client) Export(ctx context.Context, kind ExportKind) (Export, error) {
	u := c.link("/api/machines/"+string(kind), fmt.Sprintf("sasValidHours=%d", linkHours))
	var export Export
	err := repeat(ctx, func() error {
		s, err := c.get(ctx, GroupExport, u)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		text, err := io.ReadAll(io.LimitReader(s, maxExport))
		if err != nil {
			return s.failure(ctx, err)
		}
		export, err = readExport(s.call, text)
		return err
	})
	return export, err
}

func readExport(call string, text []byte) (Export, error) {
	// encoding/json matches names without regard to case, as everywhere here.
	var answer struct {
		ExportFiles   []string `json:"exportFiles"`
		GeneratedTime string   `json:"generatedTime"`
	}
	bad := func(why string) error { return &Error{Kind: BadAnswer, Call: call, Message: why} }
	if err := json.Unmarshal(text, &answer); err != nil {
		return Export{}, bad("the answer is not the JSON expected")
	}
	generated, ok := parseTime([]byte(answer.GeneratedTime))
	if !ok && (answer.GeneratedTime != "" || len(answer.ExportFiles) > 0) {
		return Export{}, bad(fmt.Sprintf("generatedTime is not a time: %.40q", answer.GeneratedTime))
	}
	export := Export{GeneratedTime: generated}
	for _, link := range answer.ExportFiles {
		u, err := url.Parse(link)
		if err != nil || u.Host == "" {
			return Export{}, bad("a file's link is not an address")
		}
		if u.Scheme != "https" {
			return Export{}, &Error{Kind: RefusedLink, Call: call, Message: fmt.Sprintf("a file's link to %.100q is not https", u.Host)}
		}
		export.Files = append(export.Files, File{Name: u.EscapedPath(), URL: Link(link)})
	}
	return export, nil
}
