package attach

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/network"
)

// programs builds the real CNI programs once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rkt-cni-programs-")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-trimpath", "-o", dir + "/"}
	for _, p := range []string{"main/bridge", "meta/portmap", "ipam/host-local"} {
		args = append(args, "github.com/containernetworking/plugins/plugins/"+p)
	}
	c := exec.Command("go", args...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

func removePrograms() {
	if built {
		if dir, err := programs(); err == nil {
			os.RemoveAll(dir)
		}
	}
}

// built says that programs was called.
var built bool

// labSite has a bridge network "lab" made by real CNI programs, with leases in its own directory.
func labSite(t *testing.T) *site {
	t.Helper()
	needHost(t)
	if testing.Short() {
		t.Skip("builds CNI programs")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("the portmap program needs nft")
	}
	built = true
	dir, err := programs()
	if err != nil {
		t.Fatalf("build CNI programs: %v", err)
	}
	s := newSite(t)
	s.Programs = []string{dir}
	write(t, s.conf+"/lab.conflist", `{
  "cniVersion": "1.1.0", "name": "lab",
  "plugins": [
    {"type": "bridge", "bridge": "labbr", "isGateway": true, "ipMasq": true, "ipMasqBackend": "nftables",
     "ipam": {"type": "host-local", "dataDir": "`+s.shared+`/host-local", "routes": [{"dst": "0.0.0.0/0"}],
              "ranges": [[{"subnet": "10.201.0.0/24"}]]}},
    {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}}
  ]}`)
	return s
}

// leftovers is what of a pod may still be seen on the host. The bridge, its table and counters stay: they are the network's.
// Its link goes with the namespace, which the test's servers hold a while longer.
func (s *site) leftovers(t *testing.T, p *pod, link bool) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(s.snapshot(t)) {
		if strings.Contains(line, p.UUID) || link && strings.Contains(line, "link veth") || strings.Contains(line, "file host-local/lab/10.") ||
			strings.Contains(line, "8080") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func TestPrograms(t *testing.T) {
	s := labSite(t)
	serve(t, world.outside, "tcp", ":7003")
	for name, end := range map[string]func(t *testing.T, p *pod){
		"in order": func(t *testing.T, p *pod) { tear(t, s, p) },
		"namespace gone": func(t *testing.T, p *pod) {
			p.ns.Close()
			p.Netns = -1
			tear(t, s, p)
		},
		"swept": func(t *testing.T, p *pod) {
			p.ns.Close()
			if _, err := s.Sweep(context.Background(), network.SweepRequest{SharedDir: s.shared, ConfigDirs: []string{s.conf}}); err != nil {
				t.Fatal(err)
			}
		},
		"configuration gone": func(t *testing.T, p *pod) {
			file := s.conf + "/lab.conflist"
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			defer write(t, file, string(b))
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			tear(t, s, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.up(t, []network.PortForward{tcp(8080, 80)}, "lab")
			if i := p.setup.Interfaces[0]; i.Network != "lab" || !strings.HasPrefix(i.Addresses[0], "10.201.0.") || i.MAC == "" {
				t.Errorf("got %+v", i)
			}
			if len(p.setup.DNS.Nameservers) != 1 {
				t.Errorf("DNS is %+v", p.setup.DNS)
			}
			serve(t, p.ns, "tcp4", ":80")
			mustAsk(t, "published", world.outside, "tcp", at(host4, 8080), outside4)
			mustAsk(t, "masqueraded", p.ns, "tcp", at(outside4, 7003), host4)
			if err := s.Check(context.Background(), p.Pod); err != nil {
				t.Errorf("check: %v", err)
			}
			again, err := s.Setup(context.Background(), p.request([]network.PortForward{tcp(8080, 80)}, "lab"))
			if err != nil || fmt.Sprint(again) != fmt.Sprint(p.setup) {
				t.Errorf("second setup: %v\n%+v\n%+v", err, again, p.setup)
			}
			end(t, p)
			if l := s.leftovers(t, p, name == "in order" || name == "configuration gone"); len(l) > 0 {
				t.Errorf("left behind: %q", l)
			}
		})
	}
}

func tear(t *testing.T, s *site, p *pod) {
	t.Helper()
	for range 2 {
		if err := s.Teardown(context.Background(), p.Pod); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProgramsStaticAddress(t *testing.T) {
	s := labSite(t)
	ask := func(p *pod) error {
		req := p.request(nil, "lab")
		req.Networks[0].Args = map[string]string{"IP": "10.201.0.77"}
		_, err := s.Setup(context.Background(), req)
		return err
	}
	if err := ask(s.newPod(t)); err != nil {
		t.Fatal(err)
	}
	err := ask(s.newPod(t))
	if reasonOf(err) != reason.AddressInUse || !strings.Contains(err.Error(), "10.201.0.77") || !strings.Contains(err.Error(), "lab") {
		t.Errorf("got %v", err)
	}
}

// TestHostilePrograms: what a program may do is bounded, and a failed chain leaves nothing.
func TestHostilePrograms(t *testing.T) {
	s := newSite(t)
	bin := s.Programs[0]
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	script := func(name, text string, mode os.FileMode) {
		file := filepath.Join(bin, name)
		write(t, file, "#!/bin/sh\n"+text)
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		write(t, s.conf+"/"+name+".conflist", `{"cniVersion":"1.0.0","name":"`+name+`","plugins":[{"type":"rkt-ptp"},{"type":"`+name+`"}]}`)
	}
	script("silent", "[ $CNI_COMMAND = DEL ] && exit 0; exit 3", 0o755)
	script("says", `[ $CNI_COMMAND = DEL ] && exit 0; echo '{"cniVersion":"1.0.0","code":11,"msg":"no luck"}'; exit 1`, 0o755)
	script("garbage", `[ $CNI_COMMAND = DEL ] && exit 0; echo hello`, 0o755)
	script("endless", `[ $CNI_COMMAND = DEL ] && exit 0; exec yes`, 0o755)
	script("writable", "exit 0", 0o777)
	write(t, s.conf+"/absent.conflist", `{"cniVersion":"1.0.0","name":"absent","plugins":[{"type":"nosuch"}]}`)
	before := s.snapshot(t)
	for name, want := range map[string]string{
		"silent": "gave no reason", "says": "no luck", "garbage": "invalid character", "endless": "printed more than",
		"writable": "others may write to it", "absent": "not built in",
	} {
		p := s.newPod(t)
		_, err := s.Setup(context.Background(), p.request(nil, name))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if err := s.Teardown(context.Background(), p.Pod); err != nil {
			t.Errorf("%s: teardown: %v", name, err)
		}
		s.unchanged(t, before)
	}
}
