package attach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/cniexec"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/conflist"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/firewall"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/hostnet"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ptp"
	"github.com/rkt/rkt/v2/sdk/network"
)

// addAll runs ADD for every attachment of the record, in order.
func (s *session) addAll(ctx context.Context, again bool) ([]types.Result, error) {
	if err := s.forward(ctx); err != nil {
		return nil, err
	}
	var results []types.Result
	for i := range s.rec.Attachments {
		a := &s.rec.Attachments[i]
		r, err := s.add(ctx, a, again)
		if err != nil {
			return nil, fmt.Errorf("join network %s: %w", a.Network, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func (s *session) add(ctx context.Context, a *ledger.Attachment, again bool) (types.Result, error) {
	list, rt, err := s.runtime(a, s.ns)
	if err != nil {
		return nil, err
	}
	if again && a.Link == nil {
		// A CNI program must not see ADD twice. If the earlier one ended well, its answer is in the cache and its
		// link in the pod; otherwise undo what it may have begun.
		cached, err := s.cni.GetNetworkListCachedResult(list, rt)
		if err == nil && cached != nil && hasLink(s.ns, a.IfName) {
			return cached, nil
		}
		if err := s.cni.DelNetworkList(ctx, list, rt); err != nil {
			return nil, fmt.Errorf("undo an interrupted setup: %w", err)
		}
	}
	r, err := s.cni.AddNetworkList(ctx, list, rt)
	if err != nil && a.Args["IP"] != "" && addressTaken(err) {
		return nil, network.AddressInUse("address %s of network %q is in use: %w", a.Args["IP"], a.Network, err)
	}
	return r, err
}

// addressTaken recognises what IPAM programs say; CNI has no code for it. (host-local; whereabouts and calico say
// "already".)
func addressTaken(err error) bool {
	var e *types.Error
	return errors.As(err, &e) && (strings.Contains(e.Msg+e.Details, "is not available in range set") ||
		strings.Contains(e.Msg+e.Details, "already allocated") || strings.Contains(e.Msg+e.Details, "already in use"))
}

// runtime gives libcni's view of an attachment. ns is a descriptor of the pod's namespace or of a stand-in.
func (s *session) runtime(a *ledger.Attachment, ns int) (*libcni.NetworkConfigList, *libcni.RuntimeConf, error) {
	list, err := conflist.Parse(a.Config, "")
	if err != nil {
		return nil, nil, fmt.Errorf("read network %s: %w", a.Network, err)
	}
	// A program opens the path while this process lives; nothing outlives it. (/proc/self would be the program.)
	rt := &libcni.RuntimeConf{
		ContainerID: s.rec.Pod, IfName: a.IfName, NetNS: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns),
	}
	for k, v := range a.Args {
		rt.Args = append(rt.Args, [2]string{k, v})
	}
	if _, said := a.Args["IgnoreUnknown"]; !said && len(a.Args) > 0 {
		// Every program of the chain gets every argument, and refuses those meant for another without this one.
		rt.Args = append(rt.Args, [2]string{"IgnoreUnknown", "1"})
	}
	slices.SortFunc(rt.Args, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	if len(a.Ports) > 0 {
		type mapping struct {
			HostPort      uint16 `json:"hostPort"`
			ContainerPort uint16 `json:"containerPort"`
			Protocol      string `json:"protocol"`
			HostIP        string `json:"hostIP,omitempty"`
		}
		var all []mapping
		for _, p := range a.Ports {
			m := mapping{p.HostPort, p.PodPort, p.Protocol, ""}
			if p.HostIP.IsValid() {
				m.HostIP = p.HostIP.String()
			}
			all = append(all, m)
		}
		rt.CapabilityArgs = map[string]any{"portMappings": all}
	}
	return list, rt, nil
}

// forward turns forwarding on when a network of the built-in type needs it. Programs do so for themselves.
func (s *session) forward(ctx context.Context) error {
	need, with6 := false, false
	for _, a := range s.rec.Attachments {
		if a.Link != nil {
			need, with6 = true, with6 || a.Link.IP6.IsValid()
		}
	}
	if !need || hostnet.Forwarding(with6) {
		return nil
	}
	return s.locked(ctx, func() error {
		before := map[string]string{}
		if err := s.led.ReadJSON("host.json", &before); err != nil {
			return err
		}
		return hostnet.Forward(with6, func(path, old string) error {
			if _, known := before[path]; known {
				return nil
			}
			before[path] = old
			return s.led.WriteJSON("host.json", before)
		})
	})
}

// builtin is the type rkt-ptp. What it makes is in the record already.
func (s *session) builtin(ctx context.Context, c cniexec.Call) (types.Result, error) {
	i := slices.IndexFunc(s.rec.Attachments, func(a ledger.Attachment) bool { return a.IfName == c.IfName })
	if i < 0 || s.rec.Attachments[i].Link == nil {
		return nil, fmt.Errorf("%s %s: pod %s has no such link", c.Command, c.IfName, s.rec.Pod)
	}
	a := &s.rec.Attachments[i]
	switch c.Command {
	case "ADD":
		if err := s.up(ctx, a); err != nil {
			return nil, err
		}
		var head struct {
			CNIVersion string `json:"cniVersion"`
		}
		if err := json.Unmarshal(c.Config, &head); err != nil {
			return nil, err
		}
		return ptp.Result(head.CNIVersion, a.Link, a.IfName, c.NetNS)
	case "DEL":
		return nil, s.down(a)
	case "CHECK", "GC", "STATUS":
		return nil, nil // Check and Sweep look at all links at once
	}
	return nil, fmt.Errorf("type %s does not know command %q", ptp.Type, c.Command)
}

// up makes the link while the kernel takes the rules in; neither needs the other.
func (s *session) up(ctx context.Context, a *ledger.Attachment) error {
	rules := make(chan error, 1)
	go func() { rules <- s.addRules(ctx, a) }()
	err := ptp.Up(a.Link, s.ns, a.IfName, len(a.Ports) > 0)
	if rerr := <-rules; err == nil {
		err = rerr
	}
	if err == nil {
		hostnet.ForgetFlows(a.Ports)
	}
	return err
}

func (s *session) addRules(ctx context.Context, a *ledger.Attachment) error {
	fw, err := s.firewall()
	if err != nil {
		return err
	}
	one := firewall.Entries(&ledger.Record{Pod: s.rec.Pod, Attachments: []ledger.Attachment{*a}})
	if err = fw.Add(one); !errors.Is(err, firewall.ErrUnfit) {
		return err
	}
	// The first pod, or somebody flushed the rules: put back those of all pods, this one's included.
	return s.locked(ctx, func() error {
		if err := fw.Add(one); !errors.Is(err, firewall.ErrUnfit) {
			return err // another plugin process was faster
		}
		// Once for the first pod is often enough; and before our own rules, because see firewall.Conn.Close.
		others, err := hostnet.Foreign()
		if err != nil {
			return err
		}
		for _, f := range others {
			slog.WarnContext(ctx, "another filter may cut pods off", "filter", f.What, "remedy", f.Cure)
		}
		return s.replaceRules(fw)
	})
}

// replaceRules makes the table from the records. The caller holds the lock.
func (s *session) replaceRules(fw *firewall.Conn) error {
	records, err := s.led.Records()
	if err != nil {
		return err
	}
	var all []firewall.Entry
	for _, r := range records {
		all = append(all, firewall.Entries(r)...)
	}
	return fw.Replace(all)
}

// hasLink says whether the pod has a link of that name.
func hasLink(ns int, ifname string) bool {
	h, err := netlink.NewHandleAt(netns.NsHandle(ns), unix.NETLINK_ROUTE)
	if err != nil {
		return false
	}
	defer h.Close()
	_, err = h.LinkByName(ifname)
	return err == nil
}
