package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strings"

	"github.com/rkt/rkt/v2/proto/poddir"
)

// PodSpec is everything that the guest has to know to run the pod.
type PodSpec struct {
	// Pod is pod.json. Paths of the host in it (layers, sources of volumes) are names here: Layers and Volumes
	// say where they are in the guest.
	Pod poddir.Pod `json:"pod"`
	// Etc are the files of the pod directory's etc/, by name: hostname, hosts, resolv.conf.
	Etc map[string][]byte `json:"etc,omitempty"`
	// Layers has one entry for each path that occurs in Pod.Apps[].Rootfs.Layers.
	Layers []Layer `json:"layers,omitempty"`
	// Upper is the writable disk of the pod: the apps' upper directories and empty volumes. Without one they are
	// in the guest's memory.
	Upper *Disk `json:"upper,omitempty"`
	// Volumes has one entry for each volume of Pod.Volumes, of the same name.
	Volumes    []Volume    `json:"volumes,omitempty"`
	Interfaces []Interface `json:"interfaces,omitempty"`
	// Sysctls are set in the guest before the network: "net.ipv6.conf.all.forwarding" -> "1".
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// Streams says how apps' output reaches the host, by app name. An app without an entry has the default.
	Streams map[string]Streams `json:"streams,omitempty"`
	// Volatile says that nothing of the pod need survive (--rm).
	Volatile bool `json:"volatile,omitempty"`
	Detached bool `json:"detached,omitempty"`
	Debug    bool `json:"debug,omitempty"`
	// NoFile is the limit of open files that apps start with: what rkt was started with on the host.
	NoFile *Limit `json:"noFile,omitempty"`
	// Seed is entropy of the host, credited to the guest's pool. 64 bytes are plenty.
	Seed []byte `json:"seed,omitempty"`
}

// Device names a virtio-blk device. Serial (at most 20 bytes, the device's own limit) is the safe way; a VMM
// that can set none (kvmtool) gives Index, which counts the guest's virtio disks in the order of the VMM's
// command line, from 0.
type Device struct {
	Serial string `json:"serial,omitempty"`
	Index  int    `json:"index,omitempty"`
}

// Disk is a device with a file system on it.
type Disk struct {
	Device  Device `json:"device"`
	FSType  string `json:"fsType"`            // erofs, ext4, squashfs
	Subdir  string `json:"subdir,omitempty"`  // what is wanted is below it
	Options string `json:"options,omitempty"` // of mount(2)
}

// Layer is a read-only directory of an image. Exactly one of Disk and Share is set.
type Layer struct {
	Path  string `json:"path"` // as in Pod.Apps[].Rootfs.Layers
	Disk  *Disk  `json:"disk,omitempty"`
	Share *Share `json:"share,omitempty"`
}

// ShareKind is how a directory of the host is shared.
type ShareKind string

// The kinds.
const (
	Virtiofs ShareKind = "virtiofs"
	NineP    ShareKind = "9p"
)

// Share is a directory of the host, found by its mount tag.
type Share struct {
	Kind ShareKind `json:"kind"`
	Tag  string    `json:"tag"`
	// Path is what is wanted inside the share, a file or a directory; empty: all of it.
	Path    string `json:"path,omitempty"`
	Options string `json:"options,omitempty"` // of mount(2), after what the kind needs
}

// VolumeKind is where a volume's content is.
type VolumeKind string

// The kinds.
const (
	VolumeShare  VolumeKind = "share"  // Share
	VolumeDisk   VolumeKind = "disk"   // Disk: a file system, mounted
	VolumeDevice VolumeKind = "device" // Disk.Device: the block device itself appears in the app
	VolumeEmpty  VolumeKind = "empty"  // on the pod's writable disk
)

// Volume says where a volume of the pod is in the guest.
type Volume struct {
	Name     string     `json:"name"`
	Kind     VolumeKind `json:"kind"`
	Share    *Share     `json:"share,omitempty"`
	Disk     *Disk      `json:"disk,omitempty"`
	ReadOnly bool       `json:"readOnly,omitempty"`
}

// Interface is a link of the pod: poddir.Interface, found by its MAC address.
type Interface struct {
	MAC       string            `json:"mac"`
	Name      string            `json:"name"` // becomes the link's name
	MTU       uint32            `json:"mtu,omitempty"`
	Addresses []string          `json:"addresses"`        // CIDR
	Routes    []poddir.Route    `json:"routes,omitempty"` // added in this order; a later one may need an earlier
	Sysctls   map[string]string `json:"sysctls,omitempty"`
}

// Streams says how an app's output is carried.
type Streams struct {
	// Merge has stdout and stderr in one pipe, the stream "stdout", so that their order is kept: for a host whose
	// own two are the same file.
	Merge bool `json:"merge,omitempty"`
	// Size is of an app's terminal at its start.
	Size Size `json:"size,omitzero"`
}

// Size of a terminal.
type Size struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

// Limit is a soft and a hard limit (setrlimit(2)).
type Limit struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

