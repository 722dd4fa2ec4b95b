package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// diskSize is the guest's disk, sparse here.
const diskSize = "8G"

// images are the files that a boot needs.
type images struct {
	disk, kernel, initrd string
}

// prepare makes the images unless they are in the cache. Their name says what they are made of: packages,
// masked units, files, the kernel's version. Packages do not age out by themselves: -rebuild.
func prepare(ctx context.Context, o options) (images, error) {
	if err := os.MkdirAll(o.cache, 0o755); err != nil {
		return images{}, err
	}
	unlock, err := lock(filepath.Join(o.cache, "lock"))
	if err != nil {
		return images{}, err
	}
	defer unlock()
	codename, lines, err := sources(ctx)
	if err != nil {
		return images{}, err
	}
	p := plan{codename: codename, sources: lines, packages: append(packages(), o.extra.packages...)}
	for _, meta := range append([]string{"linux-image-amd64"}, o.extra.kernels...) {
		pkg, err := kernelPackage(ctx, meta)
		if err != nil {
			return images{}, err
		}
		p.kernels = append(p.kernels, pkg)
	}
	key, err := p.key()
	if err != nil {
		return images{}, err
	}
	prefix := "images-"
	if len(o.extra.packages)+len(o.extra.kernels) > 0 {
		prefix = "extra-" // those of the one kind stay when the other is made
	}
	dir := filepath.Join(o.cache, prefix+key)
	img := images{filepath.Join(dir, "disk.ext4"), filepath.Join(dir, "vmlinux"), filepath.Join(dir, "initrd.gz")}
	if !o.rebuild && fileExists(dir) {
		return img, nil
	}
	start := time.Now()
	fmt.Fprintf(os.Stderr, "guest: making Debian %s with %s; this takes some minutes, once\n", codename, p.kernels[0])
	old, err := filepath.Glob(filepath.Join(o.cache, prefix+"*"))
	if err != nil {
		return images{}, err
	}
	for _, d := range old {
		if err := os.RemoveAll(d); err != nil {
			return images{}, err
		}
	}
	work, err := os.MkdirTemp(o.cache, "making-")
	if err != nil {
		return images{}, err
	}
	defer os.RemoveAll(work)
	if err := makeImages(ctx, work, p); err != nil {
		return images{}, err
	}
	if err := os.Rename(filepath.Join(work, "images"), dir); err != nil {
		return images{}, err
	}
	fmt.Fprintf(os.Stderr, "guest: made in %.0f s\n", time.Since(start).Seconds())
	return img, nil
}

// plan is what images are made of.
type plan struct {
	codename string
	sources  []string
	packages []string
	kernels  []string // the first is the guest's own, the others are for machines inside it
}

func makeImages(ctx context.Context, work string, p plan) error {
	out := filepath.Join(work, "images")
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	root := filepath.Join(work, "root")
	if err := makeRootfs(ctx, root, p); err != nil {
		return err
	}
	for i, pkg := range p.kernels {
		if i > 0 && pkg == p.kernels[0] {
			continue // it has been unpacked, and its modules are there
		}
		k, err := getKernel(ctx, pkg, filepath.Join(work, "kernel"+strconv.Itoa(i)))
		if err != nil {
			return err
		}
		if err := k.installModules(ctx, root); err != nil {
			return err
		}
		if i == 0 {
			if err := k.bootFiles(ctx, out); err != nil {
				return err
			}
		}
		if slices.Contains(p.kernels[1:], pkg) {
			if err := k.installImage(root); err != nil {
				return err
			}
		}
	}
	_, err := tool(exec.CommandContext(ctx, "mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1,lazy_journal_init=1",
		"-d", root, filepath.Join(out, "disk.ext4"), diskSize))
	return err
}

// bootFiles writes what QEMU starts the guest from.
func (k kernel) bootFiles(ctx context.Context, dir string) error {
	vmlinux, err := k.vmlinux(ctx)
	if err != nil {
		return err
	}
	initrd, err := k.initramfs(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "vmlinux"), vmlinux, 0o644),
		os.WriteFile(filepath.Join(dir, "initrd.gz"), initrd, 0o644))
}

func (p plan) key() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, p.codename, p.kernels[0], diskSize, p.packages, masked())
	if len(p.kernels) > 1 {
		fmt.Fprintln(h, p.kernels[1:])
	}
	err := fs.WalkDir(files, "files", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(path)
		fmt.Fprintf(h, "%s %q\n", path, b)
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)[:6]), err
}

// lock keeps two runs from making the same images; the second finds them made.
func lock(name string) (func(), error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { f.Close() }, nil
}

// quote makes a word for sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
