package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/appc"
)

const (
	maxPath      = 4096 // the kernel's PATH_MAX
	maxComponent = 255  // NAME_MAX
	// MaxEntries is the most that an image may have.
	MaxEntries = 2_000_000
)

// Entry is one tar header that may be in an ACI.
type Entry struct {
	*tar.Header
	Manifest bool
	Path     string // below rootfs, without a leading slash; "" is rootfs itself
}

// Reader reads the entries of an ACI and refuses what may not be in one.
type Reader struct {
	tr *tar.Reader
	n  int
}

// NewReader reads an uncompressed ACI.
func NewReader(r io.Reader) *Reader { return &Reader{tr: tar.NewReader(r)} }

// Next returns the next entry, or io.EOF.
func (r *Reader) Next() (Entry, error) {
	for {
		h, err := r.tr.Next()
		if errors.Is(err, io.EOF) {
			return Entry{}, io.EOF
		}
		if err != nil {
			return Entry{}, fmt.Errorf("read tar: %w", err)
		}
		if r.n++; r.n > MaxEntries {
			return Entry{}, fmt.Errorf("read tar: it has more than %d entries: %w", MaxEntries, ErrTooLarge)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue // metadata of git archive and the like
		}
		e, skip, err := classify(h)
		if err != nil {
			return Entry{}, fmt.Errorf("entry %q: %w", clip(h.Name), err)
		}
		if !skip {
			return e, nil
		}
	}
}

// Read reads the content of the present entry.
func (r *Reader) Read(p []byte) (int, error) { return r.tr.Read(p) }

func classify(h *tar.Header) (e Entry, skip bool, err error) {
	name, err := cleanName(h.Name)
	if err != nil {
		return Entry{}, false, err
	}
	switch {
	case name == "." && h.Typeflag == tar.TypeDir:
		return Entry{}, true, nil // what `tar c .` puts first
	case name == "manifest":
		if h.Typeflag != tar.TypeReg {
			return Entry{}, false, errors.New("the manifest is not a regular file")
		}
		return Entry{Header: h, Manifest: true}, false, nil
	case name == "rootfs":
		if h.Typeflag != tar.TypeDir {
			return Entry{}, false, errors.New("rootfs is not a directory")
		}
		return Entry{Header: h}, false, nil
	case strings.HasPrefix(name, "rootfs/"):
		return Entry{Header: h, Path: strings.TrimPrefix(name, "rootfs/")}, false, nil
	}
	return Entry{}, false, errors.New("an appc image holds `manifest` and `rootfs/` and nothing else")
}

// RootfsPath checks a name that must lie below rootfs, as that of a hard link's target, and strips rootfs.
func RootfsPath(name string) (string, error) {
	name, err := cleanName(name)
	if err != nil {
		return "", err
	}
	p, ok := strings.CutPrefix(name, "rootfs/")
	if !ok {
		return "", errors.New("it is not below rootfs")
	}
	return p, nil
}

// cleanName allows what tar programs write ("./a", "a/", "a//b") and refuses what leads elsewhere.
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("its name is empty")
	case len(name) > maxPath:
		return "", fmt.Errorf("its name has more than %d bytes", maxPath)
	case strings.ContainsRune(name, 0):
		return "", errors.New("its name holds a NUL")
	case path.IsAbs(name):
		return "", errors.New("its name is absolute")
	}
	for c := range strings.SplitSeq(name, "/") {
		if c == ".." {
			return "", errors.New("its name goes up with ..")
		}
		if len(c) > maxComponent {
			return "", fmt.Errorf("a component of its name has more than %d bytes", maxComponent)
		}
	}
	return path.Clean(name), nil
}

// Manifest finds and parses the image manifest of the ACI in f. It stops there: what follows is not looked at.
func Manifest(ctx context.Context, f *os.File) (*appc.Manifest, []byte, error) {
	r, err := Open(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	return findManifest(NewReader(r))
}

func findManifest(ar *Reader) (*appc.Manifest, []byte, error) {
	for {
		e, err := ar.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil, errors.New("it has no manifest, so it is no appc image")
		}
		if err != nil {
			return nil, nil, err
		}
		if !e.Manifest {
			continue
		}
		b, err := ReadManifest(ar, e)
		if err != nil {
			return nil, nil, err
		}
		m, err := appc.Parse(b)
		return m, b, err
	}
}

// ReadManifest reads the bytes of a manifest entry.
func ReadManifest(ar *Reader, e Entry) ([]byte, error) {
	if e.Size > appc.MaxManifestBytes {
		return nil, fmt.Errorf("the manifest's %d bytes are more than %d", e.Size, appc.MaxManifestBytes)
	}
	b, err := io.ReadAll(io.LimitReader(ar, appc.MaxManifestBytes))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return b, nil
}

func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}
