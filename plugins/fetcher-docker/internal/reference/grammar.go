package reference

import (
	"net/netip"
	"strconv"
	"strings"
)

// The grammar is the distribution spec's, written out: a plugin that lives for one call should not compile regular
// expressions first.

func lowerAlnum(b byte) bool { return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' }

func alnum(b byte) bool { return lowerAlnum(b) || b >= 'A' && b <= 'Z' }

// validComponent: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
func validComponent(s string) bool {
	for i := 0; ; {
		start := i
		for i < len(s) && lowerAlnum(s[i]) {
			i++
		}
		if i == start {
			return false
		}
		if i == len(s) {
			return true
		}
		start = i
		for i < len(s) && s[i] == s[start] {
			i++
		}
		switch n := i - start; {
		case s[start] == '-', s[start] == '_' && n <= 2, s[start] == '.' && n == 1:
		default:
			return false
		}
	}
}

// validTag: [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
func validTag(s string) bool {
	for i := range len(s) {
		if !alnum(s[i]) && s[i] != '_' && (i == 0 || s[i] != '.' && s[i] != '-') {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 128
}

// validLabel is one part of a host name.
func validLabel(s string) bool {
	for i := range len(s) {
		if !alnum(s[i]) && (s[i] != '-' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 63
}

func validHost(s string) bool {
	host := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host = s[:i]
		if port, err := strconv.ParseUint(s[i+1:], 10, 16); err != nil || port == 0 {
			return false
		}
	}
	if v6, ok := strings.CutPrefix(host, "["); ok {
		v6, ok = strings.CutSuffix(v6, "]")
		addr, err := netip.ParseAddr(v6)
		return ok && err == nil && addr.Is6() && addr.Zone() == ""
	}
	for label := range strings.SplitSeq(host, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return len(host) <= 253
}
