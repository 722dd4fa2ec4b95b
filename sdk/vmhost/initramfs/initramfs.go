package initramfs

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/vmhost/kernel"
)

// version is part of the cache's key: raise it when the archive's shape changes.
const version = "1"

// Contents is what goes into the archive.
type Contents struct {
	Init    string // the guest program
	Kernel  kernel.Kernel
	Modules []string // names of what the guest needs beyond what is built in; their own needs are found
}

// Cached returns the archive's path below dir, and makes it when it is not there.
func Cached(dir string, c Contents) (string, error) {
	t, err := kernel.Read(c.Kernel.Modules)
	if err != nil {
		return "", err
	}
	order, err := t.Order(c.Modules...)
	if err != nil {
		return "", err
	}
	key, err := digest(c, t, order)
	if err != nil {
		return "", fmt.Errorf("make initramfs: %w", err)
	}
	path := filepath.Join(dir, key+".cpio.gz")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make initramfs: %w", err)
	}
	if err := build(path, c, t, order); err != nil {
		return "", fmt.Errorf("make initramfs: %w", err)
	}
	return path, nil
}

// digest identifies the archive without reading every module each time: files of a kernel package do not change
// without their size or time changing, and the guest program is read whole, for it is what changes.
func digest(c Contents, t *kernel.Table, order []string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", version, c.Kernel.Version)
	for _, f := range order {
		st, err := os.Stat(t.Path(f))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d %d\n", f, st.Size(), st.ModTime().UnixNano())
	}
	init, err := os.Open(c.Init)
	if err != nil {
		return "", err
	}
	defer init.Close()
	if _, err := io.Copy(h, init); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

// build writes the archive beside its name and renames it there. Two that build the same one do so side by side,
// and the last wins.
func build(path string, c Contents, t *kernel.Table, order []string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".initramfs-")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, tmp.Close())
		if err == nil {
			err = os.Rename(tmp.Name(), path)
		}
		if err != nil {
			err = errors.Join(err, remove(tmp.Name()))
		}
	}()
	// The kernel of a guest without its modules' decompressors always has gzip.
	z, err := gzip.NewWriterLevel(tmp, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := Write(z, c, t, order); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return tmp.Chmod(0o644) // the VMM runs as somebody else
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Write writes the uncompressed archive.
func Write(w io.Writer, c Contents, t *kernel.Table, order []string) error {
	a := &archive{w: w}
	for _, d := range []string{"dev", "proc", "sys", "run", "modules"} {
		a.dir(d, 0o755)
	}
	// Before init has mounted anything the kernel opens these for it.
	a.char("dev/console", 0o600, unix.Major(unix.Mkdev(5, 1)), unix.Minor(unix.Mkdev(5, 1)))
	a.char("dev/null", 0o666, 1, 3)
	init, err := os.ReadFile(c.Init)
	if err != nil {
		return err
	}
	a.file("init", 0o755, init)
	var names strings.Builder
	for i, f := range order {
		b, err := kernel.Module(t.Path(f))
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%03d-%s.ko", i, kernel.Name(f))
		a.file("modules/"+name, 0o644, b)
		fmt.Fprintln(&names, name)
	}
	a.file("modules/order", 0o644, []byte(names.String()))
	return a.finish()
}
