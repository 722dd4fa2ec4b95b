package vmguest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
)

// Where things are in the guest.
const (
	podDir   = "/pod"     // the pod directory: the writable disk itself
	mountDir = "/storage" // one directory for each disk and share
)

// storage mounts what a pod is made of and knows what it has mounted.
type storage struct {
	mounted map[string]string // what -> where
	dirs    []string
}

// makePodDir mounts the pod's writable disk. Without one everything that is written is in memory.
func (s *storage) makePodDir(d *agent.Disk) error {
	if err := os.MkdirAll(podDir, 0o755); err != nil {
		return err
	}
	if d == nil {
		return fileSystem{"tmpfs", podDir, 0, "mode=755"}.mount()
	}
	node, err := findDisk(d.Device)
	if err != nil {
		return err
	}
	if err := unix.Mount(node, podDir, d.FSType, 0, d.Options); err != nil {
		return fmt.Errorf("mount %s (%s): %w", node, d.FSType, err)
	}
	return nil
}

// layers mounts every layer and has the apps name them where they are.
func (s *storage) layers(spec *agent.PodSpec) error {
	at := map[string]string{}
	for _, l := range spec.Layers {
		dir, err := s.mount(l.Disk, l.Share, true)
		if err != nil {
			return fmt.Errorf("layer %s: %w", l.Path, err)
		}
		at[l.Path] = dir
	}
	for i := range spec.Pod.Apps {
		layers := slices.Clone(spec.Pod.Apps[i].Rootfs.Layers)
		for n, l := range layers {
			layers[n] = at[l]
		}
		spec.Pod.Apps[i].Rootfs.Layers = layers
	}
	return nil
}

// volumes mounts the volumes and has the pod name them where they are.
func (s *storage) volumes(spec *agent.PodSpec) error {
	for _, v := range spec.Volumes {
		i := slices.IndexFunc(spec.Pod.Volumes, func(p poddir.Volume) bool { return p.Name == v.Name })
		if i < 0 {
			continue
		}
		if err := s.volume(&spec.Pod.Volumes[i], v); err != nil {
			return fmt.Errorf("volume %q: %w", v.Name, err)
		}
	}
	return nil
}

func (s *storage) volume(p *poddir.Volume, v agent.Volume) (err error) {
	p.ReadOnly = p.ReadOnly || v.ReadOnly
	switch v.Kind {
	case agent.VolumeEmpty:
		p.Kind = poddir.VolumeEmpty
		return nil
	case agent.VolumeShare:
		p.Source, err = s.mount(nil, v.Share, v.ReadOnly)
	case agent.VolumeDisk:
		p.Source, err = s.mount(v.Disk, nil, v.ReadOnly)
	case agent.VolumeDevice:
		p.Source, err = findDisk(v.Disk.Device)
	}
	// To linuxpod the guest is the host. What the host had mounted below the volume is inside the share.
	p.Kind, p.Recursive = poddir.VolumeHost, false
	return err
}

// mount mounts a disk or a share once, and returns what is wanted inside it.
func (s *storage) mount(d *agent.Disk, share *agent.Share, readOnly bool) (string, error) {
	var flags uintptr
	if readOnly {
		flags = unix.MS_RDONLY
	}
	if d != nil {
		node, err := findDisk(d.Device)
		if err != nil {
			return "", err
		}
		dir, err := s.once(node, d.FSType, flags, d.Options)
		return filepath.Join(dir, d.Subdir), err
	}
	fstype, options := string(share.Kind), share.Options
	if share.Kind == agent.NineP {
		// cache=mmap keeps shared writable mappings working and nothing else that the host could not see.
		options = join("trans=virtio,version=9p2000.L,msize=512000,cache=mmap,access=any", options)
	}
	dir, err := s.once(share.Tag, fstype, flags, options)
	return filepath.Join(dir, share.Path), err
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + "," + b
}

// once mounts a source that has not been mounted yet. One that is wanted read-only here and writable there is
// mounted twice: the kernel gives the second mount of a disk the same file system, so it is asked for writable
// and the mount alone is made read-only.
func (s *storage) once(source, fstype string, flags uintptr, options string) (string, error) {
	key := fmt.Sprintf("%s %s %d %s", source, fstype, flags, options)
	if dir, ok := s.mounted[key]; ok {
		return dir, nil
	}
	dir := filepath.Join(mountDir, strconv.Itoa(len(s.dirs)))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	err := await(func() (bool, error) {
		err := unix.Mount(source, dir, fstype, flags, options)
		// A share's device may be on its way: 9p says ENOENT, virtiofs EINVAL for a tag that is not there.
		soon := fstype == string(agent.NineP) && errors.Is(err, unix.ENOENT) || fstype == string(agent.Virtiofs) && errors.Is(err, unix.EINVAL)
		return !soon, err
	})
	if errors.Is(err, unix.ENODEV) {
		return "", fmt.Errorf("the guest's kernel has no file system %s: its module is missing in the initramfs, or the kernel is built without it", fstype)
	}
	if err != nil {
		return "", fmt.Errorf("mount %s (%s %s): %w", source, fstype, options, err)
	}
	if s.mounted == nil {
		s.mounted = map[string]string{}
	}
	s.mounted[key] = dir
	s.dirs = append(s.dirs, dir)
	return dir, nil
}

// sync writes back what has been written to disks and shares, and to the pod's own disk unless nothing of it
// need survive.
func (s *storage) sync(volatile bool) {
	dirs := s.dirs
	if !volatile {
		dirs = append(slices.Clip(dirs), podDir)
	}
	for _, dir := range dirs {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // a file that is shared by itself
		}
		if err := unix.Syncfs(fd); err != nil {
			complain("write back %s: %v", dir, err)
		}
		unix.Close(fd)
	}
}
