package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// prerequisites names everything that is missing at once, with the line that installs it.
func prerequisites() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the guest is an amd64 machine, this one is %s", runtime.GOARCH)
	}
	if os.Geteuid() != 0 {
		return errors.New("the guest's files are made by root: run it as root")
	}
	path := os.Getenv("PATH") + ":/usr/sbin:/sbin"
	if err := os.Setenv("PATH", path); err != nil {
		return err
	}
	var missing []string
	for _, p := range []struct{ pkg, program string }{
		{"apt", "apt-get"}, {"dpkg", "dpkg-deb"}, {"e2fsprogs", "mke2fs"},
		{"qemu-system-x86", "qemu-system-x86_64"}, {"mmdebstrap", "mmdebstrap"}, {"busybox-static", "busybox"},
		{"kmod", "depmod"}, {"xz-utils", "xz"}, {"zstd", "zstd"}, {"lz4", "lz4"},
	} {
		if _, err := exec.LookPath(p.program); err != nil {
			missing = append(missing, p.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("missing programs; install them: apt-get install -y --no-install-recommends %s", strings.Join(missing, " "))
}

// tool runs a program and answers with its standard output. Its errors are worth more than its status.
func tool(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, tail(stderr.String(), 30))
	}
	return string(out), nil
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
