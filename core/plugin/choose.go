package plugin

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/proto/reason"
)

// matching returns the usable plugins whose provision of service fits, in the order of precedence.
func (s *Set) matching(service string, fits func(*manifest.Provision) bool) []*Entry {
	var out []*Entry
	for i := range s.entries {
		e := &s.entries[i]
		if e.usable() && e.Provides(service) && fits(e.Manifest.Provision(service)) {
			out = append(out, e)
		}
	}
	return out
}

func anyOf(*manifest.Provision) bool { return true }

// Fetcher returns the fetcher of an image scheme ("docker"), without "://".
func (s *Set) Fetcher(scheme string) (*Entry, error) {
	found := s.matching(manifest.ServiceFetcher, func(p *manifest.Provision) bool {
		return slices.Contains(p.Schemes, scheme)
	})
	if len(found) == 0 {
		return nil, s.missing(fmt.Sprintf("image scheme %q", scheme), "fetcher-"+packageOf(scheme))
	}
	return found[0], nil
}

// packageOf guesses the package of a scheme: what the project itself ships, else the scheme's own name.
func packageOf(scheme string) string {
	switch scheme {
	case "docker", "oci", "oci-archive", "docker-archive":
		return "docker"
	case "aci", "aci-file", "http", "https":
		return "aci"
	}
	return scheme
}

// Converter returns the fetcher that makes an OCI image of a foreign media type.
func (s *Set) Converter(mediaType string) (*Entry, error) {
	found := s.matching(manifest.ServiceFetcher, func(p *manifest.Provision) bool {
		return slices.Contains(p.MediaTypes, mediaType)
	})
	if len(found) == 0 {
		pkg := ""
		if strings.Contains(mediaType, "appc") || strings.Contains(mediaType, ".aci") {
			pkg = "fetcher-aci"
		}
		return nil, s.missing(fmt.Sprintf("conversion of images of type %q", mediaType), pkg)
	}
	return found[0], nil
}

// Verifiers returns every verifier that judges images of a media type. There may be none: then a policy that
// requires a signature refuses.
func (s *Set) Verifiers(mediaType string) []*Entry {
	return s.matching(manifest.ServiceVerifier, func(p *manifest.Provision) bool {
		return len(p.MediaTypes) == 0 || slices.Contains(p.MediaTypes, mediaType)
	})
}

// Network returns the network plugin. Several are an error that says how to choose.
func (s *Set) Network() (*Entry, error) {
	found := s.matching(manifest.ServiceNetwork, anyOf)
	switch len(found) {
	case 0:
		return nil, s.missing("pod networks", "network-cni")
	case 1:
		return found[0], nil
	}
	return nil, &Error{Reason: reason.PluginMissing, Message: fmt.Sprintf(
		"several network plugins are installed: %s; hide all but one: ln -s /dev/null /etc/rkt/plugins.d/NAME", list(found))}
}

// DefaultFlavor runs pods where nobody says otherwise: namespaces need nothing but the host's own kernel.
const DefaultFlavor = "linux"

// Stage1 returns the stage1 that choice means: a flavor ("linux"), a plugin's name ("stage1-linux"), the
// absolute path of a plugin's directory, or "" for the only one there is, and among several for DefaultFlavor.
func (s *Set) Stage1(choice string) (*Entry, error) {
	if filepath.IsAbs(choice) {
		e, err := OpenDir(choice)
		if err != nil {
			return nil, err
		}
		if !e.Provides(manifest.ServiceStage1) {
			return nil, refuse(e, "it provides no %s", manifest.ServiceStage1)
		}
		return e, nil
	}
	all := s.matching(manifest.ServiceStage1, anyOf)
	if choice == "" {
		switch len(all) {
		case 0:
			return nil, s.missing("a stage1 (the part that runs pods)", "stage1-linux")
		case 1:
			return all[0], nil
		}
		for _, e := range all {
			if e.Manifest.Provision(manifest.ServiceStage1).Flavor == DefaultFlavor {
				return e, nil
			}
		}
		return nil, &Error{Reason: reason.PluginMissing, Message: fmt.Sprintf(
			"several stage1 plugins are installed: %s; choose with --stage1=FLAVOR, or set stage1 in the configuration", list(all))}
	}
	for _, e := range all {
		if e.Manifest.Provision(manifest.ServiceStage1).Flavor == choice {
			return e, nil
		}
	}
	for _, e := range all {
		if e.Name == choice {
			return e, nil
		}
	}
	err := s.missing(fmt.Sprintf("stage1 flavor %q", choice), "stage1-"+strings.TrimPrefix(choice, "stage1-"))
	if len(all) > 0 {
		err.Message += "; installed: " + list(all)
	}
	return nil, err
}

// list names candidates for a message.
func list(es []*Entry) string {
	var names []string
	for _, e := range es {
		name := fmt.Sprintf("%s %s (%s)", e.Name, e.Manifest.Version, e.Dir)
		if p := e.Manifest.Provision(manifest.ServiceStage1); p != nil && p.Flavor != "" {
			name = fmt.Sprintf("%s = %s", p.Flavor, name)
		}
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare)
	return strings.Join(names, ", ")
}

// missing says what nobody provides, where it was looked for, what of it was there but cannot be used, and how
// to get it.
func (s *Set) missing(what, plugin string) *Error {
	var b strings.Builder
	fmt.Fprintf(&b, "no plugin provides %s: looked in %s", what, strings.Join(s.dirs, ", "))
	shown := 0
	for _, e := range s.entries {
		switch {
		case e.Masked && e.Name == plugin && e.ShadowedBy == "":
			fmt.Fprintf(&b, "; %s is masked by %s", e.Name, e.Dir)
		case e.Err != nil && (shown < 3 || e.Name == plugin):
			fmt.Fprintf(&b, "; %s cannot be used: %v", e.Dir, e.Err)
			shown++
		}
	}
	if shipped(plugin) {
		fmt.Fprintf(&b, "; install the package rkt-%s", plugin)
	}
	return &Error{Reason: reason.PluginMissing, Message: b.String()}
}

// shipped says whether the project has a package of the plugin: a name that was guessed of what the user typed may be a
// vendor's, or a slip.
func shipped(plugin string) bool {
	switch plugin {
	case "fetcher-docker", "fetcher-aci", "network-cni", "stage1-linux", "stage1-qemu", "stage1-lkvm":
		return true
	}
	return false
}
