package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/disk"
	"github.com/rkt/rkt/v2/sdk/vmhost/initramfs"
	"github.com/rkt/rkt/v2/sdk/vmhost/kernel"
	"github.com/rkt/rkt/v2/sdk/vmhost/kvm"
)

// machine works out everything about the guest and makes its files.
func (s *Stage1) machine(ctx context.Context, podDir string, pod *poddir.Pod, rt *poddir.Runtime) (*vmhost.Machine, error) {
	m := &vmhost.Machine{Schema: vmhost.Schema, UUID: pod.UUID, Interfaces: rt.Network.Interfaces, Config: s.config}
	var err error
	if m.Program, m.Version, err = s.VMM.Find(ctx, &s.config); err != nil {
		return nil, plugin.HostUnfit("%w", err)
	}
	if m.Accel, err = s.accel(); err != nil {
		return nil, err
	}
	m.Size = vmhost.SizeOf(&s.config, pod, runtime.NumCPU(), m.Accel == vmhost.TCG)
	dir := filepath.Join(podDir, poddir.Stage1Dir)
	if err := os.MkdirAll(filepath.Join(dir, vmhost.CageDir), 0o750); err != nil {
		return nil, err
	}
	if err := s.boot(m, dir); err != nil {
		return nil, err
	}
	m.Spec.Pod = *pod
	m.Spec.Volatile, m.Spec.Detached = rt.Remove, rt.Detached
	if err := s.layers(ctx, m, dir); err != nil {
		return nil, err
	}
	if err := s.upper(ctx, m, dir); err != nil {
		return nil, err
	}
	if err := s.volumes(ctx, m); err != nil {
		return nil, err
	}
	if m.Spec.Etc, err = etc(podDir); err != nil {
		return nil, err
	}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err == nil {
		m.Spec.NoFile = &agent.Limit{Soft: l.Cur, Hard: l.Max}
	}
	return m, nil
}

// accel chooses between hardware and emulation. What the admin did not ask for is never taken silently.
func (s *Stage1) accel() (string, error) {
	can := func(a string) bool { return slices.Contains(s.VMM.Traits().Accels, a) }
	want := s.config.Accel
	if want == vmhost.TCG {
		if !can(vmhost.TCG) {
			return "", plugin.ConfigInvalid(`accel is "tcg", which %s cannot do: it needs KVM`, s.Flavor)
		}
		return vmhost.TCG, nil
	}
	err := kvm.Probe()
	if err == nil {
		return vmhost.KVM, nil
	}
	if want == vmhost.Auto && can(vmhost.TCG) {
		return vmhost.TCG, nil
	}
	hint := ""
	if can(vmhost.TCG) {
		hint = fmt.Sprintf(`; or write {"accel":"tcg"} to %s, and have it emulated, 15 to 100 times slower`, s.file())
	}
	var u *kvm.Unusable
	if errors.As(err, &u) {
		hint = " (" + u.Remedy + hint + ")"
	}
	return "", plugin.HostUnfit("KVM does not work on this host: %w%s", err, hint)
}

// vsockModule is the guest's part of vsock.
const vsockModule = "vmw_vsock_virtio_transport"

// vsock says whether that is the control channel.
func (s *Stage1) vsock(k kernel.Kernel) (bool, error) {
	t := s.VMM.Traits()
	if !t.Vsock || !t.Serial {
		return t.Vsock, nil
	}
	// What a socket is made of may be there without what serves guests.
	if _, err := os.Stat("/dev/vhost-vsock"); err != nil {
		return false, nil
	}
	table, err := kernel.Read(k.Modules)
	return err == nil && table.Has(vsockModule), err
}

