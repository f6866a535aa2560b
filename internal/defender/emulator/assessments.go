package emulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// feed is one assessment: its rows are served as export files and, most of them, as a
// list that pages through the same files (mde-api.md §3, systems B and C).
type feed struct {
	list, export string // path names in lower case; list "" = files only
	folder       string // of its files
	typeName     string
	roles        []string
	api, file    *plan
	rows         func(d *Day, group int64) iter.Seq[reflect.Value]
	device       int                                        // index of the device id's field
	extra        func(buf []byte, row reflect.Value) []byte // columns that files have on top; nil = none
}

var feeds = []*feed{
	newFeed("softwarevulnerabilitiesbymachine", "softwarevulnerabilitiesexport", "VaExport", "AssetVulnerability", vulnerabilityRoles, (*Day).Vulnerabilities),
	newFeed("secureconfigurationsassessmentbymachine", "secureconfigurationsassessmentexport", "ScaExport", "AssetConfiguration", vulnerabilityRoles, (*Day).Configurations),
	newFeed("softwareinventorybymachine", "softwareinventoryexport", "SoftwareInventory", "AssetSoftware", softwareRoles, (*Day).Software),
	newFeed("softwareinventorynoproductcodebymachine", "softwareinventorynoncpeexport", "NonCpeSoftwareInventory", "AssetNonCpeSoftware", softwareRoles, (*Day).NonCPESoftware),
	newFeed("", "infogatheringexport", "InfoGatheringExport", "AssetInfoGathering", vulnerabilityRoles, (*Day).Information),
}

func newFeed[T any](list, export, folder, typeName string, roles []string, rows func(*Day, int64) iter.Seq[*T]) *feed {
	field, _ := reflect.TypeFor[T]().FieldByName("DeviceID")
	f := &feed{
		list: list, export: export, folder: folder, typeName: typeName, roles: roles, device: field.Index[0],
		api: planOf[T](false, apiName), file: planOf[T](true, fileName),
		rows: func(d *Day, group int64) iter.Seq[reflect.Value] { return rowsOf(rows(d, group)) },
	}
	if folder == "VaExport" {
		f.extra = appendVulnerabilityExtras
	}
	return f
}

// appendVulnerabilityExtras writes two columns that only files of vulnerabilities have and
// the $metadata does not know: a reader must bear with them.
func appendVulnerabilityExtras(buf []byte, row reflect.Value) []byte {
	buf = append(buf, `,"IsOnboarded":true`...)
	v, ok := reflect.TypeAssert[*AssetVulnerability](row.Addr())
	if !ok || v.CVEID == nil || v.SoftwareVendor == nil || *v.SoftwareVendor == "" {
		return buf
	}
	buf = append(buf, `,"CveBatchTitle":`...)
	title := strings.ToUpper((*v.SoftwareVendor)[:1]) + (*v.SoftwareVendor)[1:]
	if parts := strings.SplitN(*v.CVEID, "-", 3); len(parts) == 3 {
		title += " " + parts[1]
	}
	return appendString(buf, title+" Vulnerabilities")
}

// line writes a row as a line of an export file, without the line end.
func (f *feed) line(buf []byte, row reflect.Value) []byte {
	buf = f.file.append(buf, row)
	if f.extra != nil {
		buf = append(f.extra(buf[:len(buf)-1], row), '}')
	}
	return buf
}

func (s *Server) addFeed(f *feed, add func(pattern string, e endpoint)) {
	if f.list != "" {
		add("GET /machines/"+f.list, endpoint{f.roles, assessmentQuota, func(c *apiCall) error { return s.assessment(c, f) }})
	}
	add("GET /machines/"+f.export, endpoint{f.roles, exportQuota, func(c *apiCall) error { return s.export(c, f) }})
}

// Rows of an assessment page (mde-api.md §3).
const (
	defaultPageSize = 50_000
	maxPageSize     = 200_000
)

