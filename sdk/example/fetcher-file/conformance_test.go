package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rkt/rkt/v2/sdk/conformance"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

// TestConformance is all that the kit asks of a fetcher, with an image: without References it fails, since nothing would
// have been fetched.
func TestConformance(t *testing.T) {
	// Not below t.TempDir, which the user that the plugin runs as may not pass.
	dir, err := os.MkdirTemp("", "rkt-images-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Nobody but its owner may pass this one: rkt opens what a reference names, and so does the kit.
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	layout := filepath.Join(closed, "layout")
	writeImage(t, layout)
	conformance.Run(t, conformance.Plugin{
		Dir:        conformance.Build(t, ".", nil),
		References: []string{"path://" + layout},
		Missing:    []string{"path://" + filepath.Join(dir, "none")},
	}, conformance.Options{Level: conformance.Isolation})
}

// writeImage makes an OCI image layout of one small image.
func writeImage(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := ocilayout.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	blob := func(mediaType string, b []byte) fetcher.Descriptor {
		d, err := out.Blob(t.Context(), fetcher.Descriptor{MediaType: "application/vnd.oci.image." + mediaType}, bytes.NewReader(b), nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	document := func(mediaType string, v any) fetcher.Descriptor {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return blob(mediaType, b)
	}
	layer := blob("layer.v1.tar", make([]byte, 1<<20)) // of an empty tar, any number of zeros
	config := document("config.v1+json", map[string]any{
		"os": "linux", "architecture": runtime.GOARCH,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layer.Digest}},
	})
	image := document("manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": config, "layers": []fetcher.Descriptor{layer},
	})
	if err := out.Done(image); err != nil {
		t.Fatal(err)
	}
}
