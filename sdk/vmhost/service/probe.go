package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"

	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/kernel"
	"github.com/rkt/rkt/v2/sdk/vmhost/kvm"
)

// Probe looks for everything that a pod will need, so that an operator installs it in one go.
func (s *Stage1) Probe(ctx context.Context) ([]plugin.Finding, error) {
	return []plugin.Finding{
		s.probeVMM(ctx), s.probeKVM(), s.probeKernel(),
		probeTool("erofs", "mkfs.erofs", "erofs-utils", "makes disk images of image layers"),
		probeTool("ext4", "mke2fs", "e2fsprogs", "makes the pod's writable disk"),
		s.probeShares(ctx), probeTun(),
	}, nil
}

func good(id string, required bool, format string, args ...any) plugin.Finding {
	return plugin.Finding{ID: id, OK: true, Required: required, Summary: fmt.Sprintf(format, args...)}
}

func bad(id string, required bool, summary, remedy string) plugin.Finding {
	return plugin.Finding{ID: id, Required: required, Summary: summary, Remedy: remedy}
}

func (s *Stage1) probeVMM(ctx context.Context) plugin.Finding {
	program, version, err := s.VMM.Find(ctx, &s.config)
	if err != nil {
		remedy := "get " + s.Flavor + ", or name it in the configuration"
		if s.Package != "" {
			remedy = "apt-get install " + s.Package
		}
		return bad("vmm", true, err.Error(), remedy)
	}
	return good("vmm", true, "%s %s", program, version)
}

func (s *Stage1) probeKVM() plugin.Finding {
	emulates := slices.Contains(s.VMM.Traits().Accels, vmhost.TCG)
	required := s.config.Accel == vmhost.KVM || !emulates
	err := kvm.Probe()
	if err == nil {
		return good("kvm", required, "KVM runs a guest")
	}
	remedy := "enable virtualization in the firmware"
	var u *kvm.Unusable
	if errors.As(err, &u) {
		remedy = u.Remedy
	}
	if required && emulates {
		remedy += fmt.Sprintf(`; or {"accel":"tcg"} in %s, to emulate`, s.file())
	}
	return bad("kvm", required, err.Error(), remedy)
}

func (s *Stage1) probeKernel() plugin.Finding {
	k, err := kernel.Find(kernel.Where{Image: s.config.Kernel, Modules: s.config.Modules}, kernel.Need{NineP: s.VMM.Traits().NineP})
	if err == nil {
		var t *kernel.Table
		if t, err = kernel.Read(k.Modules); err == nil {
			_, err = t.Order(s.modules(!s.VMM.Traits().Serial)...)
		}
	}
	if err == nil {
		return good("kernel", true, "the guest's kernel is %s", k.Image)
	}
	remedy := "apt-get install " + (&kernel.MissingError{Need: kernel.Need{NineP: s.VMM.Traits().NineP}}).Package(runtime.GOARCH)
	if s.config.Kernel != "" {
		remedy = "correct kernel and modules in the plugin's configuration"
	}
	return bad("kernel", true, err.Error(), remedy)
}

func probeTool(id, program, pkg, does string) plugin.Finding {
	for _, dir := range []string{"", "/usr/sbin/", "/sbin/"} {
		if path, err := exec.LookPath(dir + program); err == nil {
			return good(id, true, "%s %s", path, does)
		}
	}
	return bad(id, true, program+" is missing, which "+does, "apt-get install "+pkg)
}

func (s *Stage1) probeShares(ctx context.Context) plugin.Finding {
	if s.VMM.Traits().NineP {
		return good("volumes", false, "host volumes are shared by 9p")
	}
	d, err := findVirtiofsd(ctx, &s.config)
	if err != nil {
		return bad("volumes", false, err.Error(), "apt-get install qemu-system-common virtiofsd")
	}
	return good("volumes", false, "%s shares host volumes", d.Program)
}

func probeTun() plugin.Finding {
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return bad("tun", false, "no /dev/net/tun: pods can have --net=none alone", "modprobe tun")
	}
	return good("tun", false, "/dev/net/tun")
}
