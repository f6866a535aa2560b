package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// The file store: signed, expiring links in place of a token, as Azure's blobs have them.

// linkVersion is the SAS version of the links (mde-api.md §8.5).
const linkVersion = "2020-08-04"

// signLink gives the query that opens a file from then until then.
func (s *Server) signLink(path string, from, until time.Time) string {
	st, se := from.UTC().Format(time.RFC3339), until.UTC().Format(time.RFC3339)
	return "sv=" + linkVersion + "&st=" + url.QueryEscape(st) + "&se=" + url.QueryEscape(se) +
		"&sr=b&sp=r&sig=" + url.QueryEscape(s.linkSignature(path, st, se))
}

func (s *Server) linkSignature(path, st, se string) string {
	mac := hmac.New(sha256.New, s.linkKey[:])
	_, _ = io.WriteString(mac, strings.Join([]string{"r", st, se, path, linkVersion, "b"}, "\n"))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// serveBlob answers a file request. It streams: nothing of a file is ever held.
func (s *Server) serveBlob(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.writeBlobError(w, http.StatusMethodNotAllowed, "UnsupportedHttpVerb", "The resource doesn't support specified Http Verb.", "")
		return
	}
	if r.Header.Get("Authorization") != "" {
		s.writeBlobError(w, http.StatusBadRequest, "InvalidAuthenticationInfo", "Authentication information is not given in the correct format. Check the value of Authorization header.", "")
		return
	}
	if detail := s.checkLink(r.URL.Path, r.URL.Query()); detail != "" {
		s.writeBlobError(w, http.StatusForbidden, "AuthenticationFailed", "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.", detail)
		return
	}
	f, file, found := s.findFile(r.URL.Path)
	if !found {
		s.blobNotFound(w)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("X-Ms-Request-Id", newGUID())
	w.Header().Set("X-Ms-Version", linkVersion)
	w.Header().Set("X-Ms-Blob-Type", "BlockBlob")
	if r.Method == http.MethodGet {
		writeFile(w, f, file)
	}
}

// checkLink says what is wrong with a link; "" = nothing.
func (s *Server) checkLink(path string, query url.Values) string {
	st, se := query.Get("st"), query.Get("se")
	if !hmac.Equal([]byte(query.Get("sig")), []byte(s.linkSignature(path, st, se))) || query.Get("sv") != linkVersion || query.Get("sr") != "b" || query.Get("sp") != "r" {
		return "Signature did not match."
	}
	from, _ := time.Parse(time.RFC3339, st) // signed, so it is ours
	until, _ := time.Parse(time.RFC3339, se)
	now := s.now()
	if now.Before(from) || now.After(until) {
		return "Signature not valid in the specified key time frame: Key start [" + httpTime(from) + "] - Key expiry [" + httpTime(until) + "] - Current [" + httpTime(now) + "]"
	}
	return ""
}

func httpTime(at time.Time) string { return at.UTC().Format(http.TimeFormat) }

var gzipWriters = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid
	return w
}}

// writeFile writes a file's rows, one JSON object a line, compressed.
func writeFile(w io.Writer, f *feed, file exportFile) {
	zip, ok := gzipWriters.Get().(*gzip.Writer)
	if !ok {
		return // the pool holds nothing else
	}
	defer gzipWriters.Put(zip)
	zip.Reset(w)
	out := newRowWriter(zip)
	for row := range file.rows(f) {
		out.buf = append(f.line(out.buf, row), '\n')
		if !out.spill() {
			return // the client is gone; the connection ends unfinished
		}
	}
	out.flush()
	_ = zip.Close() // as above
}

// writeBlobError answers as Azure's storage does (samples/blob-error-403-sas-expired.xml).
func (s *Server) writeBlobError(w http.ResponseWriter, status int, code, message, detail string) {
	id, at := newGUID(), s.now().UTC().Format("2006-01-02T15:04:05.0000000Z")
	body := struct {
		XMLName xml.Name `xml:"Error"`
		Code    string   `xml:"Code"`
		Message string   `xml:"Message"`
		Detail  string   `xml:"AuthenticationErrorDetail,omitempty"`
	}{Code: code, Message: message + "\nRequestId:" + id + "\nTime:" + at, Detail: detail}
	text, err := xml.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Ms-Request-Id", id)
	w.Header().Set("X-Ms-Error-Code", code)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "\ufeff"+`<?xml version="1.0" encoding="utf-8"?>`+strings.ReplaceAll(string(text), "&#xA;", "\n"))
}
