package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Kernel is a kernel image and the directory of its modules.
type Kernel struct {
	Image   string // vmlinuz of a distribution, or any file that the VMM takes
	Modules string // lib/modules/VERSION; empty: everything is built in
	Version string
}

// Where looks for kernels. The zero value is the host's own.
type Where struct {
	Image   string // configured: this file and no other
	Modules string // configured: the directory that holds modules.dep; empty with Image: found beside it
	Root    string // below which /boot and /lib/modules are; empty: /
}

// Need says what the guest must be able to do, for the choice between kernels.
type Need struct {
	NineP bool // the VMM shares directories by 9p, which Debian's cloud kernels have not
}

// Find returns the configured kernel, or the one of the host that suits best: a cloud flavor before a generic
// one, because it boots faster, and the newest of each.
func Find(w Where, need Need) (Kernel, error) {
	if w.Image != "" {
		return configured(w)
	}
	root := w.Root
	if root == "" {
		root = "/"
	}
	images, err := filepath.Glob(filepath.Join(root, "boot", "vmlinuz-*"))
	if err != nil {
		return Kernel{}, err
	}
	var found []Kernel
	var refused []error
	for _, image := range images {
		k := Kernel{Image: image, Version: strings.TrimPrefix(filepath.Base(image), "vmlinuz-")}
		k.Modules = modulesOf(root, k.Version)
		if err := k.suits(need); err != nil {
			refused = append(refused, err)
			continue
		}
		found = append(found, k)
	}
	if len(found) == 0 {
		return Kernel{}, &MissingError{Need: need, Refused: errors.Join(refused...)}
	}
	return slices.MaxFunc(found, prefer), nil
}

// MissingError says that the host has no kernel for a guest.
type MissingError struct {
	Need    Need
	Refused error // why those that are there will not do
}

func (e *MissingError) Error() string {
	s := "find kernel for the guest: /boot holds none that suits"
	if e.Refused != nil {
		s += ": " + strings.ReplaceAll(e.Refused.Error(), "\n", "; ")
	}
	return s
}

// Package is the Debian package that helps.
func (e *MissingError) Package(arch string) string {
	if e.Need.NineP {
		return "linux-image-" + arch
	}
	return "linux-image-cloud-" + arch
}

func configured(w Where) (Kernel, error) {
	if _, err := os.Stat(w.Image); err != nil {
		return Kernel{}, fmt.Errorf("use configured kernel: %w", err)
	}
	k := Kernel{Image: w.Image, Modules: w.Modules, Version: strings.TrimPrefix(filepath.Base(w.Image), "vmlinuz-")}
	if k.Modules != "" {
		k.Version = filepath.Base(k.Modules)
		if _, err := os.Stat(filepath.Join(k.Modules, "modules.dep")); err != nil {
			return Kernel{}, fmt.Errorf("use configured modules: %w (run depmod)", err)
		}
		return k, nil
	}
	// boot/vmlinuz-V of an unpacked package has its lib/modules beside boot.
	k.Modules = modulesOf(filepath.Join(filepath.Dir(w.Image), ".."), k.Version)
	return k, nil
}

func modulesOf(root, version string) string {
	for _, base := range []string{"lib/modules", "usr/lib/modules"} {
		dir := filepath.Join(root, base, version)
		if _, err := os.Stat(filepath.Join(dir, "modules.dep")); err == nil {
			return dir
		}
	}
	return ""
}

// suits refuses kernels whose modules are missing or lack something. The host's own kernel may have none of this.
func (k Kernel) suits(need Need) error {
	if k.Modules == "" {
		return fmt.Errorf("%s has no modules in /lib/modules/%s", k.Image, k.Version)
	}
	want := []string{"virtio_blk", "virtio_console", "erofs", "overlay", "virtiofs"}
	if need.NineP {
		want = []string{"virtio_blk", "erofs", "overlay", "9p"}
	}
	t, err := Read(k.Modules)
	if err != nil {
		return err
	}
	for _, m := range want {
		if !t.Has(m) {
			return fmt.Errorf("%s has no %s", k.Image, m)
		}
	}
	return nil
}

func prefer(a, b Kernel) int {
	if c := cmp.Compare(cloud(a), cloud(b)); c != 0 {
		return c
	}
	return compareVersions(a.Version, b.Version)
}

func cloud(k Kernel) int {
	if strings.Contains(k.Version, "-cloud-") {
		return 1
	}
	return 0
}

// compareVersions compares numbers as numbers: 6.1.0-9 is older than 6.1.0-56.
func compareVersions(a, b string) int {
	number := regexp.MustCompile(`[0-9]+`)
	x, y := number.FindAllString(a, -1), number.FindAllString(b, -1)
	for i := range min(len(x), len(y)) {
		p, _ := strconv.ParseUint(x[i], 10, 64) // a number too long counts as the greatest
		q, _ := strconv.ParseUint(y[i], 10, 64)
		if c := cmp.Compare(p, q); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}
