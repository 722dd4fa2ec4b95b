package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/reason"
	networkv1 "github.com/rkt/rkt/v2/proto/rkt/network/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/answer"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/netns"
	podpkg "github.com/rkt/rkt/v2/sdk/conformance/internal/pod"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/process"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// site is a host with the plugin's shared directory.
type site struct {
	e      *suite.Env
	host   *os.File
	shared string
	before []string // what the host had
}

func newSite(e *suite.Env) (*site, error) {
	if os.Geteuid() != 0 {
		return nil, suite.Skip("network namespaces are made by root")
	}
	host, err := e.Host()
	if err != nil {
		return nil, err
	}
	shared, err := e.Dir()
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(shared, 0o700); err != nil {
		return nil, err
	}
	s := &site{e: e, host: host, shared: shared}
	s.before, err = s.look()
	return s, err
}

// look is what a pod may leave on the host: links, routes, tables of rules.
func (s *site) look() ([]string, error) {
	var out []string
	err := netns.Do(s.host, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			out = append(out, "link "+l.Attrs().Name)
		}
		routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if r.Dst != nil && (r.Dst.IP.IsLinkLocalUnicast() || r.Dst.IP.IsMulticast()) {
				continue // the kernel's own of each link
			}
			out = append(out, fmt.Sprintf("route %v", r.Dst))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	conn, err := nftables.New(nftables.WithNetNSFd(int(s.host.Fd())))
	if err != nil {
		return nil, err
	}
	tables, err := conn.ListTables()
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		out = append(out, fmt.Sprintf("nftables table %d %s", t.Family, t.Name))
	}
	slices.Sort(out)
	return out, nil
}

// clean waits until the host has nothing that it did not have before. Tables may stay that are empty of pods.
func (s *site) clean() error {
	var extra []string
	for deadline := time.Now().Add(s.e.Within(settle)); ; time.Sleep(10 * time.Millisecond) {
		now, err := s.look()
		if err != nil {
			return err
		}
		extra = slices.DeleteFunc(now, func(line string) bool { return slices.Contains(s.before, line) })
		if len(extra) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("left on the host: %s", strings.Join(extra, ", "))
		}
	}
}

// pod is a pod's namespace and what the plugin is told of it.
type pod struct {
	*site
	uuid, state string
	ns          *os.File
	ports       []*networkv1.PortForward
}

func (s *site) pod() (*pod, error) {
	dir, err := s.e.Dir()
	if err != nil {
		return nil, err
	}
	p := &pod{site: s, uuid: podpkg.UUID()}
	p.state = filepath.Join(dir, p.uuid, "net", "state")
	if err := os.MkdirAll(p.state, 0o700); err != nil {
		return nil, err
	}
	if p.ns, err = netns.New(); err != nil {
		return nil, err
	}
	s.e.Defer(p.drop)
	return p, nil
}

// drop is the death of the pod's last process.
func (p *pod) drop() error {
	if p.ns == nil {
		return nil
	}
	err := p.ns.Close()
	p.ns = nil
	return err
}

