package emulator

import (
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// compressed encodes answers as the service does: raw deflate when it is offered, else
// gzip when that is (recorded in 2024), else not at all.
func compressed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Encoding")
		encoding := offered(r.Header.Get("Accept-Encoding"))
		if encoding == "" {
			next.ServeHTTP(w, r)
			return
		}
		c := &compressWriter{ResponseWriter: w, encoding: encoding}
		defer c.close()
		next.ServeHTTP(c, r)
	})
}

func offered(header string) string {
	best := ""
	for part := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(part, ";")
		if strings.ReplaceAll(weight, " ", "") == "q=0" {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "deflate":
			return "deflate"
		case "gzip":
			best = "gzip"
		}
	}
	return best
}

// compressWriter begins to compress with the first byte, so that an answer without a body stays without.
type compressWriter struct {
	http.ResponseWriter
	encoding string
	out      io.WriteCloser
}

func (c *compressWriter) WriteHeader(status int) {
	c.Header().Set("Content-Encoding", c.encoding)
	c.ResponseWriter.WriteHeader(status)
}

func (c *compressWriter) Write(b []byte) (int, error) {
	if c.out == nil {
		c.Header().Set("Content-Encoding", c.encoding)
		var err error
		if c.encoding == "gzip" {
			c.out, err = gzip.NewWriterLevel(c.ResponseWriter, gzip.BestSpeed)
		} else {
			c.out, err = flate.NewWriter(c.ResponseWriter, flate.BestSpeed)
		}
		if err != nil {
			return 0, err
		}
	}
	return c.out.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (c *compressWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *compressWriter) close() {
	if c.out != nil {
		_ = c.out.Close() // the client may be gone
	}
}
