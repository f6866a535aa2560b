package defender

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
)

const redacted = "[secret]"

// Secret is a value that never shows: every print form of it, in fmt, JSON and
// slog, is "[secret]". Only the conversion string(s) reveals it.
type Secret string

// String returns "[secret]".
func (Secret) String() string { return redacted }

// Format writes "[secret]" for every verb, %#v and %x included.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[secret]"; encoding/json uses it too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[secret]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Link is a signed download address: who has it may read the file. Every print
// form of it lacks the query, which holds the signature.
type Link string

// String returns the address without its query.
func (l Link) String() string {
	u, err := url.Parse(string(l))
	if err != nil {
		return redacted
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// Format writes the address without its query for every verb.
func (l Link) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// MarshalText returns the address without its query.
func (l Link) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// LogValue returns the address without its query.
func (l Link) LogValue() slog.Value { return slog.StringValue(l.String()) }

var (
	// signed finds the parameters of a link or form that grant access.
	signed = regexp.MustCompile(`(?i)\b(sig|client_secret|client_assertion|access_token|password)(=|%3d)[^&\s"'<>]+`)
	// jwt finds tokens, also cut ones: a JSON object in base64 begins with "eyJ".
	jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*`)
)

// scrubber takes secrets out of texts that came from outside, which may echo them.
type scrubber struct{ hidden []string }

func newScrubber(secrets ...Secret) scrubber {
	var s scrubber
	for _, secret := range secrets {
		if plain := string(secret); plain != "" {
			s.hidden = append(s.hidden, plain, url.QueryEscape(plain), url.PathEscape(plain))
		}
	}
	return s
}

// text returns one line without secrets, tokens and signatures, at most 500 bytes long.
func (s scrubber) text(text string) string {
	for _, hidden := range s.hidden {
		text = strings.ReplaceAll(text, hidden, redacted)
	}
	text = signed.ReplaceAllString(text, "$1$2"+redacted)
	text = jwt.ReplaceAllString(text, redacted)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "…"
	}
	return text
}