// modules is what every guest loads: its buses and devices, file systems, and what a pod's own confinement needs.
func (s *Stage1) modules(vsock bool) []string {
	t := s.VMM.Traits()
	out := []string{"virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "overlay", "erofs", "ext4", "crc32c_generic"}
	if t.NineP {
		out = append(out, "9p", "9pnet_virtio")
	} else {
		out = append(out, "virtiofs")
	}
	if vsock {
		out = append(out, vsockModule)
	} else {
		out = append(out, "virtio_console")
	}
	return append(out, t.Modules...)
}

// growth says how much memory the machine can be given while it runs, all of the host's where it and the guest's
// kernel can take it, and by which module; or why it can be given none.
func (s *Stage1) growth(k kernel.Kernel, m *vmhost.Machine) (mib int, module string, err error) {
	g, ok := s.VMM.(vmhost.Grower)
	if !ok {
		return 0, "", fmt.Errorf("%s cannot add to it", s.VMM.Traits().Name)
	}
	if module, err = g.Grows(m); err != nil {
		return 0, "", err
	}
	t, err := kernel.Read(k.Modules)
	if err == nil && !t.Has(module) {
		err = fmt.Errorf("its kernel has no %s", module)
	}
	if err != nil {
		return 0, "", err
	}
	// A host that promises no memory twice would have to set all of it aside.
	if b, err := os.ReadFile("/proc/sys/vm/overcommit_memory"); err != nil || strings.TrimSpace(string(b)) == "2" {
		return 0, "", errors.New("the host sets all memory aside (vm.overcommit_memory)")
	}
	var host unix.Sysinfo_t
	if err := unix.Sysinfo(&host); err != nil {
		return 0, "", fmt.Errorf("ask for the host's memory: %w", err)
	}
	const block = 128 // MiB: what kernels add memory in
	mib = int(host.Totalram*uint64(host.Unit)>>20) - m.MemoryMiB
	if mib < block {
		return 0, "", errors.New("the host has no more")
	}
	return mib / block * block, module, nil
}

// boot finds the kernel and makes the initramfs.
func (s *Stage1) boot(m *vmhost.Machine, dir string) error {
	k, err := kernel.Find(kernel.Where{Image: s.config.Kernel, Modules: s.config.Modules}, kernel.Need{NineP: s.VMM.Traits().NineP})
	var missing *kernel.MissingError
	if errors.As(err, &missing) {
		return plugin.HostUnfit("%w (apt-get install %s)", err, missing.Package(runtime.GOARCH))
	}
	if err != nil {
		return plugin.HostUnfit("%w", err)
	}
	guest, err := guestProgram()
	if err != nil {
		return err
	}
	m.Kernel, m.Distro = k.Image, k.Modules != ""
	if m.Vsock, err = s.vsock(k); err != nil {
		return plugin.HostUnfit("%w", err)
	}
	modules := s.modules(m.Vsock)
	args := []string{"panic=-1", "quiet", "loglevel=3", "cryptomgr.notests", "random.trust_cpu=on"}
	var module string
	if m.GrowMiB, module, err = s.growth(k, m); err != nil {
		m.Rigid = err.Error() // told to who wants it to grow
	} else {
		modules = append(modules, module)
		// What may come above 4 GiB some day is no reason to hold a bounce buffer of 64 MiB for it.
		args = append(args, "memhp_default_state=online", "swiotlb=noforce")
	}
	m.Initramfs, err = initramfs.Cached(s.cache(dir, "initramfs"), initramfs.Contents{Init: guest, Kernel: k, Modules: modules})
	if err != nil {
		return err
	}
	if s.config.KernelArgs != "" {
		args = append(args, s.config.KernelArgs)
	}
	m.Append = strings.Join(args, " ")
	return nil
}

// cache is a directory that pods share, or, when there is none, one of this pod's.
func (s *Stage1) cache(dir, name string) string {
	if s.cacheDir == "" {
		return filepath.Join(dir, "cache", name)
	}
	return filepath.Join(s.cacheDir, name)
}

// disk adds a disk and returns how the guest finds it.
func (s *Stage1) disk(m *vmhost.Machine, d vmhost.Disk) agent.Device {
	m.Disks = append(m.Disks, d)
	if s.VMM.Traits().Serials {
		return agent.Device{Serial: d.Serial}
	}
	return agent.Device{Index: len(m.Disks) - 1}
}

// layers has a disk for each layer, whichever apps share it, or one for all of them where those are too many.
func (s *Stage1) layers(ctx context.Context, m *vmhost.Machine, dir string) error {
	cache, err := disk.OpenCache(s.cache(dir, "layers"))
	if err != nil {
		return err
	}
	var all []string
	for i := range m.Spec.Pod.Apps {
		for _, path := range m.Spec.Pod.Apps[i].Rootfs.Layers {
			if !slices.Contains(all, path) {
				all = append(all, path)
			}
		}
	}
	// The pod's own disk, and volumes that may be disks.
	if len(all)+1+len(m.Spec.Pod.Volumes) > s.VMM.Traits().Disks {
		return s.together(ctx, m, cache, all)
	}
	for i, path := range all {
		image, err := cache.Layer(ctx, path)
		if err != nil {
			return err
		}
		dev := s.disk(m, vmhost.Disk{Path: image, Serial: fmt.Sprintf("layer%d", i), ReadOnly: true})
		m.Spec.Layers = append(m.Spec.Layers, agent.Layer{Path: path, Disk: &agent.Disk{Device: dev, FSType: "erofs"}})
	}
	return nil
}

func (s *Stage1) together(ctx context.Context, m *vmhost.Machine, cache *disk.Cache, layers []string) error {
	image, err := cache.Combined(ctx, layers)
	if err != nil {
		return err
	}
	dev := s.disk(m, vmhost.Disk{Path: image, Serial: "layers", ReadOnly: true})
	for i, path := range layers {
		m.Spec.Layers = append(m.Spec.Layers, agent.Layer{
			Path: path, Disk: &agent.Disk{Device: dev, FSType: "erofs", Subdir: strconv.Itoa(i)},
		})
	}
	return nil
}

func (s *Stage1) upper(ctx context.Context, m *vmhost.Machine, dir string) error {
	path := filepath.Join(dir, vmhost.UpperFile)
	if err := disk.Upper(ctx, s.cache(dir, "disks"), path, int64(s.config.DiskSize)); err != nil {
		return err
	}
	if s.VMM.Traits().Paths {
		if err := os.Lchown(path, m.User(), m.User()); err != nil {
			return err
		}
	}
	dev := s.disk(m, vmhost.Disk{Path: filepath.Join(poddir.Stage1Dir, vmhost.UpperFile), Serial: "rw", Scratch: true})
	m.Spec.Upper = &agent.Disk{Device: dev, FSType: "ext4", Options: "noinit_itable"}
	return nil
}

// volumes: directories and files are shared, block devices are disks, empty ones are the guest's own.
func (s *Stage1) volumes(ctx context.Context, m *vmhost.Machine) error {
	for i, v := range m.Spec.Pod.Volumes {
		out := agent.Volume{Name: v.Name, Kind: agent.VolumeEmpty, ReadOnly: v.ReadOnly}
		if v.Kind == poddir.VolumeHost {
			st, err := os.Stat(v.Source)
			if err != nil {
				return fmt.Errorf("volume %q: %w", v.Name, err)
			}
			if st.Mode()&os.ModeDevice != 0 {
				dev := s.disk(m, vmhost.Disk{Path: v.Source, Serial: fmt.Sprintf("volume%d", i), ReadOnly: v.ReadOnly, Device: true})
				out.Kind, out.Disk = agent.VolumeDevice, &agent.Disk{Device: dev}
			} else {
				out.Kind, out.Share = agent.VolumeShare, s.share(m, i, &v, st)
			}
		}
		m.Spec.Volumes = append(m.Spec.Volumes, out)
	}
	if len(m.Shares) == 0 || s.VMM.Traits().NineP {
		return nil
	}
	d, err := findVirtiofsd(ctx, &s.config)
	if err != nil {
		return plugin.HostUnfit("share host volumes with the guest: %w", err)
	}
	m.Virtiofsd = d
	return nil
}

func (s *Stage1) share(m *vmhost.Machine, i int, v *poddir.Volume, st os.FileInfo) *agent.Share {
	share := vmhost.Share{
		Kind: agent.Virtiofs, Tag: fmt.Sprintf("volume%d", i), Source: v.Source, ReadOnly: v.ReadOnly, Recursive: v.Recursive,
	}
	if s.VMM.Traits().NineP {
		share.Kind = agent.NineP
	}
	if !st.IsDir() {
		share.File = filepath.Base(v.Source)
	}
	m.Shares = append(m.Shares, share)
	return &agent.Share{Kind: share.Kind, Tag: share.Tag, Path: share.File}
}

// etc reads what core has made for the apps.
func etc(podDir string) (map[string][]byte, error) {
	out := map[string][]byte{}
	dir := filepath.Join(podDir, poddir.EtcDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if out[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return out, nil
}
