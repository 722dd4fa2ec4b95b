package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Label is the file system label of a pod's writable disk.
const Label = "rkt-rw"

// Upper makes the pod's writable disk at path: an ext4 file system of so many bytes, sparse, so that it takes what
// the pod writes. It is a copy of a template below cache, which is made once. A disk that is there already is
// replaced: a pod that starts anew starts with what its image has.
func Upper(ctx context.Context, cache, path string, bytes int64) error {
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return fmt.Errorf("make writable disk: %w", err)
	}
	template := filepath.Join(cache, fmt.Sprintf("rw2-%d.ext4", bytes))
	if _, err := os.Stat(template); err != nil {
		if err := makeTemplate(ctx, template, bytes); err != nil {
			return fmt.Errorf("make writable disk: %w", err)
		}
	}
	if err := copySparse(path, template); err != nil {
		return fmt.Errorf("make writable disk: %w", err)
	}
	return nil
}

// makeTemplate formats. There is no journal: the disk does not outlive the pod's one start, so there is nothing to
// replay it for, and what it would write is written for nothing.
func makeTemplate(ctx context.Context, path string, bytes int64) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".rw-")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, tmp.Close())
		if err == nil {
			err = os.Rename(tmp.Name(), path)
		}
		if err != nil {
			err = errors.Join(err, unlink(tmp.Name()))
		}
	}()
	if err := tmp.Truncate(bytes); err != nil {
		return err
	}
	program, err := tool("mke2fs", "e2fsprogs")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, "-q", "-F", "-t", "ext4", "-L", Label, "-m", "0", "-O", "^has_journal,^resize_inode",
		"-E", "lazy_itable_init=1,root_owner=0:0", tmp.Name(), strconv.FormatInt(bytes>>10, 10)+"k")
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "MKE2FS_SYNC=0"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return tmp.Sync()
}

// copySparse copies what is data and leaves the holes.
func copySparse(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil { // btrfs, xfs
		return nil
	}
	for off := int64(0); off < st.Size(); {
		start, err := in.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // holes to the end
		}
		if err != nil {
			return err
		}
		if off, err = in.Seek(start, unix.SEEK_HOLE); err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, start), io.NewSectionReader(in, start, off-start)); err != nil {
			return err
		}
	}
	return out.Truncate(st.Size())
}
