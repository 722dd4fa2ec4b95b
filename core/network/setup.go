package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rkt/rkt/v2/core/plugin"
	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	networkv1 "github.com/rkt/rkt/v2/proto/rkt/network/v1"
)

// deadline of each call, as network.proto promises.
const deadline = 60 * time.Second

// downFile in the pod's net/ says that the network is torn down, so that gc does not start a plugin for it again.
const downFile = "down"

// Pod is what the network step needs of a pod.
type Pod struct {
	UUID     string
	Dir      string
	Hostname string
	Requests []poddir.NetworkRequest
	Ports    []poddir.Port
}

// Dirs are the places that outlive a pod.
type Dirs struct {
	Shared string   // leases and the like, for all pods
	Config []string // net.d directories, the admin's first
}

// Setup asks the plugin to connect netns and returns what runtime.json records.
func Setup(ctx context.Context, p *plugin.Process, pod Pod, dirs Dirs) (poddir.Network, error) {
	net := poddir.Network{Mode: poddir.NetworkPlugin, Requests: pod.Requests}
	state, err := makeState(pod.Dir, dirs.Shared)
	if err != nil {
		return net, err
	}
	req := &networkv1.SetupRequest{
		PodUuid: pod.UUID, StateDir: state, SharedDir: dirs.Shared, ConfigDirs: dirs.Config, Hostname: pod.Hostname,
	}
	for _, r := range pod.Requests {
		req.Networks = append(req.Networks, &networkv1.NetworkRequest{Name: r.Name, Args: r.Args})
	}
	for _, f := range pod.Ports {
		req.Ports = append(req.Ports, &networkv1.PortForward{
			Protocol: f.Protocol, HostIp: f.HostIP, HostPort: uint32(f.HostPort), PodPort: uint32(f.PodPort),
		})
	}
	resp, err := plugin.Call(ctx, p, "set up network of pod "+pod.UUID, deadline, func(ctx context.Context) (*networkv1.SetupResponse, error) {
		return p.Network().Setup(ctx, req)
	})
	if err != nil {
		return net, err
	}
	record(&net, resp)
	return net, nil
}

func makeState(podDir, shared string) (string, error) {
	state := filepath.Join(podDir, poddir.NetDir, "state")
	return state, errors.Join(makeDir(state), makeDir(shared))
}

// makeDir makes a directory for root alone. Its parents (/run/rkt) are everybody's to pass.
func makeDir(dir string) error {
	err := os.MkdirAll(filepath.Dir(dir), 0o755)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make network state: %w", err)
	}
	return nil
}

func record(net *poddir.Network, resp *networkv1.SetupResponse) {
	for _, i := range resp.GetInterfaces() {
		out := poddir.Interface{
			Network: i.GetNetwork(), Name: i.GetName(), MAC: i.GetMac(), MTU: i.GetMtu(),
			Addresses: i.GetAddresses(), Gateways: i.GetGateways(),
		}
		for _, r := range i.GetRoutes() {
			out.Routes = append(out.Routes, poddir.Route{Destination: r.GetDestination(), Gateway: r.GetGateway()})
		}
		net.Interfaces = append(net.Interfaces, out)
	}
	net.DNS = poddir.DNS{
		Nameservers: resp.GetDns().GetNameservers(), Search: resp.GetDns().GetSearch(),
		Options: resp.GetDns().GetOptions(), Domain: resp.GetDns().GetDomain(),
	}
}

// FDs are the descriptors to donate to the plugin of a pod with namespace netns; nil when it is gone.
func FDs(netns *os.File) []plugin.FD {
	if netns == nil {
		return nil
	}
	return []plugin.FD{{Name: launch.FDNetns, File: netns}}
}

// Down says whether nothing is left to tear down in a pod directory.
func Down(podDir string) bool {
	if _, err := os.Lstat(filepath.Join(podDir, poddir.NetDir, "state")); errors.Is(err, os.ErrNotExist) {
		return true // Setup was never asked
	}
	_, err := os.Lstat(filepath.Join(podDir, poddir.NetDir, downFile))
	return err == nil
}

// Teardown asks the plugin to undo Setup and records that it did.
func Teardown(ctx context.Context, p *plugin.Process, uuid, podDir string, dirs Dirs) error {
	_, err := plugin.Call(ctx, p, "tear down network of pod "+uuid, deadline, func(ctx context.Context) (*networkv1.TeardownResponse, error) {
		return p.Network().Teardown(ctx, &networkv1.TeardownRequest{
			PodUuid: uuid, StateDir: filepath.Join(podDir, poddir.NetDir, "state"), SharedDir: dirs.Shared, ConfigDirs: dirs.Config,
		})
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(podDir, poddir.NetDir, downFile), nil, 0o640)
}

// Sweep asks the plugin to drop what belongs to none of the live pods.
func Sweep(ctx context.Context, p *plugin.Process, live []string, dirs Dirs) ([]string, error) {
	if err := makeDir(dirs.Shared); err != nil {
		return nil, err
	}
	resp, err := plugin.Call(ctx, p, "sweep networks", deadline, func(ctx context.Context) (*networkv1.SweepResponse, error) {
		return p.Network().Sweep(ctx, &networkv1.SweepRequest{LivePods: live, SharedDir: dirs.Shared, ConfigDirs: dirs.Config})
	})
	return resp.GetDropped(), err
}
