package service

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/kernel"
)

// grower grows by a module, or does not.
type grower struct {
	vmhost.Grower
	module string
}

func (grower) Traits() vmhost.Traits { return vmhost.Traits{Name: "grower"} }
func (g grower) Grows(*vmhost.Machine) (string, error) {
	if g.module == "" {
		return "", errors.New("it is a brick")
	}
	return g.module, nil
}

// kernelWith is one that has these modules.
func kernelWith(t *testing.T, modules ...string) kernel.Kernel {
	t.Helper()
	dir := t.TempDir()
	var dep strings.Builder
	for _, m := range modules {
		dep.WriteString("kernel/" + m + ".ko:\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "modules.dep"), []byte(dep.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return kernel.Kernel{Modules: dir}
}

func TestGrowth(t *testing.T) {
	var host unix.Sysinfo_t
	if err := unix.Sysinfo(&host); err != nil {
		t.Fatal(err)
	}
	all := int(host.Totalram * uint64(host.Unit) >> 20)
	for _, c := range []struct {
		vmm  vmhost.VMM
		k    kernel.Kernel
		now  int
		want string
	}{
		{vmm{traits: vmhost.Traits{Name: "this one"}}, kernelWith(t, "virtio_mem"), 256, "this one cannot add to it"},
		{grower{}, kernelWith(t, "virtio_mem"), 256, "it is a brick"},
		{grower{module: "virtio_mem"}, kernelWith(t), 256, "its kernel has no virtio_mem"},
		{grower{module: "virtio_mem"}, kernelWith(t, "virtio_mem"), all, "the host has no more"},
		{grower{module: "virtio_mem"}, kernelWith(t, "virtio-mem"), 256, ""},
		{grower{module: "virtio_mem"}, kernel.Kernel{}, 256, ""},
	} {
		mib, module, err := New("test", c.vmm, "supervisor", "").growth(c.k, &vmhost.Machine{Size: vmhost.Size{MemoryMiB: c.now}})
		if err != nil && strings.Contains(err.Error(), "overcommit_memory") {
			continue // this host's own choice
		}
		switch {
		case c.want != "" && (err == nil || err.Error() != c.want || mib != 0):
			t.Errorf("%d, %v, want %q", mib, err, c.want)
		case c.want == "" && (err != nil || module != "virtio_mem" || mib%128 != 0 || mib > all-c.now || mib <= all-c.now-128):
			t.Errorf("%d MiB by %q, %v", mib, module, err)
		}
	}
}

// Of two channels vsock is taken where host and guest have it; one alone is no choice.
func TestVsock(t *testing.T) {
	_, err := os.Stat("/dev/vhost-vsock")
	host := err == nil
	for _, c := range []struct {
		serial, vsock bool
		k             kernel.Kernel
		want          bool
	}{
		{true, false, kernelWith(t, vsockModule), false},
		{false, true, kernelWith(t), true},
		{true, true, kernelWith(t, vsockModule), host},
		{true, true, kernelWith(t), false},
	} {
		s := New("test", vmm{traits: vmhost.Traits{Serial: c.serial, Vsock: c.vsock}}, "supervisor", "")
		if got, err := s.vsock(c.k); err != nil || got != c.want {
			t.Errorf("serial %v, vsock %v: %v, %v, want %v", c.serial, c.vsock, got, err, c.want)
		}
	}
}
