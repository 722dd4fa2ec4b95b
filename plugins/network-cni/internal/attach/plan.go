package attach

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"

	"github.com/containernetworking/cni/libcni"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/conflist"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/hostnet"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ptp"
	"github.com/rkt/rkt/v2/sdk/network"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// prepare decides what the pod gets and writes it down as s.rec. again says that an earlier Setup of the same pod got
// somewhere, nobody knows how far.
func (s *session) prepare(ctx context.Context, req network.SetupRequest, configs *conflist.Set) (again bool, err error) {
	old, err := s.led.Load(req.UUID)
	if err != nil && !errors.Is(err, ledger.ErrTorn) {
		return false, err
	}
	want, err := wanted(req, configs)
	if err != nil {
		return false, err
	}
	if err := s.findPrograms(want, configs); err != nil {
		return false, err
	}
	if old != nil {
		s.rec = old
		if s.led.Current(old) && !old.Gone && same(old, want) {
			return true, nil
		}
		// Asked for something else, or left by another boot: start over.
		if err := s.teardown(ctx); err != nil {
			return false, fmt.Errorf("undo an earlier setup of pod %s: %w", req.UUID, err)
		}
	}
	for _, p := range want.Ports {
		if err := checkListeners(p); err != nil {
			return false, err
		}
	}
	s.rec = want
	return false, s.locked(ctx, func() error {
		err := s.reserve(want)
		if err == nil {
			err = s.led.Save(want)
		}
		if err != nil { // nothing on the host was touched
			return errors.Join(err, s.release(want))
		}
		return nil
	})
}

// wanted turns a request into a record without leases.
func wanted(req network.SetupRequest, configs *conflist.Set) (*ledger.Record, error) {
	rec := &ledger.Record{Pod: req.UUID, StateDir: req.StateDir}
	ports, err := parsePorts(req.Ports)
	if err != nil {
		return nil, err
	}
	rec.Ports = ports
	publisher := -1
	for _, r := range expand(req.Networks, configs) {
		if slices.ContainsFunc(rec.Attachments, func(a ledger.Attachment) bool { return a.Network == r.Name }) {
			return nil, plugin.ConfigInvalid("network %q is asked for twice", r.Name)
		}
		n, err := configs.Get(r.Name)
		if err != nil {
			return nil, err
		}
		for k, v := range r.Args {
			if err := checkArg(k, v); err != nil {
				return nil, plugin.ConfigInvalid("network %q: %w", r.Name, err)
			}
		}
		i := len(rec.Attachments)
		if publisher < 0 && publishes(n.List) {
			publisher = i
		}
		rec.Attachments = append(rec.Attachments, ledger.Attachment{
			Network: n.Name, IfName: "eth" + strconv.Itoa(i), Config: n.List.Bytes, Args: r.Args,
		})
	}
	if len(ports) > 0 {
		if publisher < 0 {
			return nil, plugin.ConfigInvalid("none of the pod's networks can publish ports; " +
				`add {"type": "portmap", "capabilities": {"portMappings": true}} to the conflist of one, or ask for network "default" too`)
		}
		rec.Attachments[publisher].Ports = ports
	}
	return rec, nil
}

// findPrograms makes sure that all programs are there before the first of them changes anything.
func (s *session) findPrograms(rec *ledger.Record, configs *conflist.Set) error {
	for _, a := range rec.Attachments {
		n, err := configs.Get(a.Network)
		if err != nil {
			return err
		}
		for _, p := range n.List.Plugins {
			for _, typ := range []string{p.Network.Type, p.Network.IPAM.Type} {
				if typ == "" { // no IPAM
					continue
				}
				if _, err := s.exec.FindInPath(typ, s.Programs); err != nil {
					return fmt.Errorf("network %q: %w", a.Network, err)
				}
			}
		}
	}
	return nil
}

