package broken

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/reason"
	networkv1 "github.com/rkt/rkt/v2/proto/rkt/network/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/netns"
)

// network gives each pod a veth pair with an address of 10.99.0.0/16. It remembers pods in files of shared_dir, written
// before what they describe.
type network struct {
	networkv1.UnimplementedNetworkServiceServer
	*plugin
}

// record is shared_dir/UUID.
type record struct {
	N     int // the pod's number: its address is 10.99.N/250.N%250+2
	Ports []uint32
}

func (r *record) link() string { return "brk" + strconv.Itoa(r.N) }

func (r *record) address() string { return fmt.Sprintf("10.99.%d.%d", r.N/250, r.N%250+2) }

const podLink = "eth0"

func load(shared, uuid string) (*record, error) {
	b, err := os.ReadFile(filepath.Join(shared, uuid))
	if err != nil {
		return nil, err
	}
	var r record
	return &r, json.Unmarshal(b, &r)
}

// records are all pods'.
func records(shared string) (map[string]*record, error) {
	entries, err := os.ReadDir(shared)
	if err != nil {
		return nil, err
	}
	out := map[string]*record{}
	for _, e := range entries {
		if strings.Contains(e.Name(), ".") {
			continue
		}
		if out[e.Name()], err = load(shared, e.Name()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// lock makes verbs on one shared directory take turns.
func lock(shared string) (func(), error) {
	f, err := os.Open(shared)
	if err != nil {
		return nil, err
	}
	return func() { f.Close() }, syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
}

func (s *network) Setup(_ context.Context, req *networkv1.SetupRequest) (*networkv1.SetupResponse, error) {
	for _, n := range req.GetNetworks() {
		if n.GetName() != "default" && !s.is("knows-any-network") {
			return nil, fail(reason.NetworkNotFound, "network %q", n.GetName())
		}
	}
	ns, ok := s.fds[launch.FDNetns]
	if !ok {
		return nil, fail(reason.Internal, "no namespace")
	}
	free, err := lock(req.GetSharedDir())
	if err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	defer free()
	if s.is("sets-up-once") {
		f, err := os.OpenFile(filepath.Join(req.GetStateDir(), "begun"), os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, fail(reason.Internal, "%v", err)
		}
		f.Close()
	}
	r, err := s.remember(req)
	if err != nil {
		return nil, err
	}
	if err := s.connect(r, ns); err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	i := &networkv1.Interface{Network: "default", Name: podLink, Addresses: []string{r.address() + "/32"}}
	if s.is("names-what-is-not-there") {
		i.Addresses = append(i.Addresses, "10.98.0.1/32")
	}
	return &networkv1.SetupResponse{Interfaces: []*networkv1.Interface{i}}, nil
}

// remember writes the pod's record, with a number that is free.
func (s *network) remember(req *networkv1.SetupRequest) (*record, error) {
	all, err := records(req.GetSharedDir())
	if err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	if r := all[req.GetPodUuid()]; r != nil && !s.is("forgets-its-addresses") {
		return r, nil
	}
	r := &record{}
	var taken []int
	for uuid, other := range all {
		taken = append(taken, other.N)
		for _, f := range req.GetPorts() {
			if slices.Contains(other.Ports, f.GetHostPort()) && uuid != req.GetPodUuid() && !s.is("gives-ports-away") {
				return nil, fail(reason.PortInUse, "port %d", f.GetHostPort())
			}
		}
	}
	for slices.Contains(taken, r.N) && !s.is("has-one-address") {
		r.N++
	}
	for _, f := range req.GetPorts() {
		r.Ports = append(r.Ports, f.GetHostPort())
	}
	b, err := json.Marshal(r)
	if err == nil {
		tmp := filepath.Join(req.GetSharedDir(), "new."+req.GetPodUuid())
		err = errors.Join(os.WriteFile(tmp, b, 0o600), os.Rename(tmp, filepath.Join(req.GetSharedDir(), req.GetPodUuid())))
	}
	if err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	return r, nil
}

// connect makes the pair, whatever of it is there.
func (s *network) connect(r *record, ns int) error {
	pod := os.NewFile(uintptr(ns), "netns")
	if s.is("has-one-address") {
		_ = disconnect(r) // the host's end would be in the way
	}
	have := netns.Do(pod, func() error { _, err := netlink.LinkByName(podLink); return err }) == nil
	host, err := netlink.LinkByName(r.link())
	if err == nil && !have { // half of a former attempt's
		if err := netlink.LinkDel(host); err != nil {
			return err
		}
		host = nil
	}
	if err != nil && have {
		if err := netns.Do(pod, func() error { return drop(podLink) }); err != nil {
			return err
		}
		have = false
	}
	if !have {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: r.link(), TxQLen: -1}, PeerName: podLink, PeerNamespace: netlink.NsFd(ns)}
		if err := netlink.LinkAdd(pair); err != nil {
			return err
		}
	}
	if host, err = netlink.LinkByName(r.link()); err != nil {
		return err
	}
	to := &net.IPNet{IP: net.ParseIP(r.address()), Mask: net.CIDRMask(32, 32)}
	err = netns.Do(pod, func() error {
		l, err := netlink.LinkByName(podLink)
		if err != nil {
			return err
		}
		if s.is("forgets-its-addresses") {
			old, err := netlink.AddrList(l, netlink.FAMILY_V4)
			if err != nil {
				return err
			}
			for i := range old {
				_ = netlink.AddrDel(l, &old[i])
			}
		}
		return errors.Join(netlink.AddrReplace(l, &netlink.Addr{IPNet: to}), netlink.LinkSetUp(l))
	})
	return errors.Join(err, netlink.LinkSetUp(host), netlink.RouteReplace(&netlink.Route{LinkIndex: host.Attrs().Index, Dst: to, Scope: netlink.SCOPE_LINK}))
}

func drop(name string) error {
	l, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(l)
}

func disconnect(r *record) error { return drop(r.link()) }

func (s *network) Check(_ context.Context, req *networkv1.CheckRequest) (*networkv1.CheckResponse, error) {
	if s.is("sees-no-damage") {
		return &networkv1.CheckResponse{}, nil
	}
	r, err := load(req.GetSharedDir(), req.GetPodUuid())
	if err == nil {
		_, err = netlink.LinkByName(r.link())
	}
	if s.is("sees-damage") {
		err = errors.New("something is wrong")
	}
	if err != nil {
		return nil, fail(reason.NetworkDamaged, "%v", err)
	}
	return &networkv1.CheckResponse{}, nil
}

func (s *network) Teardown(_ context.Context, req *networkv1.TeardownRequest) (*networkv1.TeardownResponse, error) {
	none := &networkv1.TeardownResponse{}
	if _, ok := s.fds[launch.FDNetns]; !ok && s.is("needs-the-namespace") {
		return nil, fail(reason.Internal, "no namespace")
	}
	if _, err := os.Stat(req.GetStateDir()); err != nil && s.is("needs-its-state") {
		return nil, fail(reason.Internal, "%v", err)
	}
	free, err := lock(req.GetSharedDir())
	if err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	defer free()
	if s.is("tears-down-once") {
		f, err := os.OpenFile(filepath.Join(req.GetStateDir(), "ending"), os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, fail(reason.Internal, "%v", err)
		}
		f.Close()
	}
	r, err := load(req.GetSharedDir(), req.GetPodUuid())
	if errors.Is(err, os.ErrNotExist) && !s.is("needs-a-setup") {
		return none, nil
	}
	if err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	if err := s.undo(req.GetSharedDir(), req.GetPodUuid(), r); err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	return none, nil
}

// undo takes the link away before the record that names it.
func (s *network) undo(shared, uuid string, r *record) error {
	path := filepath.Join(shared, uuid)
	if s.is("leaves-a-link") {
		err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "left", TxQLen: -1}})
		return errors.Join(err, disconnect(r), os.Remove(path))
	}
	if s.is("takes-all-down") {
		all, err := records(shared)
		if err != nil {
			return err
		}
		for _, other := range all {
			if err := disconnect(other); err != nil {
				return err
			}
		}
	}
	return errors.Join(disconnect(r), os.Remove(path))
}

func (s *network) Sweep(_ context.Context, req *networkv1.SweepRequest) (*networkv1.SweepResponse, error) {
	resp := &networkv1.SweepResponse{}
	if s.is("never-sweeps") {
		return resp, nil
	}
	if s.is("always-says-swept") {
		resp.Dropped = append(resp.Dropped, "dust")
	}
	free, err := lock(req.GetSharedDir())
	if err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	defer free()
	all, err := records(req.GetSharedDir())
	if err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	for uuid, r := range all {
		if slices.Contains(req.GetLivePods(), uuid) && !s.is("sweeps-everything") {
			continue
		}
		if err := s.undo(req.GetSharedDir(), uuid, r); err != nil {
			return nil, fail(reason.Internal, "%v", err)
		}
		resp.Dropped = append(resp.Dropped, "pod "+uuid)
	}
	return resp, nil
}
