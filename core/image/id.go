package image

import (
	"errors"
	"fmt"

	"strings"

	"github.com/rkt/rkt/v2/core/internal/pattern"
)

var (
	fullIDRE = pattern.New(`^(?:sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})$`)
	hexRE    = pattern.New(`^[0-9a-f]+$`)
)

// minIDPrefix is the least number of hex digits that name an image.
const minIDPrefix = 2

// ValidID says whether s is a whole image ID: "sha256-" or "sha512-" and lower-case hex.
func ValidID(s string) bool { return fullIDRE.MatchString(s) }

// parseID recognises an ID or a prefix of one. ok is false for what looks like no ID at all.
func parseID(s string) (id string, ok bool, err error) {
	for _, alg := range []string{"sha256", "sha512"} {
		rest, found := strings.CutPrefix(s, alg)
		if !found || rest == "" || (rest[0] != '-' && rest[0] != ':') {
			continue
		}
		hex, full := strings.ToLower(rest[1:]), 64
		if alg == "sha512" {
			full = 128
		}
		switch {
		case hex != "" && !hexRE.MatchString(hex):
			return "", false, nil // a name such as sha256-tools
		case len(hex) < minIDPrefix:
			return "", true, fmt.Errorf("an image ID needs at least %d hex digits", minIDPrefix)
		case len(hex) > full:
			return "", true, errors.New("an image ID of " + alg + " has fewer hex digits")
		}
		return alg + "-" + hex, true, nil
	}
	return "", false, nil
}