// expand replaces "all" by every configuration that there is.
func expand(requests []network.Request, configs *conflist.Set) []network.Request {
	var out []network.Request
	for _, r := range requests {
		if r.Name != "all" {
			out = append(out, r)
			continue
		}
		for _, name := range configs.Names() {
			if !slices.ContainsFunc(requests, func(q network.Request) bool { return q.Name == name }) {
				out = append(out, network.Request{Name: name})
			}
		}
	}
	return out
}

func publishes(list *libcni.NetworkConfigList) bool {
	return slices.ContainsFunc(list.Plugins, func(p *libcni.PluginConfig) bool { return p.Network.Capabilities["portMappings"] })
}

// same says whether a record answers the same request. The configuration may have been edited since: what the pod
// has stays.
func same(old, want *ledger.Record) bool {
	if len(old.Attachments) != len(want.Attachments) || !reflect.DeepEqual(old.Ports, want.Ports) {
		return false
	}
	for i, a := range old.Attachments {
		if b := want.Attachments[i]; a.Network != b.Network || !maps.Equal(a.Args, b.Args) {
			return false
		}
	}
	return true
}

func parsePorts(forwards []network.PortForward) ([]ledger.Port, error) {
	var ports []ledger.Port
	for _, f := range forwards {
		p := ledger.Port{Protocol: f.Protocol, HostPort: f.HostPort, PodPort: f.PodPort}
		switch f.Protocol {
		case "tcp", "udp", "sctp":
		case "":
			p.Protocol = "tcp"
		default:
			return nil, plugin.ConfigInvalid("publish port %d: protocol %q is not tcp, udp or sctp", f.HostPort, f.Protocol)
		}
		if f.HostPort == 0 || f.PodPort == 0 {
			return nil, plugin.ConfigInvalid("publish port %d:%d: ports are between 1 and 65535", f.HostPort, f.PodPort)
		}
		if f.HostIP != "" {
			ip, err := netip.ParseAddr(f.HostIP)
			if err != nil || ip.Zone() != "" {
				return nil, plugin.ConfigInvalid("publish port %d: %q is not an IP address", f.HostPort, f.HostIP)
			}
			p.HostIP = ip.Unmap()
		}
		for _, q := range ports {
			if q == p {
				return nil, plugin.ConfigInvalid("port %s is published twice", p)
			}
			if q.Protocol == p.Protocol && q.HostPort == p.HostPort && ledger.Overlap(q.HostIP, p.HostIP) {
				return nil, network.PortInUse("ports %s and %s of this pod overlap", q, p)
			}
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// checkArg keeps one argument from becoming two: CNI_ARGS is "K=V;K=V".
func checkArg(k, v string) error {
	for _, c := range k + v {
		if c == ';' || c == 0 || c == '\n' {
			return fmt.Errorf("argument %q=%q contains a separator", k, v)
		}
	}
	if k == "" || slices.Contains([]byte(k), '=') {
		return fmt.Errorf("argument name %q is not usable", k)
	}
	return nil
}

// checkListeners refuses a port on which a program of the host listens: the pod would take its traffic.
func checkListeners(p ledger.Port) error {
	all, err := hostnet.Listeners(p.Protocol, p.HostPort)
	if err != nil {
		return nil // a kernel without sock_diag; the claim still guards against other pods
	}
	for _, l := range all {
		if l.Takes(p.HostIP) {
			flag := "t"
			if p.Protocol == "udp" {
				flag = "u"
			}
			return network.PortInUse("port %s is in use: a program of this host listens on %s; find it with: ss -ln%sp 'sport = :%d'",
				p, l.Addr, flag, p.HostPort)
		}
	}
	return nil
}

// builtinConfig gives the configuration of the built-in type in a list, or nil.
func builtinConfig(list *libcni.NetworkConfigList) (*ptp.Config, error) {
	for i, p := range list.Plugins {
		if p.Network.Type != ptp.Type {
			continue
		}
		if i > 0 {
			return nil, plugin.ConfigInvalid("network %q: type %s makes the link, so it must come first", list.Name, ptp.Type)
		}
		return ptp.ParseConfig(p.Bytes)
	}
	return nil, nil
}
