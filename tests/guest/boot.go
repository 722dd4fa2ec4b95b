package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errNoStart says that the guest did not come as far as the command: try again.
var errNoStart = errors.New("the guest did not start the command")

// boot runs the command in a fresh guest, copies its output to ours, and returns its status.
func boot(ctx context.Context, o options, img images) (int, error) {
	out, err := os.MkdirTemp("", "rkt-guest-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(out)
	if err := fill(ctx, o, out); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.boot+o.timeout)
	defer cancel()
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", qemuArgs(o, img, out)...)
	serial := filepath.Join(out, "serial.log")
	log, err := os.OpenFile(serial, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	qemu.Stdout, qemu.Stderr = log, log
	// a terminal's Ctrl-C is for us; our death, however, is QEMU's
	qemu.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := qemu.Start(); err != nil {
		return 0, err
	}
	ended := make(chan struct{})
	go func() { _ = qemu.Wait(); close(ended) }()
	code, err := follow(o, out, ended)
	_ = qemu.Process.Kill() // the disk is a snapshot: there is nothing to save
	<-ended
	if err != nil {
		b, _ := os.ReadFile(serial)
		fmt.Fprintf(os.Stderr, "guest: the end of its console:\n%s\n", printable(tail(string(b), 40)))
	}
	return code, err
}

// printable drops what firmware sends to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || strconv.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}

// fill writes what the guest finds in /guest/out.
func fill(ctx context.Context, o options, out string) error {
	tests := filepath.Join(out, "tests")
	if err := os.Mkdir(tests, 0o755); err != nil {
		return err
	}
	if err := buildTests(ctx, o, tests); err != nil {
		return err
	}
	if err := copyFiles(o.files, filepath.Join(out, "files")); err != nil {
		return err
	}
	var script strings.Builder
	for _, e := range o.env {
		k, v, _ := strings.Cut(e, "=")
		fmt.Fprintf(&script, "export %s=%s\n", k, quote(v))
	}
	script.WriteString("exec")
	for _, a := range o.command {
		script.WriteString(" " + quote(a))
	}
	script.WriteString("\n")
	return errors.Join(
		os.WriteFile(filepath.Join(out, "command"), []byte(script.String()), 0o644),
		os.WriteFile(filepath.Join(out, "output"), nil, 0o644))
}

// copyFiles brings files of the host's, NAME=PATH, that the repository does not have.
func copyFiles(files []string, dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, f := range files {
		name, path, _ := strings.Cut(f, "=")
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, st.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

func qemuArgs(o options, img images, out string) []string {
	share := func(tag, dir, more string) []string {
		return []string{"-fsdev", "local,id=" + tag + ",path=" + dir + ",security_model=none,multidevs=remap" + more,
			"-device", "virtio-9p-pci,fsdev=" + tag + ",mount_tag=" + tag}
	}
	args := []string{
		// A fifth level of page tables would only make page walks longer, twice so in machines of this machine.
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,la57=off", "-smp", strconv.Itoa(o.cpus), "-m", strconv.Itoa(o.memory),
		"-nodefaults", "-no-user-config", "-nographic", "-serial", "stdio", "-no-reboot",
		"-kernel", img.kernel, "-initrd", img.initrd,
		"-append", "console=ttyS0 panic=-1 quiet cryptomgr.notests no_timer_check systemd.show_status=0 systemd.unified_cgroup_hierarchy=1",
		"-drive", "file=" + img.disk + ",if=none,id=disk,format=raw,snapshot=on,cache=unsafe,discard=unmap",
		"-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci",
	}
	args = append(args, share("src", o.root, ",readonly=on")...)
	return append(args, share("out", out, "")...)
}

// follow copies the command's output as it comes, until there is a status, the guest ends, or time is up.
func follow(o options, out string, ended <-chan struct{}) (int, error) {
	output, err := os.Open(filepath.Join(out, "output"))
	if err != nil {
		return 0, err
	}
	defer output.Close()
	began, started := time.Now(), false
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for over := false; ; {
		if !started && fileExists(filepath.Join(out, "started")) {
			started = true
			fmt.Fprintf(os.Stderr, "guest: up after %.1f s\n", time.Since(began).Seconds())
		}
		rc, rcErr := os.ReadFile(filepath.Join(out, "rc"))
		if _, err := io.Copy(os.Stdout, output); err != nil {
			return statusLost, err
		}
		switch {
		case rcErr == nil:
			fmt.Fprintf(os.Stderr, "guest: done after %.1f s\n", time.Since(began).Seconds())
			return strconv.Atoi(strings.TrimSpace(string(rc)))
		case over && !started, !started && time.Since(began) > o.boot:
			return statusLost, errNoStart
		case over:
			return statusLost, errors.New("the guest ended without the command's status")
		case started && time.Since(began) > o.boot+o.timeout:
			return statusLost, fmt.Errorf("the command took longer than %v", o.timeout)
		}
		select {
		case <-tick.C:
		case <-ended:
			if over {
				continue
			}
			over = true // one more look: the status may have come last
		}
	}
}
