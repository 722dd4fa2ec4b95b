package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/mnt"
)

// volumes mounts what the app asks for, in the order given: a parent before what lies below it.
func (b *builder) volumes() error {
	for _, m := range b.app.Mounts {
		v := b.plan.Volume(m.Volume)
		if v == nil {
			return fmt.Errorf("mount on %s names volume %q, which the pod does not have", m.Target, m.Volume)
		}
		if err := b.volume(v, m); err != nil {
			return fmt.Errorf("volume %q on %s: %w", v.Name, m.Target, err)
		}
	}
	return nil
}

func (b *builder) volume(v *poddir.Volume, m poddir.Mount) error {
	source, recursive := v.Source, v.Recursive
	switch v.Kind {
	case poddir.VolumeEmpty:
		source, recursive = filepath.Join(poddir.VolumesDir, v.Name), false
		if err := makeEmpty(source, v); err != nil {
			return err
		}
		if m.CopyUp {
			if err := b.copyUp(m.Target, source); err != nil {
				return fmt.Errorf("fill with the image's content: %w", err)
			}
		}
	case poddir.VolumeHost:
	default:
		return fmt.Errorf("kind %q is unknown to this stage1", v.Kind)
	}
	fd, err := mnt.Clone(unix.AT_FDCWD, source, recursive)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("source %s does not exist on the host; create it, or use kind=empty", source)
	}
	if err != nil {
		return fmt.Errorf("open source %s: %w", source, err)
	}
	if v.ReadOnly || m.ReadOnly {
		if err := mnt.Restrict(fd, mnt.ReadOnly, recursive); err != nil {
			unix.Close(fd)
			return fmt.Errorf("make read-only: %w", err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return err
	}
	return b.mount(fd, m.Target, st.Mode&unix.S_IFMT == unix.S_IFDIR)
}

// makeEmpty makes the directory of an empty volume once per pod.
func makeEmpty(dir string, v *poddir.Volume) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mode := v.Mode & 0o7777
	if v.Mode == 0 {
		mode = 0o755
	}
	if err := unix.Chown(dir, int(v.UID), int(v.GID)); err != nil {
		return err
	}
	return unix.Chmod(dir, mode)
}
