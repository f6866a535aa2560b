package defender

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"
)

var signedFile = File{Name: "/VaExport/part-1.json.gz", URL: "https://blob.example/VaExport/part-1.json.gz?sv=2020&sig=xS1gnature%3D"}

func packed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, text)
	_ = z.Close()
	return b.String()
}

func deviceID(v *AssetVulnerability) Text { return v.DeviceID }

// linesOf are n lines of a file and their ids.
func linesOf(n int) (text string, ids []string) {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"DeviceId\":\"m%d\",\"DeviceName\":\"%x\"}\n", i, i*i*7919)
		ids = append(ids, fmt.Sprintf("m%d", i))
	}
	return b.String(), ids
}

func TestFiles(t *testing.T) {
	text, want := linesOf(3)
	long := fmt.Sprintf(`{"DeviceId":"m9","DiskPaths":[%s"end"]}`, strings.Repeat(`"C:\\Program Files\\a",`, 50_000)) // 1.2 MB
	for _, test := range []struct {
		name, body string
		want       []string
	}{
		{"gzip", packed(text), want},
		{"plain text", text, want},
		{"no newline at the end", strings.TrimSpace(text), want},
		{"CR LF and blank lines", "\r\n" + strings.ReplaceAll(text, "\n", "\r\n\r\n"), want},
		{"BOM", "\xef\xbb\xbf" + text, want},
		{"gzip with BOM", packed("\xef\xbb\xbf" + text), want},
		{"gzip of nothing", packed(""), nil},
		{"two gzip members", packed(text) + packed(`{"DeviceId":"m3"}`), append(slices.Clone(want), "m3")},
		{"a long line", packed(long + "\n" + `{"DeviceId":"m10"}`), []string{"m9", "m10"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFar(t)
			f.files = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, test.body) }
			got, err := ids(f.client().VulnerabilityFile(t.Context(), signedFile), deviceID)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%v, %v", got, err)
			}
			for _, r := range f.seen {
				if r.authorization != "" || r.query != "sv=2020&sig=xS1gnature%3D" || r.header.Get("Accept-Encoding") != "" {
					t.Errorf("asked with %+v", r)
				}
			}
		})
	}
}

// TestFilesThatAreNotWhole: none of these may look like a clean end.
func TestFilesThatAreNotWhole(t *testing.T) {
	text, _ := linesOf(2000)
	whole := packed(text)
	broken := []byte(whole)
	broken[len(broken)/2] ^= 0x55
	checksum := []byte(whole)
	checksum[len(checksum)-6] ^= 1
	for name, body := range map[string]string{
		"gzip cut in the middle":    whole[:len(whole)/2],
		"gzip cut in its trailer":   whole[:len(whole)-4],
		"gzip without trailer":      whole[:len(whole)-8],
		"gzip header alone":         whole[:10],
		"magic bytes alone":         whole[:2],
		"gzip damaged":              string(broken),
		"gzip with other checksum":  string(checksum),
		"second member cut":         whole + whole[:len(whole)/3],
		"garbage after it":          whole + "garbage",
		"text cut in a row":         text[:len(text)-9],
		"gzip of text cut in a row": packed(text[:len(text)-9]),
	} {
		f := newFar(t)
		f.files = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
		got, err := ids(f.client().VulnerabilityFile(t.Context(), signedFile), deviceID)
		if !hasKind(err, BadAnswer) {
			t.Errorf("%s: %d rows, %v", name, len(got), err)
		}
		clean(t, err)
	}
}

func TestALineThatIsNotJSONIsRejectedAlone(t *testing.T) {
	f := newFar(t)
	f.files = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, packed("{\"DeviceId\":\"m1\"}\n{\"DeviceId\":\"m2\",\"CveId\n{\"CvssScore\":{},\"DeviceId\":\"m3\"}\n{\"DeviceId\":\"m4\"}\n"))
	}
	var got []string
	for row, err := range f.client().VulnerabilityFile(t.Context(), signedFile) {
		switch {
		case err != nil:
			t.Fatal(err)
		case row.Rejected != nil:
			got = append(got, "rejected "+row.Rejected.Machine+": "+row.Rejected.Reason)
		default:
			got = append(got, row.Value.DeviceID.Value)
		}
	}
	if len(got) != 4 || got[0] != "m1" || !strings.HasPrefix(got[1], "rejected : line 2 is not a row in JSON") || !strings.HasPrefix(got[2], "rejected m3: cvssScore") || got[3] != "m4" {
		t.Errorf("%q", got)
	}
}

func TestAnEmptyFileIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t)
		f.files = giving(200, "")
		_, err := ids(f.client().VulnerabilityFile(t.Context(), signedFile), deviceID)
		if !errors.Is(err, ErrEmptyFile) || len(f.seen) != emptyTries {
			t.Errorf("%v after %d tries", err, len(f.seen))
		}
		clean(t, err)
		text, want := linesOf(2)
		f.files = sequence(giving(200, ""), giving(200, ""), giving(200, packed(text)))
		if got, err := ids(f.client().VulnerabilityFile(t.Context(), signedFile), deviceID); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestStorageRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		is     error
		kind   Kind
	}{
		{"expired", giving(403, string(sample(t, "blob-error-403-sas-expired.xml")), "Content-Type", "application/xml"), ErrExpiredLink, ""},
		{"firewall", giving(403, "<Error><Code>AuthorizationFailure</Code></Error>", "Content-Type", "application/xml"), nil, Unauthorized},
		{"refused", giving(403, "no", "Content-Type", "text/plain"), nil, Unauthorized},
		{"page", giving(403, "<html>blocked", "Content-Type", "text/html"), nil, Proxy},
		{"page as file", giving(200, "<html>log in", "Content-Type", "text/html"), nil, BadAnswer},
		{"gone", giving(404, "<Error><Code>BlobNotFound</Code></Error>", "Content-Type", "application/xml"), nil, NotFound},
		{"bad request", giving(400, "<Error><Code>InvalidHeaderValue</Code></Error>", "Content-Type", "application/xml"), nil, BadAnswer},
		{"busy", giving(503, "<Error><Code>ServerBusy</Code></Error>", "Content-Type", "application/xml"), nil, ServerFault},
		{"redirect", giving(302, "", "Location", "https://evil.example"), nil, Proxy},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFar(t)
			f.files = test.answer
			_, err := ids(f.client().VulnerabilityFile(t.Context(), signedFile), deviceID)
			if test.is != nil && !errors.Is(err, test.is) || test.kind != "" && !hasKind(err, test.kind) {
				t.Errorf("%s: %v", test.name, err)
			}
			if !strings.Contains(err.Error(), "blob.example/VaExport/part-1.json.gz") {
				t.Errorf("%s: which file? %v", test.name, err)
			}
			clean(t, err)
		})
	}
}

// cutting serves a file and cuts the connection after some bytes, as often as
// there are numbers; ranges says whether it can begin in the middle.
func cutting(content string, ranges bool, tag func(n int) string, cuts ...int) http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("ETag", tag(n))
		send := content
		if from := 0; ranges && r.Header.Get("Range") != "" {
			_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
			send = content[from:]
			defer w.WriteHeader(http.StatusPartialContent)
			w.Header().Set("Content-Length", fmt.Sprint(len(send)))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(send)))
		}
		if n <= len(cuts) {
			_, _ = io.WriteString(w, send[:min(cuts[n-1], len(send)-1)])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, send)
	}
}

func TestACutDownloadGoesOn(t *testing.T) {
	text, want := linesOf(20_000)
	content := packed(text)
	same := func(int) string { return `"tag"` }
	for _, test := range []struct {
		name string
		far  http.HandlerFunc
		kind Kind
		most int // requests
	}{
		{"from the middle", cutting(content, true, same, 10_000, 20_000, 30_000), "", 4},
		{"from the beginning", cutting(content, false, same, 10_000, 20_000, 30_000), "", 4},
		{"before the first byte", cutting(content, true, same, 0, 0, 0), "", 4},
		{"another file", cutting(content, true, func(n int) string { return fmt.Sprint(n) }, 10_000), BadAnswer, 2},
		{"again and again", cutting(content, true, same, slices.Repeat([]int{0}, 50)...), Unreachable, 2 + maxCuts},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFar(t)
				f.files = test.far
				got, err := ids(f.client().VulnerabilityFile(t.Context(), signedFile), deviceID)
				if test.kind == "" && (err != nil || !slices.Equal(got, want)) || test.kind != "" && !hasKind(err, test.kind) {
					t.Errorf("%d rows, %v", len(got), err)
				}
				if len(f.seen) > test.most {
					t.Errorf("%d requests", len(f.seen))
				}
				clean(t, err)
			})
		})
	}
}

func TestALinkThatExpiresWhileItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text, _ := linesOf(20_000)
		f := newFar(t)
		f.files = sequence(cutting(packed(text), true, func(int) string { return "" }, 10_000), giving(403, string(sample(t, "blob-error-403-sas-expired.xml"))))
		if _, err := ids(f.client().VulnerabilityFile(t.Context(), signedFile), deviceID); !errors.Is(err, ErrExpiredLink) {
			t.Error(err)
		}
	})
}

func TestLinesAreBounded(t *testing.T) {
	l, err := newLines(io.MultiReader(strings.NewReader(`{"DeviceId":"m1"}`+"\n"), &endless{left: 2 * maxLine}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.next(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.next(); err == nil || !strings.Contains(err.Error(), "line 2 of the file is longer than 67108864 bytes") {
		t.Error(err)
	}
}

// endless is a line without end.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.left -= n
	return n, nil
}

func TestStoppingInTheMiddleOfAFile(t *testing.T) {
	text, _ := linesOf(50_000)
	f := newFar(t)
	f.files = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, packed(text)) }
	c := f.client()
	for range 3 {
		for row, err := range c.VulnerabilityFile(t.Context(), signedFile) {
			if err != nil || row.Value.DeviceID.Value != "m0" {
				t.Error(row, err)
			}
			break
		}
	}
	if c.Traffic().Calls != 3 || c.Traffic().Bytes == 0 {
		t.Errorf("%+v", c.Traffic())
	}
}

func TestFilesInTwoGoroutinesAtOnce(t *testing.T) {
	text, want := linesOf(3000)
	f := newFar(t)
	f.files = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, packed(text)) }
	c := f.client()
	results := make(chan error)
	for range 4 {
		go func() {
			got, err := ids(c.VulnerabilityFile(t.Context(), signedFile), deviceID)
			if err == nil && !slices.Equal(got, want) {
				err = errors.New("other rows")
			}
			results <- err
		}()
	}
	for range 4 {
		select {
		case err := <-results:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("no end")
		}
	}
}
