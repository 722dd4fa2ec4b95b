package registry

import "strings"

// challenge is one item of WWW-Authenticate (RFC 9110, section 11.6.1).
type challenge struct {
	scheme string            // lower case
	params map[string]string // keys in lower case; of a repeated key the first counts
}

const (
	maxChallenges = 16
	maxParams     = 32
)

// parseChallenges reads all headers. It takes what it understands and skips the rest: a server may offer schemes
// that nobody knows, and a token68 after any of them.
func parseChallenges(headers []string) []challenge {
	var out []challenge
	for _, h := range headers {
		p := scanner{s: h}
		for len(out) < maxChallenges {
			p.skip(" \t,")
			scheme := p.token()
			if scheme == "" {
				break
			}
			ch := challenge{scheme: strings.ToLower(scheme), params: map[string]string{}}
			p.params(&ch)
			out = append(out, ch)
		}
	}
	return out
}

// scanner walks over one header.
type scanner struct {
	s string
	i int
}

func (p *scanner) skip(set string) {
	for p.i < len(p.s) && strings.IndexByte(set, p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *scanner) token() string {
	start := p.i
	for p.i < len(p.s) && isToken(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i]
}

func isToken(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}

// params reads key=value pairs up to the next challenge: a word that no '=' follows.
func (p *scanner) params(ch *challenge) {
	for {
		p.skip(" \t,")
		before := p.i
		key := p.token()
		p.skip(" \t")
		if key == "" || p.i >= len(p.s) || p.s[p.i] != '=' {
			if key == "" && p.i < len(p.s) { // a token68 or rubbish: leave this word out
				for p.i < len(p.s) && p.s[p.i] != ',' && p.s[p.i] != ' ' {
					p.i++
				}
				continue
			}
			p.i = before
			return
		}
		p.i++
		p.skip(" \t")
		value, ok := p.value()
		if !ok {
			return
		}
		key = strings.ToLower(key)
		if _, dup := ch.params[key]; !dup && len(ch.params) < maxParams {
			ch.params[key] = value
		}
	}
}

// value reads a token or a quoted string. Bare values of URLs, which some servers send, end at a comma.
func (p *scanner) value() (string, bool) {
	if p.i >= len(p.s) || p.s[p.i] != '"' {
		start := p.i
		for p.i < len(p.s) && p.s[p.i] != ',' && p.s[p.i] != ' ' && p.s[p.i] != '\t' {
			p.i++
		}
		return p.s[start:p.i], true
	}
	p.i++
	var b strings.Builder
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case '"':
			p.i++
			return b.String(), true
		case '\\':
			if p.i++; p.i == len(p.s) { // it escapes nothing: the string does not end
				return "", false
			}
			b.WriteByte(p.s[p.i])
		default:
			b.WriteByte(c)
		}
		p.i++
	}
	return "", false // the quote never ended
}
