package main

import (
	"bufio"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed files
var files embed.FS

// packages are what the guest is made of: an init system, and what the end-to-end suite calls.
func packages() []string {
	return []string{
		"systemd", "systemd-sysv", "systemd-container", "dbus", "udev", "kmod", "libnss-myhostname",
		"ca-certificates", "e2fsprogs", "util-linux",
		"iproute2", "nftables", "iptables", "busybox-static", "curl", "jq", "procps", "socat", "gnupg", "skopeo", "buildah",
		"docker-registry", "strace",
	}
}

// masked units are of no use in a machine that lives for one command, and cost seconds under emulation; the
// registry's own service would take the port from the suite's.
func masked() []string {
	return []string{
		"systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket", "systemd-udev-trigger.service",
		"systemd-udev-settle.service", "systemd-networkd.service", "systemd-networkd.socket", "nftables.service",
		"modprobe@loop.service", "modprobe@dm_mod.service", "modprobe@efi_pstore.service", "modprobe@drm.service",
		"modprobe@configfs.service", "modprobe@fuse.service", "serial-getty@ttyS0.service", "getty.target", "systemd-pstore.service",
		"systemd-binfmt.service", "systemd-random-seed.service", "kmod-static-nodes.service", "dev-hugepages.mount",
		"systemd-firstboot.service", "systemd-hwdb-update.service", "systemd-update-utmp.service", "systemd-user-sessions.service",
		"systemd-sysusers.service", "systemd-timesyncd.service", "e2scrub_reap.service", "e2scrub_all.timer", "fstrim.timer", "apt-daily.timer",
		"apt-daily-upgrade.timer", "dpkg-db-backup.timer", "docker-registry.service",
		"systemd-modules-load.service", "systemd-tmpfiles-setup-dev.service", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
		"sys-kernel-config.mount", "systemd-remount-fs.service", "systemd-journal-flush.service", "systemd-update-utmp-runlevel.service",
		"systemd-logind.service",
	}
}

// sources are the entries of this machine's apt for its own Debian release: no mirror is named anywhere else.
func sources(ctx context.Context) (codename string, lines []string, err error) {
	codename, err = osRelease("VERSION_CODENAME")
	if err != nil {
		return "", nil, err
	}
	out, err := tool(exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
		"Created-By: Packages", "Origin: Debian"))
	if err != nil {
		return "", nil, err
	}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) == 3 && (f[1] == codename || strings.HasPrefix(f[1], codename+"-")) {
			lines = append(lines, "deb "+strings.Join(f, " "))
		}
	}
	if len(lines) == 0 {
		return "", nil, fmt.Errorf("apt knows no packages of Debian %s: apt-get update", codename)
	}
	return codename, lines, nil
}

func osRelease(key string) (string, error) {
	f, err := os.Open("/etc/os-release")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), key+"="); ok {
			return strings.Trim(v, `"`), nil
		}
	}
	return "", errors.New("/etc/os-release has no " + key + ": the guest is made from Debian's packages, on Debian")
}

// makeRootfs fills dir.
func makeRootfs(ctx context.Context, dir string, p plan) error {
	args := []string{"--variant=minbase", "--mode=root", "--quiet",
		"--include=" + strings.Join(p.packages, ","),
		"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"}
	if ring := "/usr/share/keyrings/debian-archive-keyring.gpg"; fileExists(ring) {
		args = append(args, "--keyring="+ring)
	}
	args = append(args, p.codename, dir)
	if _, err := tool(exec.CommandContext(ctx, "mmdebstrap", append(args, p.sources...)...)); err != nil {
		return err
	}
	return configure(dir)
}

// configure writes what is ours into the root file system.
func configure(dir string) error {
	for name, content := range map[string]string{
		"etc/hostname":   "guest\n",
		"etc/hosts":      "127.0.0.1 localhost guest\n::1 localhost\n",
		"etc/fstab":      "",
		"etc/machine-id": "0123456789abcdef0123456789abcdef\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	for _, d := range []string{"guest/src", "guest/out"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	units := filepath.Join(dir, "etc/systemd/system")
	for _, u := range masked() {
		link := filepath.Join(units, u)
		if err := errors.Join(os.RemoveAll(link), os.Symlink("/dev/null", link)); err != nil {
			return err
		}
	}
	for name, mode := range map[string]os.FileMode{"usr/local/sbin/guest-run": 0o755, "etc/systemd/system/guest.service": 0o644} {
		b, err := files.ReadFile("files/" + filepath.Base(name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, mode); err != nil {
			return err
		}
	}
	wants := filepath.Join(units, "multi-user.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	return os.Symlink("/etc/systemd/system/guest.service", filepath.Join(wants, "guest.service"))
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
