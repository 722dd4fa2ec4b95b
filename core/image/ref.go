package image

import (
	"errors"
	"fmt"
	"path/filepath"

	"strings"

	"github.com/rkt/rkt/v2/core/internal/pattern"
)

// The schemes that this package knows. Others pass through for vendors' fetchers.
const (
	Docker        = "docker"
	OCI           = "oci"
	OCIArchive    = "oci-archive"
	DockerArchive = "docker-archive"
	ACI           = "aci"
	ACIFile       = "aci-file"
	HTTP          = "http"
	HTTPS         = "https"
	ID            = "id"
	Bare          = ""
)

// ErrInvalid is wrapped by every error of Parse.
var ErrInvalid = errors.New("invalid image name")

// maxName bounds a name; registries stop at 255 characters of path, file systems at 4095.
const maxName = 4096

// Ref is a parsed image name.
type Ref struct {
	Scheme string
	// Rest is the part after the scheme, normalised: for docker HOST/PATH:TAG or HOST/PATH@DIGEST, for aci
	// NAME[:VERSION][,LABEL=VALUE...] with the labels sorted, for id "sha256-HEX". Of paths it is what was given.
	Rest string
	Raw  string // as typed
}

var schemeRE = pattern.New(`^[a-z][a-z0-9+.-]*$`)

// Parse reads an image name.
func Parse(s string) (Ref, error) {
	r, err := parse(s)
	if err != nil {
		return Ref{}, fmt.Errorf("%w %q: %w", ErrInvalid, shorten(s), err)
	}
	if r.IsLocal() && strings.HasPrefix(r.Rest, "//") {
		r.Rest = "/" + strings.TrimLeft(r.Rest, "/") // so that String does not read as scheme://
	}
	r.Raw = s
	return r, nil
}

func parse(s string) (Ref, error) {
	if err := checkText(s); err != nil {
		return Ref{}, err
	}
	if id, ok, err := parseID(s); ok || err != nil {
		return Ref{Scheme: ID, Rest: id}, err
	}
	if strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") {
		return Ref{Scheme: ACIFile, Rest: s}, nil
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok && schemeRE.MatchString(scheme) {
		if rest == "" {
			return Ref{}, fmt.Errorf("nothing follows %s", s)
		}
		return parseScheme(scheme, rest)
	}
	if scheme, rest, ok := strings.Cut(s, ":"); ok {
		switch scheme {
		case Docker, OCI, OCIArchive, DockerArchive, ACIFile:
			if rest == "" {
				return Ref{}, fmt.Errorf("nothing follows %s", s)
			}
			return parseScheme(scheme, rest)
		case "file":
			return Ref{}, errors.New("write file:///ABSOLUTE/PATH, or the path alone")
		}
	}
	if strings.HasSuffix(s, ".aci") {
		return Ref{Scheme: ACIFile, Rest: s}, nil
	}
	r := Ref{Scheme: Bare, Rest: s}
	if len(r.Candidates(nil)) == 0 {
		_, err := parseDocker(s)
		return Ref{}, fmt.Errorf("it is no path, no scheme://name and no name of a registry's image: %w", err)
	}
	return r, nil
}

func parseScheme(scheme, rest string) (Ref, error) {
	var err error
	switch scheme {
	case Docker:
		rest, err = normalDocker(rest)
	case ACI:
		rest, err = normalACI(rest)
	case OCI, OCIArchive, DockerArchive:
		if path, _ := splitPath(rest); path == "" {
			err = errors.New("the path is empty")
		}
	case "file":
		scheme = ACIFile
		if !strings.HasPrefix(rest, "/") {
			err = fmt.Errorf("file:// wants an absolute path, write file:///%s or ./%s", rest, rest)
		}
	case HTTP, HTTPS:
		err = checkURL(rest)
	}
	return Ref{Scheme: scheme, Rest: rest}, err
}

// checkURL holds to appc: only a path that ends in .aci is an image, so that a slip of docker://HOST/X into
// https://HOST/X is not fetched as one.
func checkURL(rest string) error {
	path, _, _ := strings.Cut(rest, "?")
	host, file, ok := strings.Cut(path, "/")
	switch {
	case host == "" || !ok:
		return errors.New("the URL names no file on a host")
	case strings.Contains(host, "@"):
		return errors.New("credentials do not belong into an image name; put them into a file of auth.d")
	case !strings.HasSuffix(file, ".aci"):
		return errors.New("only a URL whose path ends in .aci is an image; for a registry write docker://" + shorten(path))
	}
	return nil
}

// String is the normal form, with its scheme. Of a bare name and an ID it is the name itself.
func (r Ref) String() string {
	switch r.Scheme {
	case Bare, ID:
		return r.Rest
	case OCI, OCIArchive, DockerArchive, ACIFile:
		return r.Scheme + ":" + r.Rest
	}
	return r.Scheme + "://" + r.Rest
}

// IsLocal says whether the reference is a file or directory of this host: read again on every fetch.
func (r Ref) IsLocal() bool {
	switch r.Scheme {
	case OCI, OCIArchive, DockerArchive, ACIFile:
		return true
	}
	return false
}

// Path splits a local reference into its path and what follows it (a tag, or a docker-archive's name).
// ok is false when the reference is not local.
func (r Ref) Path() (path, tag string, ok bool) {
	switch {
	case !r.IsLocal():
		return "", "", false
	case r.Scheme == ACIFile:
		return r.Rest, "", true
	}
	path, tag = splitPath(r.Rest)
	return path, tag, true
}

// Abs makes the path of a local reference absolute against dir and clean. Others return as they are. A plugin
// has a working directory of its own, so core calls this before it hands a name on.
func (r Ref) Abs(dir string) Ref {
	path, tag, ok := r.Path()
	if !ok {
		return r
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	r.Rest = filepath.Clean(path)
	if tag != "" {
		r.Rest += ":" + tag
	}
	return r
}

// splitPath cuts at the first colon, as skopeo does: a tag may hold slashes and colons, a path with a colon
// cannot be named in these schemes.
func splitPath(s string) (path, tag string) {
	path, tag, _ = strings.Cut(s, ":")
	return path, tag
}

// DefaultSearch is what a bare name stands for when the configuration (image.search) says nothing.
func DefaultSearch() []string { return []string{Docker, ACI} }

// Candidates returns what a bare name may stand for, in the order of the schemes given (nil: DefaultSearch).
// A scheme in which the name cannot be written is left out. Any other reference is its own only candidate.
func (r Ref) Candidates(search []string) []Ref {
	if r.Scheme != Bare {
		return []Ref{r}
	}
	if search == nil {
		search = DefaultSearch()
	}
	var out []Ref
	for _, scheme := range search {
		if c, err := parseScheme(scheme, r.Rest); err == nil {
			c.Raw = r.Raw
			out = append(out, c)
		}
	}
	return out
}
