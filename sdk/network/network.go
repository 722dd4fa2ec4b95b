package network

import (
	"context"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Info says what the plugin is. The same facts are printed by `<binary> manifest`.
type Info struct {
	Name    string // the directory's name: "network-cni"
	Version string // semver
	Vendor  string
	Exec    string // the binary's file name; "rkt-" + Name when empty

	Types []string // kinds of network

	Programs []string // further executables in the plugin's directory, pinned with it
	Requires plugin.Requires
	// ConfigSchema is the JSON schema of the configuration, usually embedded: rkt plugin config check reads it.
	ConfigSchema string
}

// Network is what a plugin must implement. Both methods are idempotent, also after a kill.
type Network interface {
	// Setup joins the pod to its networks, in order, and publishes its ports. A second call with the same pod
	// returns the same addresses.
	Setup(ctx context.Context, req SetupRequest) (Setup, error)
	// Teardown undoes Setup. It succeeds when the namespace, the links, the rules or the state are gone
	// already, and fails only with what another try could cure.
	Teardown(ctx context.Context, pod Pod) error
}

// Checker reports whether the pod is still connected as Setup left it: Damaged when it is not.
type Checker interface {
	Check(ctx context.Context, pod Pod) error
}

// Sweeper drops whatever belongs to no living pod, and says what that was.
type Sweeper interface {
	Sweep(ctx context.Context, req SweepRequest) (dropped []string, err error)
}

// Pod is the pod in question.
type Pod struct {
	UUID       string
	StateDir   string   // <pod>/net/state, absolute
	SharedDir  string   // the plugin's own for all pods (address leases), absolute
	ConfigDirs []string // net.d directories, the admin's first
	// Netns is the pod's namespace, an open descriptor that belongs to the process; -1 when it is gone.
	Netns int
}

// SetupRequest is what to set up.
type SetupRequest struct {
	Pod
	Networks []Request
	Ports    []PortForward
	Hostname string
}

// Request names one network.
type Request struct {
	Name string            // "default" or the name of a conflist
	Args map[string]string // CNI_ARGS
}

// PortForward publishes a port of the pod on the host.
type PortForward struct {
	Protocol string // "tcp", "udp", "sctp"
	HostIP   string // empty: all addresses, v4 and v6, loopback included
	HostPort uint16
	PodPort  uint16
}

// Setup is what the pod got.
type Setup struct {
	Interfaces []Interface
	DNS        DNS
}

// Interface is one link in the pod.
type Interface struct {
	Network   string
	Name      string
	MAC       string
	MTU       uint32
	Addresses []string // CIDR, v4 and v6
	Gateways  []string
	Routes    []Route
}

// Route is one route in the pod.
type Route struct {
	Destination string // CIDR
	Gateway     string // empty: on link
}

// DNS is what resolv.conf is made of.
type DNS struct {
	Nameservers []string
	Search      []string
	Options     []string
	Domain      string
}

// SweepRequest says who lives.
type SweepRequest struct {
	LivePods   []string // UUIDs of pods that hold their networks
	SharedDir  string
	ConfigDirs []string
}

// NotFound: no configuration has that name. Say where it was looked for.
func NotFound(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.NetworkNotFound, format, args...)
}

// AddressInUse: the wanted address is taken, or none is left.
func AddressInUse(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.AddressInUse, format, args...)
}

// PortInUse: the host's port is taken. Say by whom, when it is known.
func PortInUse(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.PortInUse, format, args...)
}

// Damaged: Check found something missing.
func Damaged(format string, args ...any) *plugin.Error {
	return plugin.Errorf(reason.NetworkDamaged, format, args...)
}
