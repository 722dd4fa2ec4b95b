package vmhost

import (
	"context"
	"io"

	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
)

// VMM is a virtual machine monitor program.
type VMM interface {
	// Traits says what it can do.
	Traits() Traits
	// Find returns the program and its version, the configured one or the host's. The error says how to get it.
	Find(ctx context.Context, c *Config) (program, version string, err error)
	// Fits says what of a machine the VMM cannot be given ("at most 24 devices"); nil when it can.
	Fits(m *Machine) error
	// Command is how to run it. It has no side effect.
	Command(l *Launch) Command
}

// Monitored is a VMM with a control connection of its own (QMP).
type Monitored interface {
	VMM
	// Monitor takes the connection. report gets what the user should know of.
	Monitor(conn io.ReadWriter, report func(string)) Monitor
}

// Monitor is such a connection.
type Monitor interface {
	// Serve listens until the connection ends.
	Serve()
}

// Grower is a VMM whose machines can be given memory while they run, up to Machine.GrowMiB. Its Monitor is a Growth.
type Grower interface {
	Monitored
	// Grows names the kernel module with which a guest takes it. The error is why such a machine does not grow ("it is a
	// brick"). Of the machine its size, configuration and kernel are known.
	Grows(m *Machine) (module string, err error)
}

// Growth changes a machine's memory.
type Growth interface {
	Monitor
	// Grow has the guest have so many MiB beside those of its start, and returns when it has them; after a smaller
	// number than before, at once, as the guest gives back what it can.
	Grow(ctx context.Context, mib int) error
}

// Traits of a VMM.
type Traits struct {
	Name   string   // for messages: "QEMU"
	Accels []string // KVM, TCG
	NineP  bool     // directories are shared by 9p, else by virtiofs
	// Serial and Vsock are the control channels that it has: a virtio-serial port, a vsock connection from the guest.
	// Of both, vsock is taken where host and guest have it: it answers sooner and carries several times as much.
	Serial, Vsock bool
	// Serials says that disks have serial numbers for the guest to find them by; else their order counts.
	Serials bool
	// Disks is how many it takes; with more layers than that they are put on one disk together.
	Disks int
	// Reboot ends the machine; else powering off does.
	Reboot bool
	// Modules are kernel modules that its devices need beside those of every guest.
	Modules []string
	// Paths says that the program opens disks by path inside its cage, else by descriptor.
	Paths bool
}

// Launch is a machine at its start: the numbers of the descriptors that the program will find. 0 is none.
type Launch struct {
	*Machine
	Control int // one end of a socket pair: the virtio-serial port
	Monitor int
	Console int    // what the guest's serial port prints
	Vsock   int    // /dev/vhost-vsock, of a VMM that does not open it itself; with Machine.Vsock
	CID     uint32 // of vsock
	Port    uint32 // of the host, for the guest to connect to
	Disks   []int  // as Machine.Disks
	Taps    []Tap  // as Machine.Interfaces
	Shares  []int  // as Machine.Shares, connected to virtiofsd; 0 for 9p
}

// Tap is a network device.
type Tap struct {
	FD    int
	Vhost int // 0: served by the VMM
	MAC   string
	MTU   int
}

// Command is a program in its cage.
type Command struct {
	Args  []string
	Env   []string
	Binds []cage.Bind
	Nodes []cage.Node
	// Caps has the program run as root with these capabilities, instead of as a user without any: for one that
	// serves the pod's volumes itself.
	Caps uint64
}

// Paths in the cage of a VMM.
const (
	KernelPath    = "/guest/kernel"
	InitramfsPath = "/guest/initramfs"
	DisksPath     = "/guest/disk" // + number
	SharesPath    = "/guest/share"
)
