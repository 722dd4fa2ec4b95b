package lkvm

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"time"

	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// VMM is kvmtool.
type VMM struct{}

var _ vmhost.VMM = VMM{}

// Traits says what kvmtool can do.
func (VMM) Traits() vmhost.Traits {
	return vmhost.Traits{Name: "kvmtool", Accels: []string{vmhost.KVM}, NineP: true, Vsock: true, Reboot: true, Paths: true, Disks: maxDisks}
}

// howToGet is for an operator: no Debian suite has a package.
const howToGet = "no Debian suite packages it: build it from git.kernel.org/pub/scm/linux/kernel/git/will/kvmtool.git and put lkvm into /usr/local/bin, or name it as program in the plugin's configuration"

// Find finds lkvm.
func (VMM) Find(ctx context.Context, c *vmhost.Config) (string, string, error) {
	p, err := c.FindProgram("/usr/bin/lkvm", "/usr/local/bin/lkvm", "/usr/bin/kvmtool")
	if err != nil {
		return "", "", fmt.Errorf("find kvmtool: %w (%s)", err, howToGet)
	}
	v, err := version(ctx, p)
	return p, v, err
}

// versionTime is seconds where the host is itself an emulated machine.
const versionTime = 30 * time.Second

// version reads "kvm tool 3.18.0". It is shown, never compared: it has been the same for ten years.
func version(ctx context.Context, program string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, versionTime, fmt.Errorf("no answer within %v", versionTime))
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "version")
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent"}
	out, err := cmd.Output()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	if v := regexp.MustCompile(`[0-9]+\.[0-9][0-9A-Za-z.-]*`).Find(out); v != nil {
		return string(v), nil
	}
	return "", fmt.Errorf("ask %s for its version: it does not say one", program)
}

// maxDisks is kvmtool's own limit (MAX_DISK_IMAGES); 9p devices and taps have none.
const maxDisks = 4

// Fits counts disks.
func (VMM) Fits(m *vmhost.Machine) error {
	if n := len(m.Disks); n > maxDisks {
		return fmt.Errorf("the pod needs %d disks (its layers, volumes that are disks, one of its own), kvmtool takes %d", n, maxDisks)
	}
	return nil
}
