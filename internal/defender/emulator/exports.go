package emulator

import (
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"
)

// snapshotHours is how often the service rebuilds its exports (mde-api.md §8.2).
const snapshotHours = 6

// snapshotTime is when the newest snapshot at that moment was built.
func snapshotTime(at time.Time) time.Time {
	return at.UTC().Truncate(snapshotHours * time.Hour)
}

// exportFile is one file of a snapshot: a run of machines of one group.
type exportFile struct {
	day         *Day
	group       int64
	part, parts int // of the group
	size        int // machines in a part; the last takes what is left
	path        string
}

// rows yields the file's rows. Files part a group by machines in the order of its rows.
func (f exportFile) rows(of *feed) iter.Seq[reflect.Value] {
	return func(yield func(reflect.Value) bool) {
		seen, last := 0, ""
		for row := range of.rows(f.day, f.group) {
			if id := row.Field(of.device).Elem().String(); id != last {
				last = strings.Clone(id)
				seen++
			}
			part := min((seen-1)/f.size, f.parts-1)
			if part > f.part || part == f.part && !yield(row) {
				return
			}
		}
	}
}

// groupSize is how many machines of a group have rows.
type groupSize struct {
	group    int64
	machines int
}

// exportGroups remembers the sizes of the last few days' groups: they decide the number of parts.
type exportGroups struct {
	mu   sync.Mutex
	days map[int][]groupSize
}

func (g *exportGroups) of(d *Day) []groupSize {
	g.mu.Lock()
	defer g.mu.Unlock()
	if sizes, known := g.days[d.n]; known {
		return sizes
	}
	var sizes []groupSize
	for _, group := range d.Groups() {
		size := groupSize{group: group.ID}
		for range d.reporting(group.ID) {
			size.machines++
		}
		sizes = append(sizes, size)
	}
	if g.days == nil || len(g.days) > 3 {
		g.days = map[int][]groupSize{}
	}
	g.days[d.n] = sizes
	return sizes
}

// listing names the files of a feed in the snapshot. Numbers and GUIDs in the names come
// from the snapshot alone, so a file keeps its path however often it is signed.
func (s *Server) listing(f *feed, snapshot time.Time) []exportFile {
	day := s.day(snapshot)
	h := mix(textHash(s.TenantID()), textHash(f.folder), uint64(snapshot.Unix()))
	name := guid(h, mix(h))
	var files []exportFile
	for _, size := range s.groups.of(day) {
		parts := max(1, (size.machines+s.options.PartMachines-1)/s.options.PartMachines)
		for part := range parts {
			files = append(files, exportFile{
				day: day, group: size.group, part: part, parts: parts, size: s.options.PartMachines,
				path: fmt.Sprintf("/blobs/%s%s/json/OrgId=%s/_RbacGroupId=%d/part-%05d-%s.c000.json.gz",
					snapshot.Format(timePath), f.folder, s.TenantID(), size.group, len(files)+1, name),
			})
		}
	}
	return files
}

func (s *Server) export(c *apiCall, f *feed) error {
	hours, err := c.number("sasValidHours", 1, 1)
	if err != nil {
		return err
	}
	if hours > 6 {
		return badRequest("InvalidInput", fmt.Sprintf("sasValidHours is %d: a link can be valid for 6 hours at most.", hours))
	}
	lifetime := time.Duration(hours) * time.Hour
	if s.options.LinkLifetime > 0 {
		lifetime = s.options.LinkLifetime
	}
	snapshot := snapshotTime(c.now)
	c.begin()
	out := newRowWriter(c.w)
	out.text(`{"@odata.context":`).quote(c.context("microsoft.windowsDefenderATP.api.ExportFilesResponse")).text(`,"exportFiles":[`)
	for i, file := range s.listing(f, snapshot) {
		if i > 0 {
			out.text(",")
		}
		out.quote(c.origin() + file.path + "?" + s.signLink(file.path, c.now, c.now.Add(lifetime)))
	}
	out.text(`],"generatedTime":`).quote(snapshot.Format(time.RFC3339)).text("}")
	out.flush()
	return nil
}

// findFile finds the feed and file that a path names.
func (s *Server) findFile(path string) (*feed, exportFile, bool) {
	rest, isBlob := strings.CutPrefix(path, "/blobs/")
	if !isBlob || len(rest) < len(timePath) {
		return nil, exportFile{}, false
	}
	snapshot, err := time.Parse(timePath, rest[:len(timePath)])
	if err != nil {
		return nil, exportFile{}, false
	}
	folder, _, _ := strings.Cut(rest[len(timePath):], "/")
	for _, f := range feeds {
		if f.folder != folder {
			continue
		}
		for _, file := range s.listing(f, snapshot) {
			if file.path == path {
				return f, file, true
			}
		}
	}
	return nil, exportFile{}, false
}

// blobNotFound is the file store's 404.
func (s *Server) blobNotFound(w http.ResponseWriter) {
	s.writeBlobError(w, http.StatusNotFound, "BlobNotFound", "The specified blob does not exist.", "")
}