// skipToken pins a snapshot and says where in its files the next page begins. Its form is
// the service's own, decoded from the documentation.
type skipToken struct {
	ExportDefinition struct {
		TimePath string `json:"TimePath"` // "2021-01-11/1101/"
	} `json:"ExportDefinition"`
	ExportFileIndex int `json:"ExportFileIndex"`
	LineStoppedAt   int `json:"LineStoppedAt"`
}

const timePath = "2006-01-02/1504/"

func (s *Server) assessment(c *apiCall, f *feed) error {
	size, err := s.bounded(c, "pageSize", 1, maxPageSize)
	if err != nil {
		return err
	}
	if _, given := c.options["pagesize"]; !given {
		size = defaultPageSize
	}
	_, total := c.options["$top"]
	if total {
		if size, err = s.bounded(c, "$top", 0, maxPageSize); err != nil {
			return err
		}
	}
	at, snapshot, err := c.skipToken()
	if err != nil {
		return err
	}
	files := s.listing(f, snapshot)
	c.begin()
	out := newRowWriter(c.w)
	out.text(`{"@odata.context":`).quote(c.context("Collection(microsoft.windowsDefenderATP.api." + f.typeName + ")")).text(`,"value":[`)
	if total {
		s.firstRows(out, f, files, size)
		out.text("]}")
	} else if next := s.assessmentPage(out, f, files, at, size); next != nil {
		out.text(`],"@odata.nextLink":`).quote(c.nextPage(*next, size)).text("}")
	} else {
		out.text("]}")
	}
	out.flush()
	return nil
}

// assessmentPage writes up to size rows of one file, so that a page in the middle can be
// short, and gives where the next begins; nil = the end.
func (s *Server) assessmentPage(out *rowWriter, f *feed, files []exportFile, at skipToken, size int) *skipToken {
	if at.ExportFileIndex >= len(files) {
		return nil
	}
	rows := encoded(files[at.ExportFileIndex].rows(f), f.api)
	written, more := out.page(rows, at.LineStoppedAt, size)
	switch {
	case more:
		at.LineStoppedAt += written
	case at.ExportFileIndex+1 < len(files):
		at.ExportFileIndex, at.LineStoppedAt = at.ExportFileIndex+1, 0
	default:
		return nil
	}
	return &at
}

// firstRows writes the first rows over all files: $top is a total.
func (s *Server) firstRows(out *rowWriter, f *feed, files []exportFile, total int) {
	out.page(func(yield func(appender) bool) {
		for _, file := range files {
			for row := range encoded(file.rows(f), f.api) {
				if !yield(row) {
					return
				}
			}
		}
	}, 0, total)
}

// skipToken reads where to begin; without an option it is the newest snapshot's start.
func (c *apiCall) skipToken() (skipToken, time.Time, error) {
	var at skipToken
	text, given := c.options["$skiptoken"]
	if !given {
		snapshot := snapshotTime(c.now)
		at.ExportDefinition.TimePath = snapshot.Format(timePath)
		return at, snapshot, nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &at)
	}
	snapshot, timeErr := time.Parse(timePath, at.ExportDefinition.TimePath)
	if err != nil || timeErr != nil || at.ExportFileIndex < 0 || at.LineStoppedAt < 0 {
		return at, snapshot, badRequest("BadRequest", "The $skiptoken cannot be read.")
	}
	return at, snapshot, nil
}

// nextPage is the next link of system B: option names come back in lower case.
func (c *apiCall) nextPage(at skipToken, size int) string {
	token := fmt.Sprintf(`{"ExportDefinition":{"TimePath":%q},"ExportFileIndex":%d,"LineStoppedAt":%d}`,
		at.ExportDefinition.TimePath, at.ExportFileIndex, at.LineStoppedAt)
	names := []string{}
	for name := range c.options {
		if name != "pagesize" && name != "$skiptoken" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	query := []string{"pagesize=" + strconv.Itoa(size)}
	for _, name := range names {
		query = append(query, strings.ReplaceAll(url.QueryEscape(name), "%24", "$")+"="+url.QueryEscape(c.options[name]))
	}
	query = append(query, "$skiptoken="+url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(token))))
	return c.origin() + c.r.URL.EscapedPath() + "?" + strings.Join(query, "&")
}
