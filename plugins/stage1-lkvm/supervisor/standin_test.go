package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/vmhost"
	"github.com/rkt/rkt/v2/sdk/vmhost/cage"
)

// The test binary is the supervisor, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "supervise" || os.Args[1] == cage.Arg) {
		main()
	}
	os.Exit(m.Run())
}

// standIn says what it was given and ends, as kvmtool does that cannot start. No real one runs without KVM.
const standIn = `#!/bin/sh
echo "user=$(id -u) pid=$$ home=$HOME devices=$(ls /dev | tr '\n' ' ')"
[ -r /guest/disk0 ] && [ ! -w /guest/disk0 ] && [ -w /guest/disk1 ] && echo "disks are as they should be"
[ -r /guest/kernel ] && [ -r /guest/initramfs ] && echo "kernel and initramfs are there"
echo "args=$*"
exit 128
`

// pod makes a pod directory as core and the plugin leave it.
func pod(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "lkvm")
	m := &vmhost.Machine{
		Schema: vmhost.Schema, UUID: "8d5cf2cf-5c5a-4c9c-a0b6-0f5c7f3f6a5e", Size: vmhost.Size{MemoryMiB: 256, CPUs: 1}, Accel: vmhost.KVM,
		Program: program, Kernel: filepath.Join(dir, "kernel"), Initramfs: filepath.Join(dir, "initramfs"), Append: "quiet", Vsock: true,
		Disks: []vmhost.Disk{{Path: filepath.Join(dir, "layer"), ReadOnly: true}, {Path: filepath.Join(poddir.Stage1Dir, vmhost.UpperFile), Scratch: true}},
	}
	m.Config, _ = vmhost.ParseConfig(nil) // the defaults
	m.Spec.Pod = poddir.Pod{Schema: poddir.Schema, UUID: m.UUID, Apps: []poddir.App{{Name: "a", Argv: []string{"/bin/true"}}}}
	upper := filepath.Join(dir, poddir.Stage1Dir, vmhost.UpperFile)
	err := errors.Join(
		os.Chmod(dir, 0o755),
		os.MkdirAll(filepath.Join(dir, poddir.Stage1Dir, vmhost.CageDir), 0o755),
		os.WriteFile(program, []byte(standIn), 0o755),
		os.WriteFile(m.Kernel, nil, 0o644), os.WriteFile(m.Initramfs, nil, 0o644), os.WriteFile(filepath.Join(dir, "layer"), nil, 0o644),
		os.WriteFile(upper, nil, 0o600), os.Chown(upper, m.User(), m.User()),
		poddir.WriteJSON(dir, poddir.PodFile, m.Spec.Pod),
		poddir.WriteJSON(dir, poddir.RuntimeFile, poddir.Runtime{Schema: poddir.Schema, Network: poddir.Network{Mode: poddir.NetworkNone}, GraceSeconds: 1}),
		m.Write(dir),
	)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestStandIn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: namespaces, mounts")
	}
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("this kernel has no vsock: %v", err)
	}
	unix.Close(fd)
	dir := pod(t)
	runtime.LockOSThread() // never unlocked: the thread ends with the test's goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip(err)
	}
	netns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer netns.Close()
	lock, err := os.Open(dir)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	cmd := exec.Command(os.Args[0], "supervise")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &out, &out, []*os.File{lock, netns}
	cmd.Env = []string{launch.EnvFDs + "=lock:3,netns:4"}
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 254 {
		t.Errorf("status %d, want 254", code)
	}
	uid := (&vmhost.Machine{UUID: "8d5cf2cf-5c5a-4c9c-a0b6-0f5c7f3f6a5e"}).User()
	for _, want := range []string{
		"ended while it started: status 128", fmt.Sprintf("user=%d pid=1 home=/tmp", uid),
		"devices=kvm null random urandom vhost-vsock zero", "disks are as they should be", "kernel and initramfs are there",
		"args=run --name rkt-8d5cf2cf", "--disk /guest/disk0,ro --disk /guest/disk1", "rkt.ctl=vsock:", "rkt.off=reboot quiet", "mode=none",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
