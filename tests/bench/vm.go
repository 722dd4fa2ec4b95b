package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// vm compares the start of a pod in a machine, up to the first byte that its app writes, with bare QEMU booting the same
// kernel and the same initramfs up to the first byte that the agent in it writes. The bare machine has no disk and
// no pod: what is above 1 is all of rkt's doing. Seconds mean nothing where the machine is emulated.
func (b *peers) vm(n int) error {
	v, err := b.machine()
	if err != nil || v == nil {
		return err
	}
	pod := func() (time.Duration, *os.ProcessState, error) {
		cmd := exec.Command(b.rkt, "run", "--rm", "--stage1=qemu", "--net=none", b.image, "--exec=/bin/sh", "--", "-c", "echo x")
		cmd.Env = append(slices.Clone(b.env), "RKT_LOCAL_CONFIG="+v.etc)
		out, err := cmd.StdoutPipe()
		if err != nil {
			return 0, nil, err
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		begin := time.Now()
		if err := cmd.Start(); err != nil {
			return 0, nil, err
		}
		_, rerr := io.ReadFull(out, make([]byte, 1))
		took := time.Since(begin)
		if err := errors.Join(rerr, cmd.Wait()); err != nil {
			return 0, nil, fmt.Errorf("rkt run --stage1=qemu: %w\n%s", err, stderr.Bytes())
		}
		return took, cmd.ProcessState, nil
	}
	if _, _, err := pod(); err != nil { // fills the caches
		return err
	}
	initramfs, err := v.initramfs(b)
	if err != nil {
		return err
	}
	rows := []*row{{name: "qemu, bare, to the agent's first byte"}, {name: "rkt run --stage1=qemu, to the app's first byte"}}
	for range n {
		for i, run := range []func() (time.Duration, *os.ProcessState, error){func() (time.Duration, *os.ProcessState, error) { return bare(v.accel, v.kernel, initramfs) }, pod} {
			took, state, err := run()
			if err != nil {
				return err
			}
			rows[i].wall, rows[i].cpu = append(rows[i].wall, took), append(rows[i].cpu, state.UserTime()+state.SystemTime())
		}
	}
	show("start in a machine, accel "+v.accel, rows)
	fmt.Printf("%-44s %9.2f\n", "ratio of the minima", float64(slices.Min(rows[1].wall))/float64(slices.Min(rows[0].wall)))
	return b.vmMemory(v, initramfs)
}

// machine is the kernel that the machines of a run boot, and the configuration that has rkt boot it.
type machine struct{ kernel, accel, etc string }

// machine is nil when there is no kernel, which it says.
func (b *peers) machine() (*machine, error) {
	kernel, modules := os.Getenv("RKT_TEST_VM_KERNEL"), os.Getenv("RKT_TEST_VM_MODULES")
	if kernel == "" {
		fmt.Println("\nmachines: skipped, RKT_TEST_VM_KERNEL names no kernel (make bench does)")
		return nil, nil
	}
	accel := os.Getenv("RKT_TEST_VM_ACCEL")
	if accel == "" {
		accel = "tcg"
	}
	conf, err := json.Marshal(map[string]string{"accel": accel, "kernel": kernel, "modules": modules})
	if err != nil {
		return nil, err
	}
	etc := filepath.Join(b.dir, "etc")
	if err := os.MkdirAll(filepath.Join(etc, "plugins"), 0o755); err != nil {
		return nil, err
	}
	return &machine{kernel, accel, etc}, os.WriteFile(filepath.Join(etc, "plugins/stage1-qemu.json"), conf, 0o644)
}

// initramfs is the one that stage1-qemu made for its first pod.
func (m *machine) initramfs(b *peers) (string, error) {
	found, err := filepath.Glob(filepath.Join(b.dir, "data/cache/stage1-qemu/initramfs/*.*"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("find the initramfs of stage1-qemu: %v, %w", found, err)
	}
	return found[0], nil
}

// bare boots a machine of the size that a pod of one app without a limit gets, and ends it at the agent's greeting.
func bare(accel, kernel, initramfs string) (time.Duration, *os.ProcessState, error) {
	begin := time.Now()
	cmd, agent, err := bareQEMU(accel, kernel, initramfs, "-m", "256M")
	if err != nil {
		return 0, nil, err
	}
	took := time.Since(begin)
	defer agent.Close()
	cmd.Process.Kill()
	cmd.Wait()
	return took, cmd.ProcessState, nil
}

// bareQEMU returns at the agent's greeting. The machine waits for more until the agent's channel is closed.
func bareQEMU(accel, kernel, initramfs string, more ...string) (*exec.Cmd, io.Closer, error) {
	c, err := newChannel()
	if err != nil {
		return nil, nil, err
	}
	args := append(bareArgs(accel, kernel, initramfs, c.words), "-serial", "null", "-object", "rng-builtin,id=e", "-device", "virtio-rng-pci,rng=e")
	cmd := exec.Command("qemu-system-x86_64", append(append(args, c.args...), more...)...)
	if c.given != nil {
		cmd.ExtraFiles = []*os.File{c.given}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	if err := c.first(); err != nil {
		c.Close()
		cmd.Process.Kill()
		cmd.Wait()
		return nil, nil, fmt.Errorf("boot bare machine: %w\n%s", err, stderr.String())
	}
	return cmd, c, nil
}

// bareArgs are of the machine that rkt chooses for a distribution's kernel.
func bareArgs(accel, kernel, initramfs, more string) []string {
	kind, cpu := "microvm,accel=kvm,isa-serial=on,rtc=on,acpi=on,pcie=on", "host"
	if accel != "kvm" {
		kind, cpu = "q35,accel="+accel+",usb=off,graphics=off,vmport=off,smbus=off,sata=off", "max"
		more = "no_timer_check " + more
	}
	return []string{"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-machine", kind, "-cpu", cpu, "-smp", "1", "-kernel", kernel, "-initrd", initramfs,
		"-append", "console=ttyS0 reboot=t panic=-1 quiet loglevel=3 cryptomgr.notests random.trust_cpu=on " + more}
}
