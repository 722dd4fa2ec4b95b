package pin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/core/internal/linux"
	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/manifest"
)

// Pins is a directory of pinned plugins.
type Pins struct {
	dir string
	// Insecure forgives owner and mode of what is pinned (--insecure-options=plugin).
	Insecure bool

	grace time.Duration
}

// grace is how long an unreferenced pin is kept after it was last asked for.
const grace = 10 * time.Minute

const (
	tmpPrefix = ".new-"
	indexDir  = "index"
)

// Open names the directory; it is made when it is needed.
func Open(dir string) *Pins { return &Pins{dir: filepath.Clean(dir), grace: grace} }

// ErrMissing is returned by Entry for a digest that nobody pinned, or that was removed by hand.
var ErrMissing = errors.New("no such pinned plugin")

// validDigest says whether s is a pin's name, and safe in a path.
func validDigest(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// Entry opens a pinned plugin.
func (p *Pins) Entry(digest string) (*plugin.Entry, error) {
	if !validDigest(digest) {
		return nil, fmt.Errorf("open pinned plugin %q: not a digest", digest)
	}
	e, err := plugin.OpenPinned(p.dir, filepath.Join(p.dir, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open pinned plugin %s below %s: %w", digest, p.dir, ErrMissing)
	}
	return e, err
}

// Pin copies the plugin, unless there is a copy, and returns the digest that names it.
func (p *Pins) Pin(e *plugin.Entry) (string, error) {
	if p.owns(e) {
		return filepath.Base(e.Dir), p.touch(filepath.Base(e.Dir)) // it is one of ours
	}
	files, src, err := p.open(e)
	if err != nil {
		return "", err
	}
	defer closeAll(files)
	if digest := p.lookup(e.Dir, src); digest != "" {
		if err := p.touch(digest); err == nil {
			return digest, nil
		}
	}
	digest, err := p.copy(e, files, src)
	if err != nil {
		return "", fmt.Errorf("pin plugin %s: %w", e.Name, err)
	}
	p.record(e.Dir, src, digest)
	return digest, nil
}

// open opens and checks the plugin's files, and notes which they are.
func (p *Pins) open(e *plugin.Entry) ([]*os.File, []source, error) {
	files, err := plugin.Files(e, os.Geteuid(), p.Insecure)
	if err != nil {
		return nil, nil, err
	}
	src, err := stat(files)
	if err != nil {
		closeAll(files)
		return nil, nil, fmt.Errorf("pin plugin %s: %w", e.Name, err)
	}
	return files, src, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// touch marks a pin as asked for. It fails when there is none.
func (p *Pins) touch(digest string) error {
	now := time.Now()
	return os.Chtimes(filepath.Join(p.dir, digest), now, now)
}

// copy makes <digest>/ out of open files.
func (p *Pins) copy(e *plugin.Entry, files []*os.File, src []source) (string, error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return "", err
	}
	d, err := p.temp()
	if err != nil {
		return "", err
	}
	defer d.Close()
	tmp := d.Name()
	defer linux.RemoveAll(tmp)
	sums := map[string]string{}
	for i, f := range files {
		sum, err := copyFile(tmp, src[i].Name, f)
		if err != nil {
			return "", err
		}
		sums[src[i].Name] = sum
	}
	// A package manager may have replaced a file in the middle: by name, then the manifest is another one now,
	// or by writing over it, then its times moved.
	again, err := stat(files)
	if err != nil {
		return "", err
	}
	if !slices.Equal(src, again) || !sameManifest(tmp, e.Manifest) {
		return "", errors.New("the plugin is being replaced at this moment; try again")
	}
	digest := name(sums)
	if err := d.Chmod(0o755); err != nil {
		return "", err
	}
	if err := d.Sync(); err != nil {
		return "", err
	}
	final := filepath.Join(p.dir, digest)
	if err := linux.RenameNoReplace(tmp, final); err != nil {
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		return digest, p.touch(digest) // another process was faster, with the same bytes
	}
	if err := syncDir(p.dir); err != nil {
		return "", err
	}
	return digest, p.touch(digest)
}

// temp makes a locked temporary directory. Until it is locked, a RemoveUnused elsewhere may take it for a dead
// process's; then another one is made.
func (p *Pins) temp() (*os.File, error) {
	for {
		tmp, err := os.MkdirTemp(p.dir, tmpPrefix)
		if err != nil {
			return nil, err
		}
		d, err := linux.OpenDir(tmp)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		err = linux.TryLock(d)
		if err == nil && linux.SameFile(d, tmp) {
			return d, nil
		}
		d.Close()
		if err != nil && !errors.Is(err, linux.ErrLocked) {
			return nil, err
		}
	}
}

// sameManifest says whether the copied plugin.json names the files that were copied.
func sameManifest(dir string, m *manifest.Manifest) bool {
	b, err := os.ReadFile(filepath.Join(dir, manifest.FileName))
	if err != nil {
		return false
	}
	n, err := manifest.Parse(b)
	if err != nil {
		return false
	}
	was, errA := json.Marshal(m)
	is, errB := json.Marshal(n)
	return errA == nil && errB == nil && string(was) == string(is)
}

func copyFile(dir, name string, from *os.File) (sum string, err error) {
	to, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(to, h), from); err != nil {
		return "", err
	}
	if err := to.Chmod(0o555); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), to.Sync()
}

// name is the digest of the sorted list of files.
func name(sums map[string]string) string {
	var names []string
	for n := range sums {
		names = append(names, n)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, n := range names {
		fmt.Fprintf(h, "%s\x00%s\n", n, sums[n])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func syncDir(path string) error {
	d, err := linux.OpenDir(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// source is what tells that a file is still the one that was hashed. ctime cannot be set by anybody.
type source struct {
	Name  string `json:"name"`
	Dev   uint64 `json:"dev"`
	Ino   uint64 `json:"ino"`
	Size  int64  `json:"size"`
	Mtime int64  `json:"mtime"` // ns
	Ctime int64  `json:"ctime"` // ns
}

func stat(files []*os.File) ([]source, error) {
	var out []source
	for _, f := range files {
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			return nil, &os.PathError{Op: "fstat", Path: f.Name(), Err: err}
		}
		out = append(out, source{
			Name: filepath.Base(f.Name()), Dev: st.Dev, Ino: st.Ino, Size: st.Size,
			Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
		})
	}
	return out, nil
}
