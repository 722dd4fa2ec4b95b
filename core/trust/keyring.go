package trust

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	ringDir   = "trustedkeys"
	rootDir   = "root.d"
	prefixDir = "prefix.d"
)

// Keyring is the two trees of trusted keys. It holds no state: each call reads the directories again.
type Keyring struct {
	system, local string // .../trustedkeys; system may be ""
}

// Open returns the keyring below the two configuration directories (/usr/lib/rkt and /etc/rkt, say). Neither
// has to exist. An empty systemConfig means that there is no vendor tree.
func Open(systemConfig, localConfig string) *Keyring {
	k := &Keyring{local: filepath.Join(localConfig, ringDir)}
	if systemConfig != "" {
		k.system = filepath.Join(systemConfig, ringDir)
	}
	return k
}

// Key is one trusted key.
type Key struct {
	Path   string // the file, readable by everybody
	ID     string // fingerprint, lower-case hex; also the file's name
	Prefix string // what it is trusted for; Root for every name
}

// KeysFor returns the keys that count for an image name: those of root.d, of the name itself, and of all
// prefixes of it by component. No key at all is not an error. A key file that is not what its name says is
// one, since silently leaving it out would hide why an image is refused.
func (k *Keyring) KeysFor(name string) ([]Key, error) {
	parts, err := components(name)
	if err != nil {
		return nil, fmt.Errorf("find trusted keys: %w", err)
	}
	places := []string{Root}
	for i := range parts {
		places = append(places, strings.Join(parts[:i+1], "/"))
	}
	var keys []Key
	for _, p := range places {
		found, err := k.keysAt(p)
		if err != nil {
			return nil, fmt.Errorf("find trusted keys for %s: %w", name, err)
		}
		keys = append(keys, found...)
	}
	return keys, nil
}

// place is the directory of a prefix below a tree.
func place(prefix string) string {
	if prefix == Root {
		return rootDir
	}
	return filepath.Join(prefixDir, filepath.FromSlash(prefix))
}

// keysAt merges the two trees at one place, sorted by fingerprint.
func (k *Keyring) keysAt(prefix string) ([]Key, error) {
	paths := map[string]string{} // fingerprint -> file
	for _, tree := range []string{k.system, k.local} {
		if tree == "" {
			continue
		}
		dir := filepath.Join(tree, place(prefix))
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() || !fingerprintRE.MatchString(e.Name()) {
				continue // a longer prefix, or no key of ours; List names the latter
			}
			path := filepath.Join(dir, e.Name())
			mask, err := checkFile(path)
			if err != nil {
				return nil, err
			}
			if mask {
				delete(paths, e.Name())
				continue
			}
			paths[e.Name()] = path
		}
	}
	keys := make([]Key, 0, len(paths))
	for id, path := range paths {
		keys = append(keys, Key{Path: path, ID: id, Prefix: prefix})
	}
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Compare(a.ID, b.ID) })
	return keys, nil
}

// checkFile reads one key file and compares it with its name; mask means that it is empty.
func checkFile(path string) (mask bool, err error) {
	b, err := readKeyFile(path)
	if err != nil {
		return false, err
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return true, nil
	}
	keys, err := readKeys(b)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	if len(keys) != 1 {
		return false, fmt.Errorf("%s: holds %d keys, only one of them has the name; add them with `rkt trust`, which splits them", path, len(keys))
	}
	if got := fingerprint(keys[0]); got != filepath.Base(path) {
		return false, fmt.Errorf("%s: holds key %s, which is not its name; rename it or remove it", path, got)
	}
	return false, nil
}

// readKeyFile reads a bounded regular file. O_NONBLOCK: a fifo in the keyring must not hang rkt.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s: is a %s, not a regular file", path, fi.Mode().Type())
	case fi.Mode().Perm()&0o002 != 0:
		return nil, fmt.Errorf("%s: everybody can write it (mode %04o), so it proves nothing: chmod o-w it after checking its content", path, fi.Mode().Perm())
	case fi.Size() > maxKeyBytes:
		return nil, fmt.Errorf("%s: %d bytes are more than a key file can have (%d)", path, fi.Size(), maxKeyBytes)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeyBytes))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}
