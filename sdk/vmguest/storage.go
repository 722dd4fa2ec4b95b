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
	writable map[string]bool   // sources that something writes to; the others are mounted read-only
	mounted  map[string]string // source -> where
	dirs     []string
}

// plan looks which disks and shares are written to. Each is mounted once, as a tag of 9p can be; who may only
// read what others write has a read-only mount of linuxpod's.
func (s *storage) plan(spec *agent.PodSpec) {
	s.writable, s.mounted = map[string]bool{}, map[string]string{}
	for _, v := range spec.Volumes {
		if !v.ReadOnly && v.Kind != agent.VolumeEmpty {
			s.writable[source(v.Disk, v.Share)] = true
		}
	}
}

// source names a disk or a share.
func source(d *agent.Disk, share *agent.Share) string {
	if d != nil {
		return fmt.Sprintf("disk %q %d", d.Device.Serial, d.Device.Index)
	}
	return "share " + share.Tag
}

// makePodDir mounts the pod's writable disk. Without one everything that is written is in memory.
func (s *storage) makePodDir(d *agent.Disk) error {
	if err := os.MkdirAll(podDir, 0o755); err != nil {
		return err
	}
	if d == nil {
		return fileSystem{"tmpfs", podDir, 0, "mode=755"}.mount()
	}
	return mountDisk(d, podDir, 0)
}

// layers mounts every layer and has the apps name them where they are.
func (s *storage) layers(spec *agent.PodSpec) error {
	at := map[string]string{}
	for _, l := range spec.Layers {
		dir, err := s.mount(l.Disk, l.Share)
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
		p.Source, err = s.mount(nil, v.Share)
	case agent.VolumeDisk:
		p.Source, err = s.mount(v.Disk, nil)
	case agent.VolumeDevice:
		p.Source, err = findDisk(v.Disk.Device)
	}
	// To linuxpod the guest is the host. What the host had mounted below the volume is inside the share.
	p.Kind, p.Recursive = poddir.VolumeHost, false
	return err
}

// mount mounts a disk or a share, once, and returns what is wanted inside it.
func (s *storage) mount(d *agent.Disk, share *agent.Share) (string, error) {
	name := source(d, share)
	dir, ok := s.mounted[name]
	if !ok {
		dir = filepath.Join(mountDir, strconv.Itoa(len(s.dirs)))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		var flags uintptr
		if !s.writable[name] {
			flags = unix.MS_RDONLY
		}
		var err error
		if d != nil {
			err = mountDisk(d, dir, flags)
		} else {
			err = mountShare(share, dir, flags)
		}
		if err != nil {
			return "", err
		}
		s.mounted[name] = dir
		s.dirs = append(s.dirs, dir)
	}
	if d != nil {
		return filepath.Join(dir, d.Subdir), nil
	}
	return filepath.Join(dir, share.Path), nil
}

func mountDisk(d *agent.Disk, dir string, flags uintptr) error {
	node, err := findDisk(d.Device)
	if err != nil {
		return err
	}
	return mountError(unix.Mount(node, dir, d.FSType, flags, d.Options), node, d.FSType, d.Options)
}

func mountShare(share *agent.Share, dir string, flags uintptr) error {
	fstype, options := string(share.Kind), share.Options
	if share.Kind == agent.NineP {
		// cache=mmap keeps shared writable mappings working and nothing else that the host could not see.
		// access=user has the server know who makes a file, and so own it.
		options = join("trans=virtio,version=9p2000.L,msize=512000,cache=mmap,access=user", options)
	}
	err := await(func() (bool, error) {
		err := unix.Mount(share.Tag, dir, fstype, flags, options)
		// The device may be on its way: 9p says ENOENT, virtiofs EINVAL for a tag that is not there.
		soon := share.Kind == agent.NineP && errors.Is(err, unix.ENOENT) || share.Kind == agent.Virtiofs && errors.Is(err, unix.EINVAL)
		return !soon, err
	})
	return mountError(err, share.Tag, fstype, options)
}

func mountError(err error, source, fstype, options string) error {
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("the guest's kernel has no file system %s: its module is missing in the initramfs, or the kernel is built without it", fstype)
	}
	if err != nil {
		return fmt.Errorf("mount %s (%s %s): %w", source, fstype, options, err)
	}
	return nil
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + "," + b
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
