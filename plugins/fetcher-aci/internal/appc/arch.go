package appc

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Platform is in Go's words, as in OCI images.
type Platform struct{ OS, Architecture, Variant string }

// linuxArches are the arch labels that schema 0.8 allows with os=linux.
func linuxArches() map[string]Platform {
	return map[string]Platform{
		"amd64":      {"linux", "amd64", ""},
		"i386":       {"linux", "386", ""},
		"aarch64":    {"linux", "arm64", ""},
		"aarch64_be": {"linux", "arm64be", ""},
		"armv6l":     {"linux", "arm", "v6"},
		"armv7l":     {"linux", "arm", "v7"},
		"armv7b":     {"linux", "armbe", "v7"},
		"ppc64le":    {"linux", "ppc64le", ""},
		"s390x":      {"linux", "s390x", ""},
	}
}

// Arch is the arch label for a platform: what discovery asks for.
func Arch(p Platform) (string, error) {
	all := linuxArches()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		x := all[name]
		if x.Architecture == p.Architecture && (x.Variant == p.Variant || p.Variant == "" && x.Variant == "v7" || p.Variant == "v8" && x.Variant == "") {
			return name, nil
		}
	}
	return "", fmt.Errorf("architecture %s has no name in appc", strings.TrimSuffix(p.Architecture+"/"+p.Variant, "/"))
}

// Platform reads the os and arch labels, which an image that runs must have.
func (m *Manifest) Platform() (Platform, error) {
	os, hasOS := m.Labels.Get("os")
	arch, hasArch := m.Labels.Get("arch")
	if !hasOS || !hasArch {
		return Platform{}, fmt.Errorf("image %s has no os and arch labels, so nobody knows what it runs on", m.Name)
	}
	p, ok := linuxArches()[arch]
	if os != "linux" || !ok {
		return Platform{}, fmt.Errorf("image %s is for os=%s,arch=%s, which is none of linux's: %s",
			m.Name, clip(os), clip(arch), strings.Join(slices.Sorted(maps.Keys(linuxArches())), ", "))
	}
	return p, nil
}

// RunsOn says why an image of platform p does not run on host, or nil.
func (p Platform) RunsOn(host Platform) error {
	older := p.Architecture == "arm" && p.Variant == "v6" // a later ARM runs it
	if p.OS == host.OS && p.Architecture == host.Architecture && (older || p.Variant == "" || host.Variant == "" || p.Variant == host.Variant) {
		return nil
	}
	return fmt.Errorf("it is for %s/%s, wanted is %s/%s", p.OS, p.Architecture, host.OS, host.Architecture)
}
