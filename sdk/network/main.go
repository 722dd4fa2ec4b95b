package network

import (
	"context"
	"math"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	networkv1 "github.com/rkt/rkt/v2/proto/rkt/network/v1"
	"github.com/rkt/rkt/v2/sdk/internal/serve"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Main is the plugin's main function. It does not return.
func Main(info Info, impl Network) {
	serve.Main(serve.Plugin{
		Manifest: Manifest(info, impl),
		Impl:     impl,
		Schema:   info.ConfigSchema,
		Register: func(r serve.Registrar, fds launch.FDs) {
			s := &server{impl: impl, netns: -1}
			if fd, ok := fds[launch.FDNetns]; ok {
				s.netns = fd
			}
			networkv1.RegisterNetworkServiceServer(r, s)
		},
	})
}

// Manifest is what Main prints for `manifest`. Capabilities come from what impl can do.
func Manifest(info Info, impl Network) manifest.Manifest {
	p := manifest.Provision{
		Service: manifest.ServiceNetwork, Protocols: []uint32{launch.Protocol}, Types: info.Types,
	}
	if _, ok := impl.(Checker); ok {
		p.Capabilities = append(p.Capabilities, "check")
	}
	if _, ok := impl.(Sweeper); ok {
		p.Capabilities = append(p.Capabilities, "sweep")
	}
	return manifest.Manifest{
		Schema: manifest.Schema, Name: info.Name, Version: info.Version, Vendor: info.Vendor, Exec: info.Exec,
		Programs: info.Programs, Provides: []manifest.Provision{p},
		Requires: serve.Requires(info.Requires), ConfigSchema: serve.SchemaName(info.ConfigSchema),
	}
}

// server translates between the wire and the interface.
type server struct {
	networkv1.UnimplementedNetworkServiceServer
	impl  Network
	netns int // the donated descriptor, or -1
}

func (s *server) Setup(ctx context.Context, req *networkv1.SetupRequest) (*networkv1.SetupResponse, error) {
	r := SetupRequest{
		Pod: Pod{
			UUID: req.GetPodUuid(), StateDir: req.GetStateDir(), SharedDir: req.GetSharedDir(),
			ConfigDirs: req.GetConfigDirs(), Netns: s.netns,
		},
		Hostname: req.GetHostname(),
	}
	for _, n := range req.GetNetworks() {
		r.Networks = append(r.Networks, Request{Name: n.GetName(), Args: n.GetArgs()})
	}
	for _, p := range req.GetPorts() {
		if p.GetHostPort() > math.MaxUint16 || p.GetPodPort() > math.MaxUint16 {
			return nil, plugin.ConfigInvalid("port %d:%d is above 65535", p.GetHostPort(), p.GetPodPort())
		}
		r.Ports = append(r.Ports, PortForward{
			Protocol: p.GetProtocol(), HostIP: p.GetHostIp(),
			HostPort: uint16(p.GetHostPort()), PodPort: uint16(p.GetPodPort()),
		})
	}
	res, err := s.impl.Setup(ctx, r)
	if err != nil {
		return nil, err
	}
	return toWire(res), nil
}

func (s *server) Teardown(ctx context.Context, req *networkv1.TeardownRequest) (*networkv1.TeardownResponse, error) {
	err := s.impl.Teardown(ctx, Pod{
		UUID: req.GetPodUuid(), StateDir: req.GetStateDir(), SharedDir: req.GetSharedDir(),
		ConfigDirs: req.GetConfigDirs(), Netns: s.netns,
	})
	if err != nil {
		return nil, err
	}
	return &networkv1.TeardownResponse{}, nil
}

func (s *server) Check(ctx context.Context, req *networkv1.CheckRequest) (*networkv1.CheckResponse, error) {
	c, ok := s.impl.(Checker)
	if !ok {
		return nil, plugin.Unsupported("this network plugin cannot check")
	}
	err := c.Check(ctx, Pod{
		UUID: req.GetPodUuid(), StateDir: req.GetStateDir(), SharedDir: req.GetSharedDir(),
		ConfigDirs: req.GetConfigDirs(), Netns: s.netns,
	})
	if err != nil {
		return nil, err
	}
	return &networkv1.CheckResponse{}, nil
}

func (s *server) Sweep(ctx context.Context, req *networkv1.SweepRequest) (*networkv1.SweepResponse, error) {
	w, ok := s.impl.(Sweeper)
	if !ok {
		return nil, plugin.Unsupported("this network plugin cannot sweep")
	}
	dropped, err := w.Sweep(ctx, SweepRequest{
		LivePods: req.GetLivePods(), SharedDir: req.GetSharedDir(), ConfigDirs: req.GetConfigDirs(),
	})
	if err != nil {
		return nil, err
	}
	return &networkv1.SweepResponse{Dropped: dropped}, nil
}

func toWire(s Setup) *networkv1.SetupResponse {
	resp := &networkv1.SetupResponse{Dns: &networkv1.DNS{
		Nameservers: s.DNS.Nameservers, Search: s.DNS.Search, Options: s.DNS.Options, Domain: s.DNS.Domain,
	}}
	for _, i := range s.Interfaces {
		w := &networkv1.Interface{
			Network: i.Network, Name: i.Name, Mac: i.MAC, Mtu: i.MTU, Addresses: i.Addresses, Gateways: i.Gateways,
		}
		for _, r := range i.Routes {
			w.Routes = append(w.Routes, &networkv1.Route{Destination: r.Destination, Gateway: r.Gateway})
		}
		resp.Interfaces = append(resp.Interfaces, w)
	}
	return resp
}
