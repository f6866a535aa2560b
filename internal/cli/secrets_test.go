package cli

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// traces are the forms in which a secret, token or signature could show.
func traces() []string {
	all := []string{"Bearer ", "eyJ", "sig=", "sig%3D", "client_secret=", "client_assertion=", "PRIVATE KEY"}
	for _, secret := range []string{plantedSecret, wrongSecret} {
		quoted, err := json.Marshal(secret)
		if err != nil {
			panic(err) // a string always encodes
		}
		all = append(all, secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(quoted), `"`))
		// The encoding of a part of a longer text depends on where it begins.
		for skip := range 3 {
			whole := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", skip) + secret))
			all = append(all, whole[4:len(whole)-4], strings.NewReplacer("+", "-", "/", "_").Replace(whole[4:len(whole)-4]))
		}
	}
	return all
}

// leaksNothing fails where a text holds a secret, a token or a signature.
func leaksNothing(t *testing.T, what, text string) {
	t.Helper()
	for _, trace := range traces() {
		if at := strings.Index(text, trace); at >= 0 {
			t.Errorf("%s holds %q: …%.200q", what, trace, text[max(0, at-80):])
		}
	}
}
