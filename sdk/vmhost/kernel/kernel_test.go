package kernel

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const dep = `kernel/fs/erofs/erofs.ko: kernel/lib/libcrc32c.ko
kernel/lib/libcrc32c.ko:
kernel/crypto/crc32c_generic.ko.xz:
kernel/fs/9p/9p.ko.zst: kernel/fs/fscache/fscache.ko kernel/fs/netfs/netfs.ko kernel/net/9p/9pnet.ko
kernel/fs/fscache/fscache.ko: kernel/fs/netfs/netfs.ko
kernel/fs/netfs/netfs.ko:
kernel/net/9p/9pnet.ko:
kernel/drivers/virtio-blk.ko:
`

// tree makes a host with one kernel a version, with these modules.
func tree(t *testing.T, kernels map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for version, deps := range kernels {
		for name, content := range map[string]string{
			"boot/vmlinuz-" + version:                     "",
			"lib/modules/" + version + "/modules.dep":     deps,
			"lib/modules/" + version + "/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
			"lib/modules/" + version + "/modules.softdep": "# words\nsoftdep libcrc32c pre: crc32c_generic post: erofs\n",
		} {
			path := filepath.Join(root, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

func TestOrder(t *testing.T) {
	root := tree(t, map[string]string{"1": dep})
	table, err := Read(filepath.Join(root, "lib/modules/1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want []string
		out  string
		err  string
	}{
		{[]string{"ext4"}, "", ""},
		{[]string{"virtio_blk", "virtio-blk"}, "virtio-blk", ""},
		{[]string{"erofs", "ext4"}, "crc32c_generic libcrc32c erofs", ""},
		{[]string{"9p", "netfs"}, "9pnet netfs fscache 9p", ""},
		{[]string{"nothing"}, "", "has no module nothing"},
	} {
		got, err := table.Order(c.want...)
		var names []string
		for _, f := range got {
			names = append(names, strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(filepath.Base(f), ".xz"), ".zst"), ".ko"))
		}
		if strings.Join(names, " ") != c.out || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("Order(%q) = %q, %v, want %q, %q", c.want, names, err, c.out, c.err)
		}
	}
	if all, err := Read(""); err != nil || !all.Has("anything") {
		t.Errorf("a kernel without modules: %v", err)
	}
}

func TestDamagedTables(t *testing.T) {
	for in, want := range map[string]string{
		"a.ko: b.ko\nb.ko: a.ko\n": "needs itself",
		"a.ko: b.ko\n":             "does not list",
		"a.ko\n":                   "is not FILE",
		"../a.ko:\n":               "outside",
		"a.ko: /b.ko\n":            "outside",
	} {
		root := tree(t, map[string]string{"1": in})
		table, err := Read(filepath.Join(root, "lib/modules/1"))
		if err == nil {
			_, err = table.Order("a")
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

func TestFind(t *testing.T) {
	all := "virtio_blk.ko:\nvirtio_console.ko:\nerofs.ko:\noverlay.ko:\nvirtiofs.ko:\n"
	root := tree(t, map[string]string{
		"6.1.0-9-cloud-amd64": all, "6.1.0-56-cloud-amd64": all, "6.12.1-amd64": all + "9p.ko:\n", "7.0-tiny": "erofs.ko:\n",
	})
	for _, c := range []struct {
		need Need
		want string
	}{{Need{}, "6.1.0-56-cloud-amd64"}, {Need{NineP: true}, "6.12.1-amd64"}} {
		k, err := Find(Where{Root: root}, c.need)
		if err != nil || k.Version != c.want || filepath.Base(k.Modules) != c.want {
			t.Errorf("%+v: %+v, %v, want %s", c.need, k, err, c.want)
		}
	}
	var missing *MissingError
	_, err := Find(Where{Root: t.TempDir()}, Need{})
	if !errors.As(err, &missing) || missing.Package("amd64") != "linux-image-cloud-amd64" {
		t.Errorf("no kernel: %v", err)
	}
	image := filepath.Join(root, "boot/vmlinuz-7.0-tiny")
	if k, err := Find(Where{Image: image}, Need{NineP: true}); err != nil || k.Version != "7.0-tiny" || k.Modules == "" {
		t.Errorf("configured: %+v, %v", k, err)
	}
	if _, err := Find(Where{Image: image + "x"}, Need{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("configured and missing: %v", err)
	}
}

func TestModule(t *testing.T) {
	dir, want := t.TempDir(), bytes.Repeat([]byte("module"), 1000)
	var x, g bytes.Buffer
	xw, err := xz.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	gw := gzip.NewWriter(&g)
	zw, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, xerr := xw.Write(want)
	_, gerr := gw.Write(want)
	if err := errors.Join(xerr, gerr, xw.Close(), gw.Close()); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"a.ko": want, "a.ko.xz": x.Bytes(), "a.ko.gz": g.Bytes(), "a.ko.zst": zw.EncodeAll(want, nil)} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Module(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Module(path); (err == nil) != (name == "a.ko") {
			t.Errorf("damaged %s: %v", name, err)
		}
	}
}

// Whatever depmod wrote, an order is found that has each file once and after what it needs, or an error.
func FuzzOrder(f *testing.F) {
	f.Add(dep, "erofs")
	f.Add("a.ko: b.ko\nb.ko: a.ko\n", "a")
	f.Fuzz(func(t *testing.T, in, module string) {
		table := &Table{dir: "/m", files: map[string]string{}, needs: map[string][]string{}, soft: map[string][]string{}, builtin: map[string]bool{}}
		if table.parseDep(in) != nil {
			return
		}
		table.parseSoft(in)
		order, err := table.Order(module)
		if err != nil {
			return
		}
		for i, file := range order {
			for _, n := range table.needs[file] {
				if at := slices.Index(order, n); at < 0 || at >= i {
					t.Fatalf("%q: %s comes before %s", order, file, n)
				}
			}
		}
	})
}
