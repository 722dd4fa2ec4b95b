package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
	"github.com/rkt/rkt/v2/sdk/vmhost/tap"
)

// dialer waits for the guest's agent.
type dialer = func(context.Context) (*agent.Client, error)

// boot makes everything that the VMM is given and starts it.
func (f *Flavor) boot() (dialer, error) {
	cgroups, err := f.cgroups()
	if err != nil {
		return nil, err
	}
	l := &vmhost.Launch{Machine: f.m}
	files := &inherited{}
	if err := f.network(l, files); err != nil {
		return nil, err
	}
	if !f.VMM.Traits().Paths {
		if err := f.disks(l, files); err != nil {
			return nil, err
		}
	}
	if err := f.shares(l, files, cgroups); err != nil {
		return nil, err
	}
	dial, err := f.channel(l, files)
	if err != nil {
		return nil, err
	}
	nodes, err := f.nodes()
	if err != nil {
		return nil, err
	}
	cmd := f.VMM.Command(l)
	spec := &cage.Spec{
		Args: cmd.Args, Env: cmd.Env, Root: filepath.Join(poddir.Stage1Dir, vmhost.CageDir),
		Binds: append(f.binds(), cmd.Binds...), Nodes: append(nodes, cmd.Nodes...), Cgroups: cgroups, UID: f.m.User(), Caps: cmd.Caps,
	}
	if cmd.Caps != 0 {
		spec.UID = 0
	}
	if f.m.Spec.Debug {
		fmt.Fprintf(os.Stderr, "rkt: starting %q\n", cmd.Args)
	}
	// What the VMM itself complains about goes where what the guest prints goes: it is the only hint when neither starts.
	out, err := f.console.pipe()
	if err != nil {
		return nil, err
	}
	f.open = append(f.open, out)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.killed {
		return nil, errors.New("stopped before it started")
	}
	f.vmm, err = cage.Start(spec, [3]*os.File{nil, out, out}, files.files)
	return dial, err
}

// inherited are the descriptors of the VMM, in order from 3 on.
type inherited struct{ files []*os.File }

func (i *inherited) add(f *os.File) int {
	i.files = append(i.files, f)
	return 2 + len(i.files)
}

// keep closes file when the start is over.
func (f *Flavor) keep(file *os.File) *os.File {
	f.open = append(f.open, file)
	return file
}

func (f *Flavor) closeAll() {
	for _, file := range f.open {
		file.Close()
	}
	f.open = nil
}

// binds are the files that every machine boots from, and the disks of a VMM that opens them itself.
func (f *Flavor) binds() []cage.Bind {
	out := []cage.Bind{
		{Source: f.m.Kernel, Target: vmhost.KernelPath},
		{Source: f.m.Initramfs, Target: vmhost.InitramfsPath},
	}
	if !strings.HasPrefix(f.m.Program, "/usr/") {
		out = append(out, cage.Bind{Source: f.m.Program, Target: f.m.Program})
	}
	if !f.VMM.Traits().Paths {
		return out
	}
	for i, d := range f.m.Disks {
		if !d.Device {
			out = append(out, cage.Bind{Source: d.Path, Target: vmhost.DisksPath + strconv.Itoa(i), Writable: !d.ReadOnly})
		}
	}
	for i, s := range f.m.Shares {
		target := vmhost.SharesPath + strconv.Itoa(i)
		if s.File != "" {
			target = filepath.Join(target, s.File)
		}
		out = append(out, cage.Bind{Source: s.Source, Target: target, Writable: !s.ReadOnly, Recursive: s.Recursive})
	}
	return out
}

// nodes are the block devices of a VMM that opens its disks itself: nodes of its own, as its user may not use the
// host's.
func (f *Flavor) nodes() ([]cage.Node, error) {
	if !f.VMM.Traits().Paths {
		return nil, nil
	}
	var out []cage.Node
	for i, d := range f.m.Disks {
		if !d.Device {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(d.Path, &st); err != nil {
			return nil, fmt.Errorf("open disk: %w", &os.PathError{Op: "stat", Path: d.Path, Err: err})
		}
		if st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return nil, fmt.Errorf("open disk: %s is no block device any more", d.Path)
		}
		out = append(out, cage.Node{
			Path: vmhost.DisksPath + strconv.Itoa(i), Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev), Block: true, ReadOnly: d.ReadOnly,
		})
	}
	return out, nil
}

// disks opens them as root; the VMM's user could not.
func (f *Flavor) disks(l *vmhost.Launch, files *inherited) error {
	for _, d := range f.m.Disks {
		mode := os.O_RDWR
		if d.ReadOnly {
			mode = os.O_RDONLY
		}
		file, err := os.OpenFile(d.Path, mode, 0)
		if err != nil {
			return fmt.Errorf("open disk: %w", err)
		}
		l.Disks = append(l.Disks, files.add(f.keep(file)))
	}
	return nil
}

// network takes this thread into the pod's network namespace, and makes a tap for each interface there.
func (f *Flavor) network(l *vmhost.Launch, files *inherited) error {
	fd, ok := f.pod.Netns()
	if !ok {
		return errors.New("pod has no network namespace of its own")
	}
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	for i := range f.m.Interfaces {
		iface := &f.m.Interfaces[i]
		file, mac, err := tap.Join(iface.Name, i)
		if err != nil {
			return fmt.Errorf("connect guest with interface %s: %w", iface.Name, err)
		}
		iface.MAC = mac // the link's own, whatever the record says
		t := vmhost.Tap{FD: files.add(f.keep(file)), MAC: mac, MTU: int(iface.MTU)}
		if f.m.Accel == vmhost.KVM {
			// With the kernel's help frames pass the VMM by. Where there is none, it copies them.
			if v, err := os.OpenFile("/dev/vhost-net", os.O_RDWR, 0); err == nil {
				t.Vhost = files.add(f.keep(v))
			}
		}
		l.Taps = append(l.Taps, t)
	}
	return nil
}

// interfaces tells the guest what it is in the network.
func (f *Flavor) interfaces() []agent.Interface {
	var out []agent.Interface
	for _, i := range f.m.Interfaces {
		out = append(out, agent.Interface{MAC: i.MAC, Name: i.Name, MTU: i.MTU, Addresses: i.Addresses, Routes: i.Routes})
	}
	return out
}

// cgroups makes the VMM's place below the pod's, one in each hierarchy; core removes it with the pod's.
func (f *Flavor) cgroups() ([]string, error) {
	var out []string
	seen := map[string]bool{}
	for _, dir := range f.pod.Runtime.Cgroup.Dirs {
		dir = filepath.Join(dir, "vmm")
		if seen[dir] {
			continue
		}
		seen[dir] = true
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("make cgroup of the virtual machine: %w", err)
		}
		out = append(out, dir)
	}
	return out, nil
}
