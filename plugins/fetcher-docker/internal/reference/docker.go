package reference

import (
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

const (
	dockerHub     = "docker.io"
	dockerHubHost = "registry-1.docker.io" // docker.io itself is a web site
	defaultTag    = "latest"
	longestName   = 255 // registry and repository together, as the distribution spec has it
)

// Docker is the name of an image in a registry, with all defaults filled in.
type Docker struct {
	Registry   string // host[:port]
	Repository string // "library/busybox"
	Tag        string // empty when there is a digest
	Digest     string // "sha256:..." or empty
}

// ParseDocker reads "[HOST[:PORT]/]PATH[:TAG][@DIGEST]", with "docker://" or "docker:" before it or not. With a
// digest the tag says nothing any more and is dropped.
func ParseDocker(s string) (Docker, error) {
	invalid := func(format string, args ...any) (Docker, error) {
		return Docker{}, plugin.Errorf(reason.ReferenceInvalid, "parse reference "+fault.Quote(s)+": "+format, args...)
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(s, "docker:"), "//")
	var r Docker
	rest, digest, hasDigest := strings.Cut(rest, "@")
	if hasDigest {
		if _, _, err := ocilayout.SplitDigest(digest); err != nil {
			return invalid("%w", err)
		}
		r.Digest = digest
	}
	r.Registry, rest = cutRegistry(rest)
	if !validHost(r.Registry) {
		return invalid("%s is no host[:port]", fault.Quote(r.Registry))
	}
	path, tag, hasTag := strings.Cut(rest, ":")
	switch {
	case hasTag && !validTag(tag):
		return invalid("tag %s: wanted are letters, digits, '_', '.' and '-', at most 128", fault.Quote(tag))
	case hasDigest:
	case hasTag:
		r.Tag = tag
	default:
		r.Tag = defaultTag
	}
	if r.Registry == dockerHub && path != "" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	r.Repository = path
	if path == "" {
		return invalid("there is no repository; an example is docker://%s/library/busybox:latest", dockerHub)
	}
	for component := range strings.SplitSeq(path, "/") {
		if !validComponent(component) {
			if validComponent(strings.ToLower(component)) {
				return invalid("repository names are lower case: %s", fault.Quote(strings.ToLower(path)))
			}
			return invalid("repository component %s: wanted are lower case letters and digits, with single '.', '_', '__' or '-' between them", fault.Quote(component))
		}
	}
	if len(r.Registry)+1+len(r.Repository) > longestName {
		return invalid("the name is longer than %d bytes", longestName)
	}
	return r, nil
}

// cutRegistry takes the first component for a host when it can be one: docker's own rule.
func cutRegistry(s string) (registry, rest string) {
	first, rest, ok := strings.Cut(s, "/")
	if !ok || (!strings.ContainsAny(first, ".:") && first != "localhost") {
		return dockerHub, s
	}
	return Registry(first), rest
}

// Registry is the one name of a registry that has several, in lower case. Credentials are filed under any of them.
func Registry(host string) string {
	host = strings.ToLower(host)
	if host == "index.docker.io" || host == dockerHubHost {
		return dockerHub
	}
	return host
}

// APIHost is the host[:port] that serves the registry.
func (r Docker) APIHost() string {
	if r.Registry == dockerHub {
		return dockerHubHost
	}
	return r.Registry
}

// Selector is what the manifest is asked for by: the digest, else the tag.
func (r Docker) Selector() string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.Tag
}

// String is the canonical name, which ParseDocker reads back to the same Docker.
func (r Docker) String() string {
	name := "docker://" + r.Registry + "/" + r.Repository
	if r.Digest != "" {
		return name + "@" + r.Digest
	}
	return name + ":" + r.Tag
}
