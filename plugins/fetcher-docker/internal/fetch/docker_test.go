package fetch

import (
	"testing"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
)

// TestRealRegistry pushes images with skopeo to docker-registry and fetches them.
func TestRealRegistry(t *testing.T) {
	addr := startRegistry(t)
	img := buildImage(t, amd64, 1, 100_000)
	multi := index(t, buildImage(t, arm64, 2, 5000), img)
	src := writeLayout(t, t.TempDir(), map[string]*built{"one": img, "multi": multi,
		"gz": buildImage(t, amd64, 3, 2000, "gzip", "gzip")})
	push := func(tag, to string, args ...string) {
		args = append([]string{"copy", "--quiet", "--dest-tls-verify=false", "--insecure-policy"}, args...)
		run(t, "skopeo", append(args, "oci:"+src+":"+tag, "docker://"+addr+"/"+to)...)
	}
	push("one", "app:one", "--preserve-digests")
	push("multi", "app:multi", "--all", "--preserve-digests")
	push("gz", "library/schema2:v1", "--format=v2s2")
	c := newClient(t)

	t.Run("tag", func(t *testing.T) {
		dir := t.TempDir()
		res, err := c.fetch("docker://"+addr+"/app:one", dir)
		if err != nil {
			t.Fatal(err)
		}
		if res.Canonical != "docker://"+addr+"/app:one" || res.Image.Digest != string(img.manifest.Digest) {
			t.Errorf("%+v", res)
		}
		if m := checkLayout(t, dir, res.Image, nil); len(m.Layers) != 3 {
			t.Errorf("%d layers", len(m.Layers))
		}
		again, err := c.fetch("docker://"+addr+"/app:one", dir)
		if err != nil || again.Image.Digest != res.Image.Digest {
			t.Errorf("again: %+v, %v", again, err)
		}
	})
	t.Run("index", func(t *testing.T) {
		dir := t.TempDir()
		res, err := c.fetch("docker://"+addr+"/app:multi", dir)
		if err != nil {
			t.Fatal(err)
		}
		if res.Image.Digest != string(img.manifest.Digest) {
			t.Errorf("%+v", res)
		}
		checkLayout(t, dir, res.Image, nil)
		_, err = c.fetch("docker://"+addr+"/app:multi", t.TempDir(), func(r *fetcher.Request) { r.Platform.Architecture = "s390x" })
		wantReason(t, err, reason.ImageNotFound, "linux/s390x", "linux/amd64, linux/arm64/v8")
	})
	t.Run("schema2", func(t *testing.T) {
		dir := t.TempDir()
		res, err := c.fetch("docker://"+addr+"/library/schema2:v1", dir)
		if err != nil {
			t.Fatal(err)
		}
		checkLayout(t, dir, res.Image, nil)
	})
	t.Run("digest", func(t *testing.T) {
		for _, d := range []string{string(img.manifest.Digest), string(multi.manifest.Digest)} {
			dir := t.TempDir()
			res, err := c.fetch("docker://"+addr+"/app@"+d, dir)
			if err != nil {
				t.Fatal(err)
			}
			if res.Image.Digest != string(img.manifest.Digest) || res.Canonical != "docker://"+addr+"/app@"+d {
				t.Errorf("%+v", res)
			}
			checkLayout(t, dir, res.Image, nil)
		}
	})
	t.Run("present", func(t *testing.T) {
		dir := t.TempDir()
		present := map[string]bool{string(img.m.Layers[0].Digest): true, string(img.m.Config.Digest): true}
		res, err := c.fetch("docker://"+addr+"/app:one", dir, func(r *fetcher.Request) { r.Present = present })
		if err != nil {
			t.Fatal(err)
		}
		checkLayout(t, dir, res.Image, present)
		if n := countBlobs(t, dir); n != 3 {
			t.Errorf("%d blobs, want manifest and two layers", n)
		}
	})
	t.Run("resolve", func(t *testing.T) {
		res, err := c.f.Resolve(t.Context(), fetcher.ResolveRequest{Reference: "docker:" + addr + "/app:multi",
			Platform: fetcher.Platform{OS: "linux", Architecture: "amd64"}, Access: fetcher.Access{AllowHTTP: true}})
		if err != nil || res.Image.Digest != string(img.manifest.Digest) || len(res.Blobs) != 4 || res.Canonical != "docker://"+addr+"/app:multi" {
			t.Errorf("%+v, %v", res, err)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		_, err := c.fetch("docker://"+addr+"/app:one", t.TempDir(), func(r *fetcher.Request) { r.Access.AllowHTTP = false })
		wantReason(t, err, reason.InsecureRefused, "--insecure-options=http", addr)
		_, err = c.fetch("docker://"+addr+"/app:none", t.TempDir())
		wantReason(t, err, reason.ImageNotFound, "app", "none", addr)
		_, err = c.fetch("docker://"+addr+"/nothing:none", t.TempDir())
		wantReason(t, err, reason.ImageNotFound, "nothing")
		_, err = c.fetch("docker://127.0.0.1:1/x", t.TempDir())
		wantReason(t, err, reason.NetworkUnreachable, "127.0.0.1:1", "refused")
	})
}
