package qemu

import (
	"fmt"
	"runtime"
	"strconv"

	"github.com/rkt/rkt/v2/sdk/vmguest/agent"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
)

// Slots of the bus. Each has eight functions; slots 0 to 1 and 31 are q35's chipset.
const (
	firstSlot  = 2
	lastSlot   = 30
	pciDevices = (lastSlot - firstSlot + 1) * 8
)

// devices counts what takes a place on the bus: the entropy source and the control channel come on top.
func devices(m *vmhost.Machine) int {
	n := 2 + len(m.Disks) + len(m.Shares) + len(m.Interfaces)
	if m.GrowMiB > 0 {
		n++
	}
	return n
}

// microvm says which machine type it is: see the package comment.
func microvm(m *vmhost.Machine) bool {
	if runtime.GOARCH != "amd64" {
		return false
	}
	switch m.Config.Machine {
	case "", vmhost.Auto:
		// Emulated, its clock has been seen to stay behind by the time that QEMU was stopped.
		return m.Distro && m.Accel == vmhost.KVM
	}
	return m.Config.Machine == "microvm"
}

// line collects arguments and places on the bus.
type line struct {
	args    []string
	devices int
	sets    int
}

func (l *line) add(args ...string) { l.args = append(l.args, args...) }

// device adds a virtio device at the next place.
func (l *line) device(kind, options string) {
	slot, function := firstSlot+l.devices/8, l.devices%8
	at := fmt.Sprintf(",addr=%#x.%#x", slot, function)
	if function == 0 {
		at += ",multifunction=on"
	}
	l.devices++
	l.add("-device", kind+"-pci"+options+at)
}

// file makes a descriptor a file that QEMU can name.
func (l *line) file(fd int) string {
	l.sets++
	l.add("-add-fd", fmt.Sprintf("fd=%d,set=%d", fd, l.sets))
	return "/dev/fdset/" + strconv.Itoa(l.sets)
}

