package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeDirs makes dir and its missing parents with mode 0755 whatever the umask is: the verifier runs as another
// user. Where the parent is group-writable and setgid, as `rkt-admin` setups have it, so are the new ones.
func makeDirs(dir string) error {
	fi, err := os.Stat(dir)
	if err == nil {
		if !fi.IsDir() {
			return fmt.Errorf("%s: is not a directory", dir)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDirs(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	} else if err != nil {
		return nil // another rkt was faster; its mode is right
	}
	pi, err := os.Stat(parent)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o755)
	if pi.Mode()&fs.ModeSetgid != 0 {
		mode |= fs.ModeSetgid | pi.Mode()&0o020
	}
	if err := os.Chmod(dir, mode); err != nil {
		return err
	}
	return syncDir(parent)
}

// writeFile replaces path atomically: temporary file, fsync, rename, fsync of the directory. The temporary
// name starts with a dot, which no reader of the keyring takes for a key.
func writeFile(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Chmod(0o644); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some file systems cannot sync directories; there the rename is as durable as it gets.
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
