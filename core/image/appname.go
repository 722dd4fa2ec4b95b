package image

import (
	"path"

	"strings"

	"github.com/rkt/rkt/v2/core/internal/pattern"
)

// appc's ACName: what an app in a pod can be called.
var acNameRE = pattern.New(`^[a-z0-9]+(?:-[a-z0-9]+)*$`)

// maxAppName keeps an app's name usable as a file, cgroup and host name.
const maxAppName = 63

// ValidAppName says whether s can name an app of a pod.
func ValidAppName(s string) bool { return len(s) <= maxAppName && acNameRE.MatchString(s) }

// AppName makes an app's name of an image's: the last element of its path without tag, version or extension,
// in the letters that an app's name may have. It is "app" when nothing is left, as of an ID.
func AppName(r Ref) string {
	s := r.Rest
	switch r.Scheme {
	case ID:
		return "app"
	case OCI, OCIArchive, DockerArchive:
		s, _ = splitPath(s)
	case HTTP, HTTPS:
		s, _, _ = strings.Cut(s, "?")
	case ACIFile:
	default:
		s, _, _ = strings.Cut(s, ",")
		s, _, _ = strings.Cut(s, "@")
		if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
			s = s[:i]
		}
	}
	s = strings.ToLower(path.Base(s))
	for _, ext := range []string{".aci", ".tar", ".oci"} {
		s = strings.TrimSuffix(s, ext)
	}
	var b strings.Builder
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == maxAppName {
			break
		}
	}
	if name := strings.Trim(b.String(), "-"); name != "" {
		return name
	}
	return "app"
}
