package image

import (
	"errors"
	"fmt"

	"strings"

	"github.com/rkt/rkt/v2/core/internal/pattern"
)

// The grammar is the one of the distribution project (reference.go there is the definition in the field).
var (
	hostRE      = pattern.New(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?$`)
	componentRE = pattern.New(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagRE       = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	digestRE    = pattern.New(`^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
)

const (
	dockerHub  = "docker.io"
	hubLibrary = "library/"
	latest     = "latest"
)

// dockerRef is a registry reference in its parts. Digest wins over Tag.
type dockerRef struct{ host, path, tag, digest string }

func normalDocker(s string) (string, error) {
	d, err := parseDocker(s)
	if err != nil {
		return "", err
	}
	name := d.host + "/" + d.path
	if d.digest != "" {
		// The digest says all; with the tag kept, x:1@D and x@D would be two names of one image.
		return name + "@" + d.digest, nil
	}
	return name + ":" + d.tag, nil
}

func parseDocker(s string) (dockerRef, error) {
	var d dockerRef
	name, digest, ok := strings.Cut(s, "@")
	if ok {
		if !digestRE.MatchString(digest) {
			return d, fmt.Errorf("digest %q is not sha256: or sha512: and lower-case hex of the full length", shorten(digest))
		}
		d.digest = digest
	}
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.Contains(name[i:], "/") {
		name, d.tag = name[:i], name[i+1:]
		if !tagRE.MatchString(d.tag) {
			return d, fmt.Errorf("tag %q may have letters, digits, _ . - and 128 characters", shorten(d.tag))
		}
	} else {
		d.tag = latest
	}
	d.host, d.path = dockerHub, name
	// The first part is a host when it can be nothing else; a name on the hub has neither dot nor colon there.
	if host, path, ok := strings.Cut(name, "/"); ok &&
		(strings.ContainsAny(host, ".:") || host == "localhost" || host != strings.ToLower(host)) {
		d.host, d.path = strings.ToLower(host), path
	}
	if !hostRE.MatchString(d.host) {
		return d, fmt.Errorf("%q is no host[:port]", shorten(d.host))
	}
	switch d.host {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		d.host = dockerHub
	}
	if d.host == dockerHub && !strings.Contains(d.path, "/") {
		d.path = hubLibrary + d.path
	}
	return d, d.checkPath()
}

func (d dockerRef) checkPath() error {
	if len(d.path) > 255 {
		return errors.New("the path has more than 255 characters")
	}
	for c := range strings.SplitSeq(d.path, "/") {
		if !componentRE.MatchString(c) {
			return fmt.Errorf("%q may have lower-case letters and digits, joined by . _ or -", shorten(c))
		}
	}
	return nil
}
