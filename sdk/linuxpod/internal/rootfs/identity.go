package rootfs

import (
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
)

// identity mounts what core wrote for every app of the pod, where it did. A volume that an app mounts on one
// of them, or on /etc, comes later and wins.
func (b *builder) identity() error {
	for _, name := range []string{"resolv.conf", "hosts", "hostname"} {
		fd, err := mnt.Clone(unix.AT_FDCWD, path.Join(poddir.EtcDir, name), false)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open %s of the pod: %w", name, err)
		}
		if err := mnt.Restrict(fd, mnt.NoSuid|mnt.NoDev|mnt.NoExec, false); err != nil {
			unix.Close(fd)
			return err
		}
		if err := b.mount(fd, "etc/"+name, false); err != nil {
			return err
		}
	}
	etc, err := mnt.Open(b.Dir, "etc", unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(etc)
	// mount(8) of old images reads it. EEXIST: the image has its own.
	if err := unix.Symlinkat("../proc/self/mounts", etc, "mtab"); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("link mtab: %w", err)
	}
	return nil
}
