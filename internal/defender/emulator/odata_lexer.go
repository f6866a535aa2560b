package emulator

import (
	"fmt"
	"strings"
)

// invalidQuery is the 400 of a query that OData does not allow.
func invalidQuery(format string, args ...any) error {
	return badRequest("ODataError", "Invalid OData URI query ("+fmt.Sprintf(format, args...)+")")
}

// token is one word, literal or sign of a $filter; its kind is its first byte's class.
type token struct {
	kind tokenKind
	text string // a quoted literal without its quotes
	at   int    // byte offset in the filter
}

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // name, keyword, number, date or GUID
	tokenQuoted           // 'text', a quote inside is doubled
	tokenSign             // ( ) , :
)

// lexFilter takes a $filter apart (OData 4.01 URL conventions, §5.1.1).
func lexFilter(filter string) ([]token, error) {
	var tokens []token
	for i := 0; i < len(filter); {
		switch b := filter[i]; {
		case b == ' ' || b == '\t':
			i++
		case strings.IndexByte("(),", b) >= 0:
			tokens = append(tokens, token{tokenSign, filter[i : i+1], i})
			i++
		case b == '\'':
			text, size, err := lexQuoted(filter[i:])
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, token{tokenQuoted, text, i})
			i += size
		default:
			end := i + strings.IndexAny(filter[i:]+" ", " \t(),'")
			tokens = append(tokens, lexWord(filter[i:end], i)...)
			i = end
		}
	}
	return append(tokens, token{tokenEnd, "", len(filter)}), nil
}

func lexQuoted(rest string) (text string, size int, _ error) {
	var b strings.Builder
	for i := 1; i < len(rest); i++ {
		if rest[i] != '\'' {
			b.WriteByte(rest[i])
			continue
		}
		if i+1 < len(rest) && rest[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), i + 1, nil
	}
	return "", 0, invalidQuery("There is an unterminated string literal in the $filter.")
}

// lexWord parts the colon of a lambda variable from what is around it ("t:t"); dates keep theirs.
func lexWord(word string, at int) []token {
	colon := strings.IndexByte(word, ':')
	if colon < 0 || !isLetter(word[0]) && word[0] != ':' {
		return []token{{tokenWord, word, at}}
	}
	var tokens []token
	if colon > 0 {
		tokens = append(tokens, token{tokenWord, word[:colon], at})
	}
	tokens = append(tokens, token{tokenSign, ":", at + colon})
	if rest := word[colon+1:]; rest != "" {
		tokens = append(tokens, token{tokenWord, rest, at + colon + 1})
	}
	return tokens
}

func isLetter(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
