package reference

import (
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Local is an image in a file or directory of this host.
type Local struct {
	Scheme string // "oci", "oci-archive", "docker-archive"
	Path   string // absolute, clean
	Tag    string // may be empty
}

// ParseLocal reads "SCHEME:PATH[:TAG]". The first colon ends the path, as in core and in skopeo: a tag may hold
// colons and slashes (a docker-archive's are whole names), a path with a colon cannot be named.
func ParseLocal(s string) (Local, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	if strings.HasPrefix(rest, "///") { // oci:///dir, as a URL would have it
		rest = rest[2:]
	}
	path, tag, _ := strings.Cut(rest, ":")
	switch {
	case path == "":
		return Local{}, plugin.Errorf(reason.ReferenceInvalid, "parse reference %s: it names no path; wanted is SCHEME:PATH[:TAG]", fault.Quote(s))
	case strings.ContainsRune(path, 0):
		return Local{}, plugin.Errorf(reason.ReferenceInvalid, "parse reference %s: a path has no NUL byte", fault.Quote(s))
	case !filepath.IsAbs(path):
		// The process does not run in the caller's working directory.
		return Local{}, plugin.Errorf(reason.ReferenceInvalid, "parse reference %s: the path must be absolute here", fault.Quote(s))
	}
	return Local{Scheme: scheme, Path: filepath.Clean(path), Tag: tag}, nil
}

// String is the canonical name.
func (l Local) String() string {
	if l.Tag == "" {
		return l.Scheme + ":" + l.Path
	}
	return l.Scheme + ":" + l.Path + ":" + l.Tag
}
