package main

import (
	"archive/tar"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/rkt/rkt/v2/tests/layout"
)

// pull measures a cold pull of about 300 MB in six layers with some ten thousand files.
func (b *peers) pull(n int) error {
	// In a process of its own: a child's peak memory is counted from its parent's at the fork.
	if err := b.do("/proc/self/exe", "-layout", filepath.Join(b.dir, "big")); err != nil {
		return err
	}
	if err := b.push("big"); err != nil {
		return err
	}
	image := "docker://" + b.registry + "/big:latest"
	fresh := func(name string) func() error {
		return func() error { return os.RemoveAll(filepath.Join(b.dir, name)) }
	}
	floor := fmt.Sprintf("mkdir -p %[1]s/floor && cd %[1]s/floor && curl -sf -H 'Accept: application/vnd.oci.image.manifest.v1+json' http://%[2]s/v2/big/manifests/latest | jq -r '.layers[].digest' | while read d; do mkdir -p $d; curl -sf http://%[2]s/v2/big/blobs/$d | gzip -dc | tar x -C $d; done", b.dir, b.registry)
	rows := []*row{
		{name: "rkt fetch", reset: fresh("pull-rkt"), run: []string{b.rkt, "--dir=" + filepath.Join(b.dir, "pull-rkt"), "--insecure-options=http", "fetch", image}},
		{name: "podman pull", reset: fresh("pull-podman"), run: []string{"podman", "--root", filepath.Join(b.dir, "pull-podman", "root"), "--runroot", filepath.Join(b.dir, "pull-podman", "run"), "--cgroup-manager=cgroupfs", "--events-backend=none", "pull", "-q", "--tls-verify=false", image}},
		{name: "skopeo copy to oci (no unpack)", reset: fresh("pull-skopeo"), run: []string{"skopeo", "copy", "-q", "--src-tls-verify=false", image, "oci:" + filepath.Join(b.dir, "pull-skopeo") + ":x"}},
		{name: "floor: curl | gzip -d | tar x, one by one", reset: fresh("floor"), run: []string{"sh", "-c", floor}},
	}
	if err := b.alternate(rows, n); err != nil {
		return err
	}
	show("cold pull of 300 MB in 6 layers from loopback", rows)
	for _, r := range rows[:3] {
		fmt.Printf("%-44s %9.1f MiB at most in one process\n", r.name, float64(r.rss)/1024)
	}
	return nil
}

func writeBig(dir string) error {
	w, err := layout.New(dir)
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for l := range 6 {
		if err := w.Layer(func(tw *tar.Writer) error { return fill(tw, rnd, l) }); err != nil {
			return err
		}
	}
	return w.Close("latest")
}

// fill writes 50 MB: 1600 small files and 9 of 5 MB, half of each random.
func fill(tw *tar.Writer, rnd *rand.Rand, layer int) error {
	write := func(name string, size int) error {
		b := make([]byte, size)
		for i := 0; i < size/2; i++ {
			b[i] = byte(rnd.Uint32())
		}
		return layout.File(tw, name, 0o644, b)
	}
	for d := range 16 {
		dir := fmt.Sprintf("l%d/d%d/", layer, d)
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			return err
		}
		for f := range 100 {
			if err := write(fmt.Sprintf("%sf%d", dir, f), 3<<10); err != nil {
				return err
			}
		}
	}
	for f := range 9 {
		if err := write(fmt.Sprintf("l%d/big%d", layer, f), 5<<20); err != nil {
			return err
		}
	}
	return nil
}

// list measures listing of 200 pods.
func (b *peers) list(n int) error {
	for range 200 {
		if err := b.do(b.rkt, "prepare", b.image, "--exec=/bin/true"); err != nil {
			return err
		}
	}
	rows := []*row{
		{name: "rkt version", run: []string{b.rkt, "version"}},
		{name: "rkt list, 200 pods", run: []string{b.rkt, "list"}},
		{name: "podman version", run: []string{"podman", "version"}},
	}
	if err := b.alternate(rows, n); err != nil {
		return err
	}
	show("commands that start no pod", rows)
	return nil
}
