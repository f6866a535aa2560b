package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// The floors read the same files from the disk, in a process of their own, by as many
// workers as there are processors here (two), and write nothing.
const floorWorkers = 2

// gunzipFloor is the role that unpacks and finds the ends of lines.
func gunzipFloor() error {
	return floor(func() func(line []byte) error { return func([]byte) error { return nil } })
}

// encodeFloor is the role that also finds the members Muster needs of every line, by
// hand and without validation, and gives small integers for texts that come again.
func encodeFloor() error {
	shared := &dictionary{ids: map[string]int32{}}
	return floor(func() func(line []byte) error {
		w := &encoder{shared: shared, ids: map[string]int32{}}
		return w.line
	})
}

// floor reads all files of the first set; each worker has a function for its lines.
func floor(worker func() func(line []byte) error) error {
	p, dir, err := roleParams()
	if err != nil {
		return err
	}
	parts := make(chan int, p.Files)
	for part := range p.Files {
		parts <- part
	}
	close(parts)
	rows, failures := make([]int64, floorWorkers), make([]error, floorWorkers)
	var group sync.WaitGroup
	for i := range floorWorkers {
		group.Go(func() {
			each := worker()
			for part := range parts {
				n, err := eachLine(filepath.Join(dir, fileName(base, part)), each)
				rows[i] += n
				failures[i] = errors.Join(failures[i], err)
			}
		})
	}
	group.Wait()
	fmt.Fprintln(os.Stdout, rows[0]+rows[1])
	return errors.Join(failures...)
}

func eachLine(path string, each func(line []byte) error) (lines int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 256<<10))
	if err != nil {
		return 0, err
	}
	in := bufio.NewReaderSize(z, 256<<10)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return lines, nil
		}
		if err == nil {
			err = each(line)
		}
		if err != nil {
			return lines, err
		}
		lines++
	}
}

// dictionary gives ids that all workers share.
type dictionary struct {
	mu  sync.Mutex
	ids map[string]int32
}

func (d *dictionary) id(key []byte) int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, known := d.ids[string(key)]
	if !known {
		id = int32(len(d.ids) + 1)
		d.ids[string(key)] = id
	}
	return id
}

// encoder is one worker: the ids it has met stand in front of the shared ones.
type encoder struct {
	shared *dictionary
	ids    map[string]int32
	key    []byte
	sum    int64 // so that nothing is left out as unused
}

// groups are the members of a row that become one id together.
var groups = map[string]byte{
	"DeviceId":       'm',
	"SoftwareVendor": 'x', "SoftwareName": 'x', "SoftwareVersion": 'x', "CveId": 'x',
	"VulnerabilitySeverityLevel": 'f', "CvssScore": 'f', "ExploitabilityLevel": 'f', "RecommendedSecurityUpdate": 'f', "RecommendedSecurityUpdateId": 'f',
	"RecommendedSecurityUpdateUrl": 'f', "SecurityUpdateAvailable": 'f', "RecommendationReference": 'f', "EndOfSupportStatus": 'f', "EndOfSupportDate": 'f',
	"DiskPaths": 'e', "RegistryPaths": 'e',
	"FirstSeenTimestamp": 't', "LastSeenTimestamp": 't',
}

var errLine = errors.New("a line is not as the files were made")

func (w *encoder) line(line []byte) error {
	var values [4][8 * 2][]byte // by group, the members in the order of the file
	var n [4]int
	rest := bytes.TrimSuffix(line, []byte("\n"))
	if len(rest) < 2 || rest[0] != '{' {
		return errLine
	}
	for rest = rest[1:]; len(rest) > 0 && rest[0] == '"'; {
		end := bytes.IndexByte(rest[1:], '"')
		if end < 0 || len(rest) < end+4 {
			return errLine
		}
		name := rest[1 : end+1]
		value := valueOf(rest[end+3:])
		if rest = rest[end+3+len(value):]; len(rest) == 0 {
			return errLine
		}
		rest = rest[1:] // comma or brace
		g := -1
		switch groups[string(name)] {
		case 'm':
			g = 0
		case 'x':
			g = 1
		case 'f':
			g = 2
		case 'e':
			g = 3
		case 't':
			w.sum += int64(len(value))
		}
		if g >= 0 {
			values[g][n[g]] = value
			n[g]++
		}
	}
	for g := range values {
		w.key = append(w.key[:0], byte(g))
		for _, v := range values[g][:n[g]] {
			w.key = append(append(w.key, v...), 0)
		}
		id, known := w.ids[string(w.key)]
		if !known {
			id = w.shared.id(w.key)
			w.ids[string(w.key)] = id
		}
		w.sum += int64(id)
	}
	return nil
}

// valueOf cuts the JSON value at the start of text.
func valueOf(text []byte) []byte {
	switch text[0] {
	case '"':
		for i := 1; ; i++ {
			next := bytes.IndexByte(text[i:], '"')
			if next < 0 {
				return text
			}
			if i += next; text[i-1] != '\\' || backslashes(text[:i])%2 == 0 {
				return text[:i+1]
			}
		}
	case '[':
		at := 1
		for at < len(text) && text[at] != ']' {
			if text[at] == '"' {
				at += len(valueOf(text[at:]))
			} else {
				at++
			}
		}
		return text[:min(at+1, len(text))]
	default:
		if end := bytes.IndexAny(text, ",}"); end >= 0 {
			return text[:end]
		}
		return text
	}
}

func backslashes(text []byte) int { return len(text) - len(bytes.TrimRight(text, `\`)) }
