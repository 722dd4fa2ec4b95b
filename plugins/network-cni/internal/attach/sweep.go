package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/network-cni/internal/conflist"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/firewall"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ledger"
	"github.com/rkt/rkt/v2/plugins/network-cni/internal/ptp"
	"github.com/rkt/rkt/v2/sdk/network"
)

// Sweep implements network.Sweeper. What cannot be dropped now is in the error, the rest is dropped all the same.
func (e *Engine) Sweep(ctx context.Context, req network.SweepRequest) ([]string, error) {
	s, err := e.open(req.SharedDir, -1)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var dropped []string
	links, errs := ownLinks() // before the records are read: each link seen here has a record by now
	pods, err := s.led.Pods()
	if err != nil {
		return nil, err
	}
	for _, pod := range pods {
		if slices.Contains(req.LivePods, pod) {
			continue
		}
		one, err := s.sweepPod(ctx, pod)
		dropped, errs = append(dropped, one...), errors.Join(errs, err)
	}
	err = s.locked(ctx, func() error {
		rest, err := s.reconcile(links)
		dropped = append(dropped, rest...)
		return errors.Join(err, s.collect(ctx, req.ConfigDirs))
	})
	return dropped, errors.Join(errs, err)
}

// sweepPod tears a dead pod down.
func (s *session) sweepPod(ctx context.Context, pod string) ([]string, error) {
	rec, err := s.led.Load(pod)
	if errors.Is(err, ledger.ErrTorn) {
		return []string{"damaged record of pod " + pod}, s.locked(ctx, func() error { return s.forget(pod) })
	}
	if rec == nil || err != nil {
		return nil, err
	}
	if holdsLock(rec.StateDir) {
		return nil, nil // started after core made its list
	}
	s.rec = rec
	if err := s.teardown(ctx); err != nil {
		return nil, fmt.Errorf("drop pod %s: %w", pod, err)
	}
	var names []string
	for _, a := range rec.Attachments {
		names = append(names, a.Network)
	}
	return []string{fmt.Sprintf("pod %s from %s", pod, strings.Join(names, ", "))}, nil
}

// holdsLock says whether somebody holds the lock of the pod whose state directory this was: <pod>/net/state. A pod
// in any later state has moved elsewhere.
func holdsLock(stateDir string) bool {
	fd, err := unix.Open(filepath.Dir(filepath.Dir(stateDir)), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return errors.Is(unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// reconcile drops whatever has no record: leases, claims, links, rules. The caller holds the lock.
func (s *session) reconcile(links []string) (dropped []string, err error) {
	pods, err := s.led.Pods()
	if err != nil {
		return nil, err
	}
	known := func(pod string) bool { return slices.Contains(pods, pod) }
	err = s.dropLeases(func(pod string) bool { return !known(pod) }, func(network string, ip netip.Addr, pod string) {
		dropped = append(dropped, fmt.Sprintf("lease of %s in network %s", ip, network))
	})
	err = errors.Join(err, s.led.SweepClaims(known))
	s.led.RemoveEmpty()
	records, rerr := s.led.Records()
	if err = errors.Join(err, rerr); err != nil {
		return dropped, err
	}
	var entries []firewall.Entry
	for _, r := range records {
		entries = append(entries, firewall.Entries(r)...)
	}
	now, lerr := ownLinks()
	err = errors.Join(err, lerr)
	for _, l := range links {
		if !slices.Contains(now, l) || slices.ContainsFunc(pods, func(pod string) bool { return s.owns(pod, l) }) {
			continue
		}
		if derr := ptp.Down(&ledger.Link{HostIf: l}); derr != nil {
			err = errors.Join(err, derr)
			continue
		}
		dropped = append(dropped, "link "+l)
	}
	fw, ferr := s.firewall()
	if ferr != nil {
		return dropped, errors.Join(err, ferr)
	}
	if len(entries) == 0 {
		return dropped, errors.Join(err, fw.Drop())
	}
	missing, extra, cerr := fw.Compare(entries)
	if cerr == nil && (missing || extra) {
		if cerr = fw.Replace(entries); cerr == nil {
			dropped = append(dropped, "rules that had no pod, or put back missing ones")
		}
	}
	return dropped, errors.Join(err, cerr)
}

func (s *session) owns(pod, link string) bool {
	r, err := s.led.Load(pod)
	return err != nil || r != nil && slices.ContainsFunc(r.Attachments, func(a ledger.Attachment) bool {
		return a.Link != nil && a.Link.HostIf == link
	})
}

// ownLinks lists the host's ends of the built-in type's links.
func ownLinks() ([]string, error) {
	all, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var names []string
	for _, l := range all {
		if l.Type() == "veth" && strings.HasPrefix(l.Attrs().Name, firewall.Prefix) {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, nil
}

// collect lets CNI programs of version 1.1 drop what they keep for attachments that are not in the records. The
// caller holds the lock, so the records are all there is.
func (s *session) collect(ctx context.Context, dirs []string) error {
	configs := conflist.Load(dirs)
	var lists []*libcni.NetworkConfigList
	for _, name := range configs.Names() {
		n, err := configs.Get(name)
		if err != nil {
			continue
		}
		modern, _ := version.GreaterThanOrEqualTo(n.List.CNIVersion, "1.1.0")
		if n.File != "" && modern && !n.List.DisableGC {
			lists = append(lists, n.List)
		}
	}
	if len(lists) == 0 {
		return nil
	}
	pods, err := s.led.Pods()
	if err != nil {
		return err
	}
	valid := map[string][]types.GCAttachment{}
	for _, pod := range pods {
		r, err := s.led.Load(pod)
		if err != nil || r == nil {
			return errors.Join(err, errors.New("collect CNI garbage: a pod's record cannot be read"))
		}
		for _, a := range r.Attachments {
			valid[a.Network] = append(valid[a.Network], types.GCAttachment{ContainerID: pod, IfName: a.IfName})
		}
	}
	for _, l := range lists {
		args := &libcni.GCArgs{ValidAttachments: valid[l.Name]}
		if args.ValidAttachments == nil {
			args.ValidAttachments = []types.GCAttachment{}
		}
		if gcErr := s.cni.GCNetworkList(ctx, l, args); gcErr != nil {
			err = errors.Join(err, fmt.Errorf("collect garbage of network %s: %w", l.Name, gcErr))
		}
	}
	return err
}
