package fetcher_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

// text makes an image with one file of what stands behind "text://".
type text struct{}

// Fetch is all that a fetcher must have. Its main is one line:
//
//	fetcher.Main(fetcher.Info{Name: "fetcher-text", Version: "1.0.0", Schemes: []string{"text"}}, text{})
func (text) Fetch(ctx context.Context, req fetcher.Request, progress *fetcher.Progress) (fetcher.Result, error) {
	words, ok := strings.CutPrefix(req.Reference, "text://")
	if !ok || words == "" {
		return fetcher.Result{}, fetcher.ReferenceInvalid("%s: want text://WORDS", req.Reference)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "words", Mode: 0o644, Size: int64(len(words))}); err != nil {
		return fetcher.Result{}, err
	}
	fmt.Fprint(w, words)
	if err := w.Close(); err != nil {
		return fetcher.Result{}, err
	}
	out, err := ocilayout.Open(req.LayoutDir)
	if err != nil {
		return fetcher.Result{}, err
	}
	defer out.Close()
	blob := func(mediaType string, b []byte) (fetcher.Descriptor, error) {
		d := fetcher.Descriptor{MediaType: "application/vnd.oci.image." + mediaType}
		return out.Blob(ctx, d, bytes.NewReader(b), progress.Item(fetcher.PhaseCopy, mediaType))
	}
	l, err := blob("layer.v1.tar", layer.Bytes())
	if err != nil {
		return fetcher.Result{}, err
	}
	c, err := blob("config.v1+json", encode(map[string]any{
		"os": req.Platform.OS, "architecture": req.Platform.Architecture,
		"config": map[string]any{"Cmd": []string{"cat", "/words"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{l.Digest}},
	}))
	if err != nil {
		return fetcher.Result{}, err
	}
	m, err := blob("manifest.v1+json", encode(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": c, "layers": []fetcher.Descriptor{l},
	}))
	if err != nil {
		return fetcher.Result{}, err
	}
	return fetcher.Result{Image: m, Canonical: req.Reference}, out.Done(m)
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		log.Fatal(err)
	}
	return b
}

func Example() {
	dir, err := os.MkdirTemp("", "layout-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	progress := fetcher.NewProgress(func(s fetcher.Step) error {
		fmt.Println(s.Phase, s.Item, s.Done)
		return nil
	})
	_, err = text{}.Fetch(context.Background(), fetcher.Request{Reference: "text://", LayoutDir: dir}, progress)
	fmt.Println(err)

	req := fetcher.Request{Reference: "text://hello", LayoutDir: dir, Platform: fetcher.Platform{OS: "linux", Architecture: "amd64"}}
	got, err := text{}.Fetch(context.Background(), req, progress)
	fmt.Println(got.Canonical, err)
	// Output:
	// text://: want text://WORDS
	// copy layer.v1.tar 2048
	// copy config.v1+json 185
	// copy manifest.v1+json 397
	// text://hello <nil>
}

// What an implementation can do is found out, never claimed.
func ExampleManifest() {
	m := fetcher.Manifest(fetcher.Info{Name: "fetcher-text", Version: "1.0.0", Schemes: []string{"text"}}, text{})
	fmt.Println(m.Provides[0].Service, m.Provides[0].Schemes, m.Provides[0].Capabilities)
	// Output: rkt.fetcher [text] []
}
