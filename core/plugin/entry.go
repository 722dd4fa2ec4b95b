package plugin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/proto/manifest"
)

// Entry is a plugin directory as discovery found it.
type Entry struct {
	Name     string
	Dir      string // absolute
	Manifest *manifest.Manifest
	// Err says why the entry cannot be used. Such an entry hides no other of its name.
	Err error
	// ShadowedBy is the directory of the plugin of the same name that comes first; empty when this one counts.
	ShadowedBy string
	// Masked says that the entry is no plugin but hides those of its name in later directories.
	Masked bool
	// Origin is, of a copy that rkt has just made, the directory that it was made of: messages name the files there.
	Origin string

	base string // directories above it are not judged (OpenPinned)
	raw  []byte // plugin.json as it was read
}

// Pinned says whether the entry is a copy that rkt made (OpenPinned).
func (e *Entry) Pinned() bool { return e.base != "" }

// usable says whether the entry can be chosen.
func (e *Entry) usable() bool { return e.Err == nil && !e.Masked && e.ShadowedBy == "" }

// Provides says whether the plugin provides service.
func (e *Entry) Provides(service string) bool {
	return e.Manifest != nil && e.Manifest.Provision(service) != nil
}

// shown is the path of a file of the plugin as messages name it.
func (e *Entry) shown(path string) string {
	if rest, below := strings.CutPrefix(path, e.Dir+"/"); below && e.Origin != "" {
		return filepath.Join(e.Origin, rest)
	}
	return path
}

// kind is one that the plugin can be started as, without privileges if there is such.
func (e *Entry) kind() Kind {
	for _, k := range []Kind{KindFetcher, KindVerifier, KindNetwork, KindStage1} {
		if e.Provides(k.Service()) {
			return k
		}
	}
	return KindVerifier
}

// Capable says whether the plugin claims an optional ability of a service.
func (e *Entry) Capable(service, capability string) bool {
	if !e.Provides(service) {
		return false
	}
	return slices.Contains(e.Manifest.Provision(service).Capabilities, capability)
}

// maxManifest bounds plugin.json.
const maxManifest = 256 << 10

// OpenDir reads the plugin in dir, a directory that somebody names: a developer's. Its name need not be the
// plugin's. Launch checks owners and modes as for any other.
func OpenDir(dir string) (*Entry, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("open plugin %q: not an absolute path", dir)
	}
	dir = filepath.Clean(dir)
	m, raw, err := readManifest(dir)
	if err != nil {
		return nil, fmt.Errorf("open plugin %s: %w", dir, err)
	}
	if m.Masked {
		return nil, fmt.Errorf("open plugin %s: its %s is a mask, not a plugin", dir, manifest.FileName)
	}
	return &Entry{Name: m.Name, Dir: dir, Manifest: m, raw: raw}, nil
}

// OpenPinned reads the plugin in dir, a copy that rkt made below base, its own directory. Launch does not judge
// what is above base: the data directory is where the caller wants it, be it below /tmp, and whoever could
// change it has all of rkt's state anyway.
func OpenPinned(base, dir string) (*Entry, error) {
	rel, err := filepath.Rel(base, dir)
	if err != nil || !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("open plugin %s: not below %s", dir, base)
	}
	e, err := OpenDir(dir)
	if err != nil {
		return nil, err
	}
	e.base = filepath.Clean(base)
	return e, nil
}

func readManifest(dir string) (*manifest.Manifest, []byte, error) {
	d, err := linux.OpenDir(dir)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	f, fi, err := linux.OpenBeneath(d, manifest.FileName)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("there is no %s in it (install its package anew; its author makes the file with rkt-NAME manifest DIR)", manifest.FileName)
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if fi.Size() > maxManifest {
		return nil, nil, fmt.Errorf("%s has %d bytes, more than %d", manifest.FileName, fi.Size(), maxManifest)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, nil, err
	}
	m, err := manifest.Parse(b)
	return m, b, err
}