// Command is QEMU's command line.
func (VMM) Command(m *vmhost.Launch) vmhost.Command {
	l := &line{args: []string{m.Program}}
	l.add("-name", "rkt-"+m.UUID, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none")
	// What the emulator is not to do even when a guest has taken it over.
	l.add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")
	machine(l, m)
	l.add("-kernel", vmhost.KernelPath, "-initrd", vmhost.InitramfsPath, "-append", kernelLine(m))
	l.add("-chardev", "file,id=console,append=on,path="+l.file(m.Console), "-serial", "chardev:console")
	if m.Monitor > 0 {
		l.add("-chardev", socket("monitor", m.Monitor), "-mon", "chardev=monitor,mode=control")
	}
	l.add("-object", "rng-builtin,id=entropy")
	l.device("virtio-rng", ",rng=entropy")
	if m.Machine.Vsock {
		l.device("vhost-vsock", fmt.Sprintf(",guest-cid=%d,vhostfd=%d", m.CID, m.Vsock))
	} else {
		l.add("-chardev", socket("control", m.Control))
		l.device("virtio-serial", ",id=serial,max_ports=2")
		l.add("-device", "virtserialport,bus=serial.0,chardev=control,name="+agent.PortName)
	}
	for i, d := range m.Machine.Disks {
		disk(l, i, d, m.Disks[i])
	}
	for i, fd := range m.Shares {
		id := "share" + strconv.Itoa(i)
		l.add("-chardev", socket(id, fd))
		l.device("vhost-user-fs", ",chardev="+id+",tag="+m.Machine.Shares[i].Tag)
	}
	for i, t := range m.Taps {
		nic(l, i, t)
	}
	if m.GrowMiB > 0 {
		l.device("virtio-mem", ",id="+growthID+",memdev=more,block-size=2M,requested-size=0")
	}
	c := vmhost.Command{Args: l.args, Env: []string{"PATH=/usr/bin:/bin", "TMPDIR=/tmp"}}
	if m.Accel == vmhost.KVM {
		c.Nodes = append(c.Nodes, cage.Node{Path: "/dev/kvm", Major: 10, Minor: 232})
	}
	return c
}

func machine(l *line, m *vmhost.Launch) {
	kind, cpu := "q35,accel="+m.Accel+",usb=off,graphics=off,vmport=off,smbus=off,sata=off", "max"
	if m.Accel == vmhost.KVM {
		cpu = "host"
	}
	switch {
	case runtime.GOARCH == "arm64":
		kind = "virt,accel=" + m.Accel + ",gic-version=max"
	case microvm(m.Machine):
		kind = "microvm,accel=" + m.Accel + ",isa-serial=on,rtc=on,acpi=on,pcie=on"
	}
	memory, backend := strconv.Itoa(m.MemoryMiB)+"M", "memory-backend-ram"
	if len(m.Shares) > 0 {
		// virtiofsd reads and writes the guest's memory.
		backend = "memory-backend-memfd,share=on"
		kind += ",memory-backend=memory"
		l.add("-object", backend+",id=memory,size="+memory)
	}
	if m.GrowMiB > 0 {
		// Addresses for what may come; none of it is anybody's before the guest uses it.
		l.add("-object", fmt.Sprintf("%s,id=more,size=%dM", backend, m.GrowMiB))
		memory += fmt.Sprintf(",maxmem=%dM", m.MemoryMiB+m.GrowMiB)
	}
	l.add("-machine", kind, "-cpu", cpu, "-smp", strconv.Itoa(m.CPUs), "-m", memory)
}

// kernelLine adds to the kernel's command line what QEMU's machines need.
func kernelLine(m *vmhost.Launch) string {
	console := "ttyS0"
	if runtime.GOARCH == "arm64" {
		console = "ttyAMA0"
	}
	channel := "port:" + agent.PortName
	if m.Machine.Vsock {
		channel = fmt.Sprintf("vsock:%d", m.Port)
	}
	s := "console=" + console + " reboot=t rkt.ctl=" + channel
	if m.Accel == vmhost.TCG && runtime.GOARCH == "amd64" {
		// Emulated on a host that is busy, the timer may be too late for the kernel's test of it, which then panics.
		s += " no_timer_check"
	}
	if m.Accel == vmhost.TCG && microvm(m.Machine) {
		s += " tsc_early_khz=" + strconv.Itoa(counterKHz()) // KVM's own clock tells it
	}
	return s + " " + m.Append
}

// socket is a connected socket.
func socket(id string, fd int) string { return fmt.Sprintf("socket,id=%s,fd=%d", id, fd) }

// disk adds a disk. An error of the host's is the guest's to see; QEMU would stop the machine when the host's disk
// is full.
func disk(l *line, i int, d vmhost.Disk, fd int) {
	id := "disk" + strconv.Itoa(i)
	driver := "file"
	if d.Device {
		driver = "host_device"
	}
	drive := "if=none,id=" + id + ",format=raw,auto-read-only=off,file.driver=" + driver + ",file.filename=" + l.file(fd) + ",werror=report,rerror=report"
	switch {
	case d.ReadOnly:
		drive += ",readonly=on"
	case d.Scratch:
		drive += ",cache=unsafe,discard=unmap,detect-zeroes=unmap"
	}
	l.add("-drive", drive)
	l.device("virtio-blk", ",drive="+id+",serial="+d.Serial)
}

func nic(l *line, i int, t vmhost.Tap) {
	id := "net" + strconv.Itoa(i)
	backend := fmt.Sprintf("tap,id=%s,fd=%d", id, t.FD)
	if t.Vhost > 0 {
		backend += fmt.Sprintf(",vhost=on,vhostfd=%d", t.Vhost)
	} else {
		backend += ",vhost=off"
	}
	options := ",netdev=" + id + ",mac=" + t.MAC
	if t.MTU > 0 {
		options += ",host_mtu=" + strconv.Itoa(t.MTU)
	}
	options += ",romfile="
	l.add("-netdev", backend)
	l.device("virtio-net", options)
}
