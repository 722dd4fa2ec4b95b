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

// ParseLocal reads "SCHEME:PATH[:TAG]". Both a path and a tag may hold colons, so the longest prefix that exists
// is the path; when none does, the first colon ends it. exists is asked about clean absolute paths.
func ParseLocal(s string, exists func(path string) bool) (Local, error) {
	scheme, rest, ok := strings.Cut(s, ":")
	if strings.HasPrefix(rest, "///") { // oci:///dir, as a URL would have it
		rest = rest[2:]
	}
	switch {
	case !ok || rest == "":
		return Local{}, plugin.Errorf(reason.ReferenceInvalid, "parse reference %s: it names no path; wanted is SCHEME:PATH[:TAG]", fault.Quote(s))
	case strings.ContainsRune(rest, 0):
		return Local{}, plugin.Errorf(reason.ReferenceInvalid, "parse reference %s: a path has no NUL byte", fault.Quote(s))
	case !filepath.IsAbs(rest):
		// The process does not run in the caller's working directory.
		return Local{}, plugin.Errorf(reason.ReferenceInvalid, "parse reference %s: the path must be absolute here", fault.Quote(s))
	}
	path, tag := rest, ""
	for {
		if exists(filepath.Clean(path)) {
			break
		}
		i := strings.LastIndexByte(path, ':')
		if i <= 0 {
			path, tag, _ = strings.Cut(rest, ":")
			break
		}
		path, tag = path[:i], rest[i+1:]
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
