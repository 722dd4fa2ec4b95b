// Command bench measures rkt beside what a user would pick instead, podman and bare crun, on the same image, in
// alternation in one run, and prints medians and ratios. Compare ratios: the machine may be shared and noisy.
//
// It works in a mount namespace of its own without the empty cgroup v2 tree of hybrid hosts, which crun refuses.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	rkt := flag.String("rkt", "dist/bin/rkt", "the built rkt")
	n := flag.Int("n", 20, "runs of each start")
	pulls := flag.Int("pulls", 3, "runs of each pull")
	only := flag.String("only", "start,memory,pull,list,vm,vmio", "sections")
	layout := flag.String("layout", "", "only write the image of the pull section to this directory")
	flag.Parse()
	if *layout != "" {
		if err := writeBig(*layout); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := bench(*rkt, *n, *pulls, strings.Split(*only, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(rkt string, n, pulls int, only []string) error {
	if err := privateMounts(); err != nil {
		return err
	}
	rkt, err := filepath.Abs(rkt)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/var/tmp", "rkt-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	b := &peers{dir: dir, rkt: rkt, env: append(os.Environ(), "RKT_DIR="+filepath.Join(dir, "data"))}
	stop, err := b.prepare()
	if err != nil {
		return err
	}
	defer stop()
	defer b.cleanup()
	sections := []struct {
		name string
		run  func() error
	}{
		{"start", func() error { return b.start(n) }},
		{"memory", b.memory},
		{"list", func() error { return b.list(n) }},
		{"pull", func() error { return b.pull(pulls) }},
		{"vm", func() error { return b.vm(min(n, 7)) }},
		{"vmio", func() error { return b.vmio(min(n, 5)) }},
	}
	for _, s := range sections {
		for _, o := range only {
			if o != s.name {
				continue
			}
			if err := s.run(); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// privateMounts leaves the host's mount namespace and hides an empty cgroup v2 tree. Threads that the runtime
// starts later are cloned from this one, so the lock is never released.
func privateMounts() error {
	if os.Getenv("RKT_BENCH_NS") == "" {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), "RKT_BENCH_NS=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		err := cmd.Run()
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	runtime.LockOSThread()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Unmount("/sys/fs/cgroup/unified", 0); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("hide the empty cgroup v2 tree: %w", err)
	}
	return nil
}
