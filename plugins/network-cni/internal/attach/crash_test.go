package attach

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/rkt/rkt/v2/sdk/network"
)

func run(t testing.TB, c *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
}

func TestReducedCapabilities(t *testing.T) {
	s := newSite(t)
	before := s.snapshot(t)
	p := s.newPod(t)
	req := p.request([]network.PortForward{tcp(80, 80)}, "default")
	run(t, s.command(t, "setup", req, p.ns))
	serve(t, p.ns, "tcp", ":80")
	mustAsk(t, "published", world.outside, "tcp", at(host4, 80), outside4)
	mustAsk(t, "published, from loopback", nil, "tcp", "127.0.0.1:80", "")
	run(t, s.command(t, "setup", req, p.ns))
	run(t, s.command(t, "teardown", req, nil))
	s.unchanged(t, before)
}

// TestKilled kills Setup and Teardown at random moments and then wants the right end state.
func TestKilled(t *testing.T) {
	s := newSite(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	rounds := 60
	if testing.Short() {
		rounds = 10
	}
	// How long an undisturbed run takes decides where the kills land.
	p := s.newPod(t)
	start := time.Now()
	run(t, s.command(t, "setup", p.request([]network.PortForward{tcp(80, 80)}, "default"), p.ns))
	whole := time.Since(start)
	if err := s.Teardown(context.Background(), p.Pod); err != nil {
		t.Fatal(err)
	}
	before := s.snapshot(t)
	for i := range rounds {
		p := s.newPod(t)
		req := p.request([]network.PortForward{tcp(80, 80), {Protocol: "udp", HostPort: 53, PodPort: 53}}, "default")
		kill := func(verb string, ns *os.File) {
			c := s.command(t, verb, req, ns)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(whole)))) // the moment is the point, not the wait
			_ = c.Process.Kill()
			_ = c.Wait()
		}
		kill("setup", p.ns)
		switch i % 4 {
		case 0: // set up again, and it works
			got, err := s.Setup(context.Background(), req)
			if err != nil {
				t.Fatalf("round %d: setup after a kill: %v", i, err)
			}
			p.setup = got
			mustAskPod(t, p)
			if err := s.Check(context.Background(), p.Pod); err != nil {
				t.Errorf("round %d: check: %v", i, err)
			}
			kill("teardown", nil)
		case 1: // torn down without the namespace
			p.Netns = -1
		case 2: // gc is all there is
			if _, err := s.Sweep(context.Background(), network.SweepRequest{SharedDir: s.shared, ConfigDirs: []string{s.conf}}); err != nil {
				t.Fatalf("round %d: sweep: %v", i, err)
			}
			s.unchanged(t, before)
		}
		if err := s.Teardown(context.Background(), p.Pod); err != nil {
			t.Fatalf("round %d: teardown: %v", i, err)
		}
		s.unchanged(t, before)
		if t.Failed() {
			t.Fatalf("round %d", i)
		}
	}
}

func mustAskPod(t *testing.T, p *pod) {
	t.Helper()
	serve(t, p.ns, "tcp4", p.addr(t, false)+":80")
	mustAsk(t, "published", world.outside, "tcp", at(host4, 80), outside4)
}