// client is a fresh plugin for one verb.
func (p *pod) client(ctx context.Context) (networkv1.NetworkServiceClient, *process.Process, error) {
	o := process.Options{}
	if p.ns != nil {
		o.FDs = []process.FD{{Name: launch.FDNetns, File: p.ns}}
	}
	proc, err := p.e.Ready(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	return networkv1.NewNetworkServiceClient(proc.Conn), proc, nil
}

// ask calls one verb of a fresh plugin.
func ask[Resp any](ctx context.Context, p *pod, verb func(networkv1.NetworkServiceClient) (Resp, error)) (Resp, error) {
	c, proc, err := p.client(ctx)
	if err != nil {
		var none Resp
		return none, err
	}
	resp, err := verb(c)
	return resp, errors.Join(err, proc.Close())
}

func (p *pod) configs() []string {
	if p.e.Plugin.NetConfigs == "" {
		return nil
	}
	return []string{p.e.Plugin.NetConfigs}
}

func (p *pod) request() *networkv1.SetupRequest {
	names := p.e.Plugin.Networks
	if len(names) == 0 {
		names = []string{"default"}
	}
	req := &networkv1.SetupRequest{
		PodUuid: p.uuid, StateDir: p.state, SharedDir: p.shared, ConfigDirs: p.configs(), Ports: p.ports, Hostname: "conformance",
	}
	for _, n := range names {
		req.Networks = append(req.Networks, &networkv1.NetworkRequest{Name: n})
	}
	return req
}

func (p *pod) setup(ctx context.Context) (*networkv1.SetupResponse, error) {
	return ask(ctx, p, func(c networkv1.NetworkServiceClient) (*networkv1.SetupResponse, error) {
		return c.Setup(ctx, p.request())
	})
}

func (p *pod) teardown(ctx context.Context) error {
	_, err := ask(ctx, p, func(c networkv1.NetworkServiceClient) (*networkv1.TeardownResponse, error) {
		return c.Teardown(ctx, p.down())
	})
	return err
}

func (p *pod) down() *networkv1.TeardownRequest {
	return &networkv1.TeardownRequest{PodUuid: p.uuid, StateDir: p.state, SharedDir: p.shared, ConfigDirs: p.configs()}
}

func (p *pod) check(ctx context.Context) error {
	_, err := ask(ctx, p, func(c networkv1.NetworkServiceClient) (*networkv1.CheckResponse, error) {
		return c.Check(ctx, &networkv1.CheckRequest{PodUuid: p.uuid, StateDir: p.state, SharedDir: p.shared, ConfigDirs: p.configs()})
	})
	return err
}

func (p *pod) sweep(ctx context.Context, live ...string) ([]string, error) {
	resp, err := ask(ctx, p, func(c networkv1.NetworkServiceClient) (*networkv1.SweepResponse, error) {
		return c.Sweep(ctx, &networkv1.SweepRequest{LivePods: live, SharedDir: p.shared, ConfigDirs: p.configs()})
	})
	return resp.GetDropped(), err
}

// connected says whether the pod's namespace has what Setup named.
func (p *pod) connected(resp *networkv1.SetupResponse) error {
	if len(resp.GetInterfaces()) == 0 {
		return errors.New("Setup names no interface")
	}
	return netns.Do(p.ns, func() error {
		for _, i := range resp.GetInterfaces() {
			if i.GetName() == "" || i.GetNetwork() == "" || len(i.GetAddresses()) == 0 {
				return fmt.Errorf("an interface lacks its name, network or addresses: %v", i)
			}
			link, err := net.InterfaceByName(i.GetName())
			if err != nil {
				return fmt.Errorf("interface %q is not in the pod: %w", i.GetName(), err)
			}
			if link.Flags&net.FlagUp == 0 {
				return fmt.Errorf("interface %q of the pod is down", i.GetName())
			}
			addrs, err := link.Addrs()
			if err != nil {
				return err
			}
			for _, want := range i.GetAddresses() {
				ip, _, err := net.ParseCIDR(want)
				if err != nil {
					return fmt.Errorf("address %q is no CIDR: %w", want, err)
				}
				if !slices.ContainsFunc(addrs, func(a net.Addr) bool { n, ok := a.(*net.IPNet); return ok && n.IP.Equal(ip) }) {
					return fmt.Errorf("interface %q of the pod has not the address %s", i.GetName(), want)
				}
			}
			for _, gw := range i.GetGateways() {
				if net.ParseIP(gw) == nil {
					return fmt.Errorf("gateway %q is no address", gw)
				}
			}
		}
		return nil
	})
}

// addresses of a pod, sorted.
func addresses(resp *networkv1.SetupResponse) []string {
	var out []string
	for _, i := range resp.GetInterfaces() {
		out = append(out, i.GetAddresses()...)
	}
	slices.Sort(out)
	return out
}

// up is a pod that is set up.
func (s *site) up(ctx context.Context, ports ...*networkv1.PortForward) (*pod, *networkv1.SetupResponse, error) {
	p, err := s.pod()
	if err != nil {
		return nil, nil, err
	}
	p.ports = ports
	resp, err := p.setup(ctx)
	if err != nil {
		return p, nil, fmt.Errorf("Setup: %w", err)
	}
	return p, resp, p.connected(resp)
}

// full is up with a published port, where the plugin publishes any.
func (s *site) full(ctx context.Context) (*pod, *networkv1.SetupResponse, error) {
	p, resp, err := s.up(ctx, s.forward())
	if answer.Reason(err) == reason.Unsupported {
		return s.up(ctx)
	}
	return p, resp, err
}

// published is up for checks of ports.
func (s *site) published(ctx context.Context, f *networkv1.PortForward) (*pod, error) {
	p, _, err := s.up(ctx, f)
	if answer.Reason(err) == reason.Unsupported {
		return nil, suite.Skip("the plugin says UNSUPPORTED: it publishes no ports")
	}
	return p, err
}

// end tears a pod down, and takes its namespace away.
func (p *pod) end(ctx context.Context) error {
	return errors.Join(p.teardown(ctx), p.drop())
}
