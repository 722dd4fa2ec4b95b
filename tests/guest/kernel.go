package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kernel is an unpacked kernel package.
type kernel struct {
	dir     string
	version string
}

// kernelPackage is the package that a metapackage stands for today. The guest's own is linux-image-amd64, for
// Debian's cloud kernels have no 9p.
func kernelPackage(ctx context.Context, meta string) (string, error) {
	out, err := tool(exec.CommandContext(ctx, "apt-cache", "depends", meta))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			return "linux-image-" + name, nil
		}
	}
	return "", fmt.Errorf("apt knows no %s: apt-get update", meta)
}

// getKernel downloads the package into dir and unpacks it there.
func getKernel(ctx context.Context, name, dir string) (kernel, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return kernel{}, err
	}
	// as root: apt's own unprivileged user could not write here
	get := exec.CommandContext(ctx, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name)
	get.Dir = dir
	if _, err := tool(get); err != nil {
		return kernel{}, err
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(debs) != 1 {
		return kernel{}, fmt.Errorf("download %s: got %d packages", name, len(debs))
	}
	k := kernel{dir: filepath.Join(dir, "k"), version: strings.TrimPrefix(name, "linux-image-")}
	if _, err := tool(exec.CommandContext(ctx, "dpkg-deb", "-x", debs[0], k.dir)); err != nil {
		return kernel{}, err
	}
	_, err = tool(exec.CommandContext(ctx, "depmod", "-b", k.dir, k.version))
	return k, err
}

// vmlinux extracts the kernel proper from the bzImage: QEMU starts it directly (PVH), which spares the
// decompression under emulation, several seconds.
//
// The offsets are those of Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length.
func (k kernel) vmlinux(ctx context.Context) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(k.dir, "boot", "vmlinuz-"+k.version))
	if err != nil {
		return nil, err
	}
	if len(b) < 0x250 || string(b[0x202:0x206]) != "HdrS" {
		return nil, errors.New("extract vmlinux: no bzImage")
	}
	start := (uint64(b[0x1f1])+1)*512 + uint64(binary.LittleEndian.Uint32(b[0x248:]))
	end := start + uint64(binary.LittleEndian.Uint32(b[0x24c:]))
	if end > uint64(len(b)) || end-start < 8 {
		return nil, errors.New("extract vmlinux: payload is outside of the file")
	}
	payload := b[start:end]
	for _, c := range []struct {
		magic   string
		program []string
		trailer int // the size of the output, which the format does not know
	}{
		{"\xfd7zXZ", []string{"xz", "-dc"}, 4},
		{"\x28\xb5\x2f\xfd", []string{"zstd", "-dc"}, 4},
		{"\x02\x21\x4c\x18", []string{"lz4", "-dc"}, 4},
		{"\x1f\x8b", []string{"gzip", "-dc"}, 0},
	} {
		if !bytes.HasPrefix(payload, []byte(c.magic)) {
			continue
		}
		cmd := exec.CommandContext(ctx, c.program[0], c.program[1:]...)
		cmd.Stdin = bytes.NewReader(payload[:len(payload)-c.trailer])
		out, err := tool(cmd)
		if !strings.HasPrefix(out, "\x7fELF") {
			return nil, fmt.Errorf("extract vmlinux: %s gave no ELF file: %w", c.program[0], err)
		}
		return []byte(out), nil
	}
	return nil, fmt.Errorf("extract vmlinux: unknown compression % x", payload[:4])
}

// wanted says which modules go into the guest: no drivers of hardware that QEMU does not have. (kvm_amd needs ccp.)
func wanted(rel string) bool {
	for _, p := range []string{"kernel/arch/", "kernel/crypto/", "kernel/fs/", "kernel/lib/", "kernel/net/", "kernel/virt/", "kernel/security/",
		"kernel/drivers/block/", "kernel/drivers/virtio/", "kernel/drivers/vhost/", "kernel/drivers/md/", "kernel/drivers/char/",
		"kernel/drivers/crypto/ccp/"} {
		if strings.HasPrefix(rel, p) {
			return !strings.HasPrefix(rel, "kernel/drivers/block/drbd") && !strings.HasPrefix(rel, "kernel/net/wireless") && !strings.HasPrefix(rel, "kernel/net/mac80211")
		}
	}
	// the links that software makes: veth, tun, macvlan, dummy...
	for _, p := range []string{"kernel/drivers/net/", "kernel/drivers/net/ipvlan/", "kernel/drivers/net/vxlan/", "kernel/drivers/net/wireguard/"} {
		if filepath.Dir(rel)+"/" == p {
			return true
		}
	}
	return strings.HasPrefix(rel, "modules.")
}

// installImage puts the kernel into the root file system's /boot.
func (k kernel) installImage(root string) error {
	name := filepath.Join("boot", "vmlinuz-"+k.version)
	b, err := os.ReadFile(filepath.Join(k.dir, name))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(root, "boot"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, name), b, 0o644)
}

// installModules copies the wanted modules into the root file system.
func (k kernel) installModules(ctx context.Context, root string) error {
	from := filepath.Join(k.dir, "lib", "modules", k.version)
	to := filepath.Join(root, "lib", "modules", k.version)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil || !wanted(rel) {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o755); err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o644)
	})
	if err != nil {
		return err
	}
	_, err = tool(exec.CommandContext(ctx, "depmod", "-b", root, k.version))
	return err
}

// loadOrder returns the files of the modules with what they need, in the order to load them.
func (k kernel) loadOrder(ctx context.Context, modules ...string) ([]string, error) {
	var order []string
	seen := map[string]bool{}
	for _, m := range modules {
		out, err := tool(exec.CommandContext(ctx, "modprobe", "-d", k.dir, "-S", k.version, "--show-depends", m))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			f := strings.Fields(line) // insmod FILE [OPTION...], or builtin NAME
			if len(f) >= 2 && f[0] == "insmod" && !seen[f[1]] {
				seen[f[1]] = true
				order = append(order, f[1])
			}
		}
	}
	return order, nil
}