func TestManyAtOnce(t *testing.T) {
	s := newSite(t)
	before := s.snapshot(t)
	const n = 16
	var pods []*pod
	for range n {
		pods = append(pods, s.newPod(t))
	}
	var wg sync.WaitGroup
	errs := make(chan error, 4*n)
	for i, p := range pods {
		wg.Go(func() {
			req := p.request([]network.PortForward{tcp(uint16(9000+i), 80)}, "default")
			var out bytes.Buffer
			c := s.command(t, "setup", req, p.ns)
			c.Stderr = &out
			if err := c.Run(); err != nil {
				errs <- fmt.Errorf("setup: %w: %s", err, out.String())
			}
			if i%2 == 0 { // half of them come and go while others come
				c := s.command(t, "teardown", req, p.ns)
				c.Stderr = &out
				if err := c.Run(); err != nil {
					errs <- fmt.Errorf("teardown: %w: %s", err, out.String())
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	for i, p := range pods {
		if i%2 == 1 {
			if err := s.Check(context.Background(), p.Pod); err != nil {
				t.Errorf("pod %d: %v", i, err)
			}
			serve(t, p.ns, "tcp", ":80")
			mustAsk(t, "published", world.outside, "tcp", at(host4, uint16(9000+i)), outside4)
		}
		if err := s.Teardown(context.Background(), p.Pod); err != nil {
			t.Error(err)
		}
	}
	s.unchanged(t, before)
}

func TestSweep(t *testing.T) {
	s := newSite(t)
	before := s.snapshot(t)
	live, dead := s.up(t, []network.PortForward{tcp(8080, 80)}), s.up(t, []network.PortForward{tcp(8081, 80)})
	serve(t, live.ns, "tcp", ":80")
	// Somebody else's hand: a stray link, rules flushed, a lease of nobody.
	stray := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "rkt-stray", TxQLen: -1}, PeerName: "rkt-other"}
	if err := netlink.LinkAdd(stray); err != nil {
		t.Fatal(err)
	}
	write(t, s.shared+"/leases/default/10.86.9.9", "00000000-0000-0000-0000-000000000000 x\n")
	if nft, err := exec.LookPath("nft"); err == nil {
		run(t, exec.Command(nft, "flush", "ruleset"))
	}
	if err := s.Check(context.Background(), live.Pod); err == nil {
		t.Error("check sees no damage")
	}
	req := network.SweepRequest{LivePods: []string{live.UUID}, SharedDir: s.shared, ConfigDirs: []string{s.conf}}
	dropped, err := s.Sweep(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%q", dropped)
	for _, want := range []string{dead.UUID, "10.86.9.9", "rkt-stray"} {
		if !slices.ContainsFunc(dropped, func(d string) bool { return strings.Contains(d, want) }) {
			t.Errorf("%q does not speak of %s", dropped, want)
		}
	}
	if err := s.Check(context.Background(), live.Pod); err != nil {
		t.Errorf("the living pod: %v", err)
	}
	mustAsk(t, "the living pod", world.outside, "tcp", at(host4, 8080), outside4)
	if again, err := s.Sweep(context.Background(), req); err != nil || len(again) > 0 {
		t.Errorf("second sweep: %q, %v", again, err)
	}
	// A pod that started after core's list was made holds its lock.
	f, err := os.Open(strings.TrimSuffix(live.StateDir, "/net/state"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lockFile(f); err != nil {
		t.Fatal(err)
	}
	req.LivePods = nil
	if dropped, err := s.Sweep(context.Background(), req); err != nil || len(dropped) > 0 {
		t.Errorf("sweep of a locked pod: %q, %v", dropped, err)
	}
	f.Close()
	if dropped, err := s.Sweep(context.Background(), req); err != nil || len(dropped) != 1 {
		t.Errorf("last sweep: %q, %v", dropped, err)
	}
	s.unchanged(t, before)
}

// TestOtherBoot: what an earlier boot left is free for the taking, and its owner's teardown takes nothing from the heir.
func TestOtherBoot(t *testing.T) {
	s := newSite(t)
	before := s.snapshot(t)
	old := s.up(t, []network.PortForward{tcp(8080, 80)})
	ip := old.addr(t, false)
	// The boot ends: links and rules go, files stay.
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(name string) {
		b, err := os.ReadFile(s.shared + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, s.shared+"/"+name, strings.ReplaceAll(string(b), strings.TrimSpace(string(boot)), "another-boot"))
	}
	leases, err := os.ReadDir(s.shared + "/leases/default")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leases {
		if l.Name() != ".tmp" {
			rewrite("leases/default/" + l.Name())
		}
	}
	rewrite("pods/" + old.UUID)
	rewrite("ports/tcp-8080")
	links, err := ownLinks()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if err := netlink.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: l}}); err != nil {
			t.Fatal(err)
		}
	}
	heir := s.newPod(t)
	req := heir.request([]network.PortForward{tcp(8080, 80)}, "default")
	req.Networks[0].Args = map[string]string{"IP": ip}
	if _, err := s.Setup(context.Background(), req); err != nil {
		t.Fatalf("address and port of an earlier boot: %v", err)
	}
	if err := s.Teardown(context.Background(), old.Pod); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(context.Background(), heir.Pod); err != nil {
		t.Errorf("the heir: %v", err)
	}
	serve(t, heir.ns, "tcp", ":80")
	mustAsk(t, "the heir", world.outside, "tcp", at(host4, 8080), outside4)
	if err := s.Teardown(context.Background(), heir.Pod); err != nil {
		t.Fatal(err)
	}
	s.unchanged(t, before)
}
