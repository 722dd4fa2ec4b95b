// Command rkt-fetcher-file fetches images from files: an OCI image layout (a directory) or an ACI. Its scheme is
// "path", because rkt itself knows what file:// means.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

func main() {
	fetcher.Main(fetcher.Info{Name: "fetcher-file", Version: "1.0.0", Schemes: []string{"path"}}, file{})
}

type file struct{}

// Fetch copies path:///PATH into the layout; what is there already from a former attempt is not copied again.
func (file) Fetch(ctx context.Context, req fetcher.Request, progress *fetcher.Progress) (fetcher.Result, error) {
	path := strings.TrimPrefix(req.Reference, "path://")
	if !filepath.IsAbs(path) {
		return fetcher.Result{}, fetcher.ReferenceInvalid("%s: want path:///ABSOLUTE/PATH", req.Reference)
	}
	out, err := ocilayout.Open(req.LayoutDir)
	if err != nil {
		return fetcher.Result{}, err
	}
	defer out.Close()
	image, err := copyImage(ctx, path, out, progress)
	if errors.Is(err, fs.ErrNotExist) {
		return fetcher.Result{}, fetcher.NotFound("%w", err)
	} else if err != nil {
		return fetcher.Result{}, err
	}
	return fetcher.Result{Image: image, Canonical: req.Reference}, out.Done(image)
}

func copyImage(ctx context.Context, path string, out *ocilayout.Layout, progress *fetcher.Progress) (fetcher.Descriptor, error) {
	copyBlob := func(path string, want fetcher.Descriptor) (fetcher.Descriptor, error) {
		f, err := os.Open(path)
		if err != nil {
			return want, err
		}
		defer f.Close()
		return out.File(ctx, want, f, progress.Item(fetcher.PhaseCopy, filepath.Base(path)))
	}
	b, err := os.ReadFile(filepath.Join(path, "index.json"))
	if err != nil {
		return copyBlob(path, fetcher.Descriptor{MediaType: "application/vnd.appc.image.aci"})
	}
	var index struct{ Manifests []fetcher.Descriptor }
	if err := json.Unmarshal(b, &index); err != nil || len(index.Manifests) != 1 {
		return fetcher.Descriptor{}, fetcher.ImageInvalid("%s: want an index.json with one image", path)
	}
	blobs, err := filepath.Glob(filepath.Join(path, "blobs/sha256/*"))
	for _, blob := range blobs {
		if err == nil {
			_, err = copyBlob(blob, fetcher.Descriptor{Digest: "sha256:" + filepath.Base(blob)})
		}
	}
	return index.Manifests[0], err
}