// maxSerial is what virtio-blk carries (VIRTIO_BLK_ID_BYTES).
const maxSerial = 20

// Check says what in the spec cannot be meant. Both ends call it: the host to name its own mistake, the guest
// because what it does next cannot be undone.
func (s *PodSpec) Check() error {
	if len(s.Pod.Apps) == 0 {
		return errors.New("pod has no apps")
	}
	layers := map[string]bool{}
	for _, l := range s.Layers {
		if err := where(l.Disk, l.Share); err != nil {
			return fmt.Errorf("layer %q: %w", l.Path, err)
		}
		layers[l.Path] = true
	}
	for i := range s.Pod.Apps {
		a := &s.Pod.Apps[i]
		if !plainName(a.Name) {
			return fmt.Errorf("app %q cannot be a file's name", a.Name)
		}
		for _, l := range a.Rootfs.Layers {
			if !layers[l] {
				return fmt.Errorf("app %q: no device or share holds its layer %q", a.Name, l)
			}
		}
	}
	if err := s.checkVolumes(); err != nil {
		return err
	}
	for name := range s.Etc {
		if !plainName(name) {
			return fmt.Errorf("etc file %q is not a plain name", name)
		}
	}
	if s.Upper != nil {
		err := s.Upper.check()
		if err == nil && s.Upper.Subdir != "" {
			err = errors.New("is the pod's as a whole, not a directory of it")
		}
		if err != nil {
			return fmt.Errorf("writable disk: %w", err)
		}
	}
	for _, i := range s.Interfaces {
		if err := i.check(); err != nil {
			return fmt.Errorf("interface %q: %w", i.Name, err)
		}
	}
	return nil
}

func (s *PodSpec) checkVolumes() error {
	known := map[string]bool{}
	for _, v := range s.Volumes {
		if !plainName(v.Name) {
			return fmt.Errorf("volume %q cannot be a file's name", v.Name)
		}
		var err error
		switch v.Kind {
		case VolumeEmpty:
		case VolumeShare:
			err = where(nil, v.Share)
		case VolumeDisk, VolumeDevice:
			if v.Disk == nil {
				err = errors.New("names no disk")
			} else if err = v.Disk.Device.check(); err == nil && v.Kind == VolumeDisk {
				err = v.Disk.check()
			}
		default:
			err = fmt.Errorf("kind %q is unknown to this guest", v.Kind)
		}
		if err != nil {
			return fmt.Errorf("volume %q: %w", v.Name, err)
		}
		known[v.Name] = true
	}
	for _, v := range s.Pod.Volumes {
		if !known[v.Name] {
			return fmt.Errorf("volume %q: nothing says where it is in the guest", v.Name)
		}
	}
	return nil
}

func where(d *Disk, s *Share) error {
	switch {
	case (d == nil) == (s == nil):
		return errors.New("must be on exactly one disk or share")
	case d != nil:
		return d.check()
	case s.Kind != Virtiofs && s.Kind != NineP:
		return fmt.Errorf("share kind %q is unknown to this guest", s.Kind)
	case s.Tag == "":
		return errors.New("share has no tag")
	}
	return below(s.Path)
}

func (d *Disk) check() error {
	if d.FSType == "" || strings.ContainsAny(d.FSType, "/\x00") {
		return fmt.Errorf("%q is no file system type", d.FSType)
	}
	if err := below(d.Subdir); err != nil {
		return err
	}
	return d.Device.check()
}

func (d Device) check() error {
	switch {
	case len(d.Serial) > maxSerial:
		return fmt.Errorf("serial %q has more than %d bytes", d.Serial, maxSerial)
	case d.Index < 0:
		return fmt.Errorf("index %d is negative", d.Index)
	}
	return nil
}

func (i *Interface) check() error {
	if len(i.Name) == 0 || len(i.Name) > 15 || strings.ContainsAny(i.Name, "/: \t\n\x00") || i.Name == "." || i.Name == ".." {
		return errors.New("is no name of a link")
	}
	for _, a := range i.Addresses {
		if _, err := netip.ParsePrefix(a); err != nil {
			return fmt.Errorf("address %q: %w", a, err)
		}
	}
	for _, r := range i.Routes {
		if _, err := netip.ParsePrefix(r.Destination); err != nil {
			return fmt.Errorf("route to %q: %w", r.Destination, err)
		}
		if r.Gateway == "" {
			continue
		}
		if _, err := netip.ParseAddr(r.Gateway); err != nil {
			return fmt.Errorf("route to %s by %q: %w", r.Destination, r.Gateway, err)
		}
	}
	return nil
}

// below checks a path inside something: relative, clean, without a way out.
func below(p string) error {
	if p != "" && (path.IsAbs(p) || path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../") || strings.Contains(p, "\x00")) {
		return fmt.Errorf("path %q is not a clean path inside it", p)
	}
	return nil
}

func plainName(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= 255 && !strings.ContainsAny(s, "/\x00\n")
}
