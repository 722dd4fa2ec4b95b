package qemu

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// VMM is QEMU.
type VMM struct{}

var _ vmhost.Grower = VMM{}

// oldest is the version that all options of the command line are in.
const (
	oldestMajor = 6
	oldestMinor = 2
)

// maxDisks is where one disk of all layers is better than one more device for the guest to find.
const maxDisks = 64

// Traits says what QEMU can do.
func (VMM) Traits() vmhost.Traits {
	return vmhost.Traits{
		Name: "QEMU", Accels: []string{vmhost.KVM, vmhost.TCG}, Serial: true, Vsock: true, Serials: true, Disks: maxDisks,
	}
}

// Program is the emulator of this architecture, and Package Debian's package of it.
func Program() string {
	if runtime.GOARCH == "arm64" {
		return "qemu-system-aarch64"
	}
	return "qemu-system-x86_64"
}

// Package is Debian's package.
func Package() string {
	if runtime.GOARCH == "arm64" {
		return "qemu-system-arm"
	}
	return "qemu-system-x86"
}

// Find finds QEMU and checks its version.
func (VMM) Find(ctx context.Context, c *vmhost.Config) (string, string, error) {
	p, err := c.FindProgram("/usr/bin/"+Program(), "/usr/local/bin/"+Program(), "/usr/libexec/qemu-kvm")
	if err != nil {
		return "", "", fmt.Errorf("find QEMU: %w (apt-get install %s)", err, Package())
	}
	v, err := version(ctx, p)
	return p, v, err
}

// versionTime is seconds where the host is itself an emulated machine.
const versionTime = 30 * time.Second

func version(ctx context.Context, program string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, versionTime, fmt.Errorf("no answer within %v", versionTime))
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	v, err := parseVersion(string(out))
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", program, err)
	}
	return v, nil
}

// parseVersion reads "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)".
func parseVersion(out string) (string, error) {
	m := regexp.MustCompile(`version (([0-9]{1,4})\.([0-9]{1,4})[0-9.]*)`).FindStringSubmatch(out)
	if m == nil {
		return "", errors.New("it does not say one")
	}
	major, _ := strconv.Atoi(m[2]) // digits, and few of them
	minor, _ := strconv.Atoi(m[3])
	if major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return "", fmt.Errorf("it is %s; %d.%d or newer is needed", m[1], oldestMajor, oldestMinor)
	}
	return m[1], nil
}

// Fits counts what the machine's bus has room for.
func (VMM) Fits(m *vmhost.Machine) error {
	if err := checkMachine(m.Config.Machine); err != nil {
		return err
	}
	if n := devices(m); n > pciDevices {
		return fmt.Errorf("%d devices (disks of image layers, volumes, interfaces) are more than the %d that a machine takes", n, pciDevices)
	}
	return nil
}

func checkMachine(name string) error {
	switch name {
	case "", vmhost.Auto, "q35", "microvm", "virt":
		return nil
	}
	return fmt.Errorf(`machine type %q is none of "auto", "q35", "microvm"`, name)
}
