package ocilayout_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

// A fetcher writes every blob, a manifest that names them, and the index that names the manifest.
func Example() {
	dir, err := os.MkdirTemp("", "layout-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	out, err := ocilayout.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer out.Close()

	ctx := context.Background()
	config, err := out.Blob(ctx, ocilayout.Descriptor{MediaType: "application/vnd.oci.image.config.v1+json"},
		strings.NewReader(`{"os":"linux","architecture":"amd64","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`), nil)
	if err != nil {
		log.Fatal(err)
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": config, "layers": []ocilayout.Descriptor{},
	})
	if err != nil {
		log.Fatal(err)
	}
	image, err := out.Blob(ctx, ocilayout.Descriptor{MediaType: "application/vnd.oci.image.manifest.v1+json"},
		strings.NewReader(string(manifest)), nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := out.Done(image); err != nil {
		log.Fatal(err)
	}
	fmt.Println(image.Digest[:19], image.Size)
	// Output: sha256:8f5dba37f1fc 247
}

// A download that breaks off leaves its bytes, and the next attempt goes on behind them.
func ExampleLayout_BlobAt() {
	dir, err := os.MkdirTemp("", "layout-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	out, err := ocilayout.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer out.Close()

	blob := "all the bytes of a layer"
	want := ocilayout.Descriptor{
		Digest: "sha256:5c92836aabbdb0358294e1d17e25c52f264c1bad127ad4a188a654420edb6277",
		Size:   int64(len(blob)),
	}
	_, err = out.Blob(context.Background(), want, strings.NewReader(blob[:10]), nil)
	fmt.Println(err != nil, out.ResumeOffset(want))

	_, err = out.BlobAt(context.Background(), want, 10, strings.NewReader(blob[10:]), nil)
	fmt.Println(err)
	// Output:
	// true 10
	// <nil>
}
