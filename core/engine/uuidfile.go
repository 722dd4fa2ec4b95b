package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// saveUUID writes --uuid-file-save, as soon as the pod directory exists. Who waits for the file to appear sees
// all of it or none, so it is renamed into place; what is there and no regular file (/dev/stdout, a pipe) is
// written to.
func saveUUID(path, uuid string) error {
	if path == "" {
		return nil
	}
	if err := writeWhole(path, []byte(uuid)); err != nil {
		return fmt.Errorf("save pod UUID: %w", err)
	}
	return nil
}

// forgetUUID takes the file away again when the pod never came to be: its UUID would name nothing. What is no regular
// file, or names another pod by now, is left alone.
func forgetUUID(path, uuid string) {
	if path == "" {
		return
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return
	}
	if fi, err := os.Lstat(target); err != nil || !fi.Mode().IsRegular() {
		return
	}
	if b, err := os.ReadFile(target); err == nil && string(b) == uuid {
		os.Remove(target)
	}
}

func writeWhole(path string, b []byte) error {
	// A symlink stays one: its target is replaced.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if fi, err := os.Lstat(path); err == nil && !fi.Mode().IsRegular() {
		return os.WriteFile(path, b, 0o644)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if errors.Is(err, fs.ErrPermission) { // a file of one's own in a directory of others
		return os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
