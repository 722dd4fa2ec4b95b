package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rkt/rkt/v2/core/internal/atomicfile"
	"github.com/rkt/rkt/v2/core/store/unpack"
)

// version of the layout on disk. A store of a later one is refused, not guessed at.
const version = "1"

// Store is one image store. It holds no state but the path; every method may be called from several goroutines.
type Store struct {
	root    string // <data>/store
	staging string // <data>/staging

	// Limits for layers of images to come. The zero value means the defaults.
	Limits unpack.Limits
}

// Open opens the store in dataDir and makes it when it is new.
func Open(dataDir string) (*Store, error) {
	dataDir, err := filepath.Abs(dataDir)
	if err != nil {
		return nil, fmt.Errorf("open image store: %w", err)
	}
	s := &Store{root: filepath.Join(dataDir, "store"), staging: filepath.Join(dataDir, "staging")}
	if err := s.open(dataDir); err != nil {
		return nil, fmt.Errorf("open image store %s: %w", s.root, err)
	}
	return s, nil
}

func (s *Store) open(dataDir string) error {
	b, err := os.ReadFile(filepath.Join(s.root, "version"))
	switch {
	case err == nil:
		if v := strings.TrimSpace(string(b)); v != version {
			return fmt.Errorf("it has version %.20q, this rkt knows %s: use the rkt that made it, or another --dir", v, version)
		}
		return s.checkOwner()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.MkdirAll(dataDir, 0o711); err != nil {
		return err
	}
	// Records may be read by the data directory's group. Layers may not: they hold setuid programs of strangers.
	// The way to staging is open, because a fetcher runs as a user of its own and writes below it.
	for _, d := range []struct {
		path string
		mode fs.FileMode
	}{
		{s.staging, 0o711},
		{s.root, 0o750},
		{s.path("images"), 0o750},
		{s.path("names"), 0o750},
		{s.path("blobs"), 0o750},
		{s.path("blobs", "sha256"), 0o750},
		{s.path("blobs", "sha512"), 0o750},
		{s.path("layers"), 0o700},
		{s.path("tmp"), 0o700},
	} {
		err := os.Mkdir(d.path, d.mode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		// The umask is the caller's; a store's modes are not. Setgid of the parent stays.
		fi, err := os.Stat(d.path)
		if err != nil {
			return err
		}
		if err := os.Chmod(d.path, d.mode|fi.Mode()&fs.ModeSetgid); err != nil {
			return err
		}
	}
	for _, name := range []string{"hold", "lock"} {
		f, err := os.OpenFile(s.path(name), os.O_CREATE|os.O_RDWR, 0o640)
		if err != nil {
			return err
		}
		f.Close()
	}
	if err := s.checkOwner(); err != nil {
		return err
	}
	// Last: a store with a version is complete.
	return atomicfile.Write(s.path("version"), []byte(version+"\n"), 0o640)
}

// checkOwner refuses a store that somebody else could change under a root rkt.
func (s *Store) checkOwner() error {
	fi, err := os.Lstat(s.root)
	if err != nil {
		return err
	}
	if !fi.IsDir() {
		return errors.New("it is not a directory")
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if os.Geteuid() == 0 && ok && st.Uid != 0 {
		return fmt.Errorf("it belongs to user %d: root uses only a store of its own, choose another --dir", st.Uid)
	}
	if fi.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("everybody may write to it (mode %04o): chmod o-w it", fi.Mode().Perm())
	}
	return nil
}

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.root}, elem...)...)
}

// layerDir is the directory of a diffID, or of a digest in general: "sha256:abc" lies in "sha256-abc".
func (s *Store) layerDir(diffID string) string { return s.path("layers", dashed(diffID)) }

func (s *Store) blobPath(digest string) string {
	alg, hex, _ := strings.Cut(digest, ":")
	return s.path("blobs", alg, hex)
}

func dashed(digest string) string { return strings.Replace(digest, ":", "-", 1) }
