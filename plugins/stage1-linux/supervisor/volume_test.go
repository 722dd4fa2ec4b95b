package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
)

func TestVolumes(t *testing.T) {
	layer := busybox(t)
	host := filepath.Join(t.TempDir(), "src,with:odd")
	write(t, host, "file", "host\n", 0o644)
	vol := func(v poddir.Volume) []poddir.Volume { v.Name = "v"; return []poddir.Volume{v} }
	for _, tc := range []struct {
		name    string
		volumes []poddir.Volume
		mounts  []poddir.Mount
		script  string
	}{
		{"host", vol(poddir.Volume{Kind: poddir.VolumeHost, Source: host}), []poddir.Mount{{Volume: "v", Target: "/a/b/c"}},
			"[ $(cat /a/b/c/file) = host ] && echo pod > /a/b/c/written && [ $(stat -c %a /a/b) = 755 ]"},
		{"read-only volume", vol(poddir.Volume{Kind: poddir.VolumeHost, Source: host, ReadOnly: true}), []poddir.Mount{{Volume: "v", Target: "/data"}},
			"[ -e /data/file ] && ! touch /data/x 2>/dev/null"},
		{"read-only mount", vol(poddir.Volume{Kind: poddir.VolumeHost, Source: host, Recursive: true}), []poddir.Mount{{Volume: "v", Target: "/data", ReadOnly: true}, {Volume: "v", Target: "/rw"}},
			"! touch /data/x 2>/dev/null && touch /rw/y"},
		{"file", vol(poddir.Volume{Kind: poddir.VolumeHost, Source: host + "/file"}), []poddir.Mount{{Volume: "v", Target: "/etc/deep/file"}},
			"[ $(cat /etc/deep/file) = host ]"},
		{"device", vol(poddir.Volume{Kind: poddir.VolumeHost, Source: "/dev/zero"}), []poddir.Mount{{Volume: "v", Target: "/dev/myzero"}},
			"[ $(head -c 2 /dev/myzero | wc -c) = 2 ]"},
		{"empty", vol(poddir.Volume{Kind: poddir.VolumeEmpty, Mode: 0o2770, UID: 12, GID: 34}), []poddir.Mount{{Volume: "v", Target: "/e"}},
			"[ $(stat -c %a:%u:%g /e) = 2770:12:34 ] && touch /e/x"},
		{"nested", []poddir.Volume{{Name: "v", Kind: poddir.VolumeEmpty}, {Name: "w", Kind: poddir.VolumeHost, Source: host}},
			[]poddir.Mount{{Volume: "v", Target: "/n"}, {Volume: "w", Target: "/n/inner"}}, "[ -e /n/inner/file ]"},
		{"absolute symlink", vol(poddir.Volume{Kind: poddir.VolumeEmpty}), []poddir.Mount{{Volume: "v", Target: "/abs/x"}},
			"touch /abs/x/ok && [ -e /real/x/ok ]"},
		{"dangling symlink", vol(poddir.Volume{Kind: poddir.VolumeEmpty}), []poddir.Mount{{Volume: "v", Target: "/dangling"}},
			"touch /dangling/ok && [ -e /made/by/mount/ok ]"},
		{"link upwards", vol(poddir.Volume{Kind: poddir.VolumeEmpty}), []poddir.Mount{{Volume: "v", Target: "/up/x"}},
			"touch /up/x/ok && [ -e /x/ok ]"},
		{"link into a link", vol(poddir.Volume{Kind: poddir.VolumeEmpty}), []poddir.Mount{{Volume: "v", Target: "/real/rel"}},
			"touch /real/rel/ok && [ -e /sibling/ok ]"},
		{"over identity files", vol(poddir.Volume{Kind: poddir.VolumeHost, Source: host + "/file"}), []poddir.Mount{{Volume: "v", Target: "/etc/hosts"}},
			"[ $(cat /etc/hosts) = host ]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			upper := filepath.Join(t.TempDir(), "l")
			for _, d := range []string{"real", "etc"} {
				if err := os.MkdirAll(filepath.Join(upper, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for name, to := range map[string]string{"abs": "/real", "dangling": "/made/by/mount", "up": "../../../../../..", "real/rel": "../sibling"} {
				if err := os.Symlink(to, filepath.Join(upper, name)); err != nil {
					t.Fatal(err)
				}
			}
			a := app("a", layer, tc.script)
			a.Rootfs.Layers = append(a.Rootfs.Layers, upper)
			a.Mounts = tc.mounts
			p := newPod(t, a)
			p.pod.Volumes = tc.volumes
			write(t, p.dir, "etc/hosts", "pod\n", 0o644)
			if code := p.start().wait(); code != 0 {
				t.Errorf("exit status %d; stdout %q stderr %q", code, p.stdout.String(), p.stderr.String())
			}
		})
	}
	if b, err := os.ReadFile(host + "/written"); err != nil || string(b) != "pod\n" {
		t.Errorf("host sees %q, %v", b, err)
	}
	if _, err := os.Stat("/made/by/mount"); err == nil {
		t.Error("a symlink of the image led out of the root")
	}
}

func TestVolumeErrors(t *testing.T) {
	layer := busybox(t)
	host := t.TempDir()
	write(t, host, "file", "x", 0o644)
	for _, tc := range []struct{ name, source, target, text string }{
		{"missing", host + "/nope", "/data", "does not exist on the host"},
		{"file on directory", host + "/file", "/etc", "is a directory in the app's root"},
		{"directory on file", host, "/etc/passwd", "is not a directory in the app's root"},
		{"through a file", host, "/etc/passwd/x", "/etc/passwd/x"},
		{"magic link", host, "/proc/self/fd/3/x", "/proc/self/fd/3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := app("a", layer, "echo ran")
			a.Mounts = []poddir.Mount{{Volume: "v", Target: tc.target}}
			p := newPod(t, a)
			p.pod.Volumes = []poddir.Volume{{Name: "v", Kind: poddir.VolumeHost, Source: tc.source}}
			if code := p.start().wait(); code != 254 || !strings.Contains(p.stderr.String(), tc.text) || !strings.Contains(p.stderr.String(), `volume "v"`) {
				t.Errorf("exit status %d, stderr %q", code, p.stderr.String())
			}
		})
	}
}

// A recursive volume brings the mounts below it along, read-only ones all of them.
func TestRecursiveVolume(t *testing.T) {
	layer := busybox(t)
	host := t.TempDir()
	sub := filepath.Join(host, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", sub, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(sub, 0) })
	write(t, sub, "file", "x", 0o644)
	for _, tc := range []struct {
		volume poddir.Volume
		script string
	}{
		{poddir.Volume{Recursive: true}, "touch /d/sub/new"},
		{poddir.Volume{Recursive: true, ReadOnly: true}, "[ -e /d/sub/file ] && ! touch /d/sub/x 2>/dev/null"},
		{poddir.Volume{}, "! [ -e /d/sub/file ]"},
	} {
		tc.volume.Name, tc.volume.Kind, tc.volume.Source = "v", poddir.VolumeHost, host
		a := app("a", layer, tc.script)
		a.Mounts = []poddir.Mount{{Volume: "v", Target: "/d"}}
		p := newPod(t, a)
		p.pod.Volumes = []poddir.Volume{tc.volume}
		if code := p.start().wait(); code != 0 {
			t.Errorf("%s: exit status %d, stderr %q", dump(tc.volume), code, p.stderr.String())
		}
	}
	// The pod is gone and keeps nothing busy.
	if err := unix.Unmount(sub, 0); err != nil {
		t.Errorf("unmount on the host: %v", err)
	}
}

func TestCopyUp(t *testing.T) {
	layer := busybox(t)
	write(t, layer, "var/lib/db/data/file", "content", 0o640)
	write(t, layer, "var/lib/db/run", "#!/bin/sh\n", 0o4755)
	for name, id := range map[string]int{"var/lib/db": 70, "var/lib/db/data": 71, "var/lib/db/data/file": 72} {
		if err := os.Lchown(filepath.Join(layer, name), id, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(layer, "var/lib/db/link")); err != nil {
		t.Fatal(err)
	}
	one := app("one", layer, `cd /var/lib/db; cat data/file; for f in . data data/file; do stat -c %a:%u:%g $f; done; readlink link; echo new > data/file; touch /var/lib/db/done; while ! [ -e /var/lib/db/seen ]; do sleep 0.01; done`)
	one.Mounts = []poddir.Mount{{Volume: "v", Target: "/var/lib/db", CopyUp: true}}
	two := app("two", layer, "while ! [ -e /srv/done ]; do sleep 0.01; done; cat /srv/data/file; touch /srv/seen")
	two.Mounts = []poddir.Mount{{Volume: "v", Target: "/srv", CopyUp: true}}
	p := newPod(t, one, two)
	p.pod.Volumes = []poddir.Volume{{Name: "v", Kind: poddir.VolumeEmpty}}
	if code := p.start().wait(); code != 0 {
		t.Fatalf("exit status %d: %s", code, p.stderr.String())
	}
	if got, want := p.stdout.String(), "content755:70:70\n755:71:71\n640:72:72\n/etc/passwd\nnew\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
}
