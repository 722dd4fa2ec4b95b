package launch

import (
	"slices"
	"strings"
)

// SourcePath is the path that core opens for a fetcher as FDSource, of a reference as a fetcher is given it; "" when
// there is none. Of rkt's own local schemes it is what stands before a tag (oci:/DIR:TAG), and own is true: without it
// there is no image. Of a vendor's scheme it is all of SCHEME:///ABSOLUTE/PATH, for whatever a slash means there: core
// donates it when there is such a file that the caller may read, and nothing when not. The caller named the path, and
// could have read it.
func SourcePath(reference string) (path string, own bool) {
	scheme, rest, _ := strings.Cut(reference, ":")
	switch scheme {
	case "aci-file":
		return rest, true
	case "oci", "oci-archive", "docker-archive":
		path, _, _ = strings.Cut(rest, ":")
		return path, true
	}
	path, ok := strings.CutPrefix(rest, "//")
	if !ok || !strings.HasPrefix(path, "/") || slices.Contains([]string{"docker", "aci", "http", "https"}, scheme) {
		return "", false
	}
	return path, false
}
