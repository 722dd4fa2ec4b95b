// Command rkt-fetcher-file fetches images from files of this host, by path:///ABSOLUTE/PATH: an OCI image layout (a
// directory) or an ACI.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

func main() {
	fetcher.Main(fetcher.Info{Name: "fetcher-file", Version: "1.0.0", Schemes: []string{"path"}}, fetch{})
}

type fetch struct{}

// Fetch copies path:///PATH into the layout; what is there already from a former attempt is not copied again.
func (fetch) Fetch(ctx context.Context, req fetcher.Request, progress *fetcher.Progress) (fetcher.Result, error) {
	path := strings.TrimPrefix(req.Reference, "path://")
	if !filepath.IsAbs(path) {
		return fetcher.Result{}, fetcher.ReferenceInvalid("%s: want path:///ABSOLUTE/PATH", req.Reference)
	}
	out, err := ocilayout.Open(req.LayoutDir)
	if err != nil {
		return fetcher.Result{}, err
	}
	defer out.Close()
	// rkt has opened what the reference names: its caller is root, and this process is not.
	src := req.Source
	if src == nil {
		if src, err = os.Open(path); err != nil {
			return fetcher.Result{}, fetcher.Unreadable(path, err)
		}
		defer src.Close()
	}
	image, err := copyImage(ctx, src, path, out, progress)
	if err != nil {
		return fetcher.Result{}, err
	}
	return fetcher.Result{Image: image, Canonical: req.Reference}, out.Done(image)
}

func copyImage(ctx context.Context, src *os.File, path string, out *ocilayout.Layout, progress *fetcher.Progress) (fetcher.Descriptor, error) {
	fi, err := src.Stat()
	if err != nil {
		return fetcher.Descriptor{}, err
	}
	if !fi.IsDir() {
		aci := fetcher.Descriptor{MediaType: "application/vnd.appc.image.aci"}
		return out.File(ctx, aci, src, progress.Item(fetcher.PhaseCopy, filepath.Base(path)))
	}
	// What lies in a directory is opened by this process, and so must be open to everybody.
	dir, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", src.Fd()))
	if err != nil {
		return fetcher.Descriptor{}, fetcher.Unreadable(path, err)
	}
	defer dir.Close()
	b, err := dir.ReadFile("index.json")
	if err != nil {
		return fetcher.Descriptor{}, fetcher.Unreadable(filepath.Join(path, "index.json"), err)
	}
	var index struct{ Manifests []fetcher.Descriptor }
	if err := json.Unmarshal(b, &index); err != nil || len(index.Manifests) != 1 {
		return fetcher.Descriptor{}, fetcher.ImageInvalid("%s: want an index.json with one image", path)
	}
	const blobs = "blobs/sha256"
	entries, err := fs.ReadDir(dir.FS(), blobs)
	if err != nil {
		return fetcher.Descriptor{}, fetcher.Unreadable(filepath.Join(path, blobs), err)
	}
	for _, e := range entries {
		if err := copyBlob(ctx, dir, blobs+"/"+e.Name(), path, out, progress); err != nil {
			return fetcher.Descriptor{}, err
		}
	}
	return index.Manifests[0], nil
}

func copyBlob(ctx context.Context, dir *os.Root, name, path string, out *ocilayout.Layout, progress *fetcher.Progress) error {
	f, err := dir.Open(name)
	if err != nil {
		return fetcher.Unreadable(filepath.Join(path, name), err)
	}
	defer f.Close()
	want := fetcher.Descriptor{Digest: "sha256:" + filepath.Base(name)}
	_, err = out.File(ctx, want, f, progress.Item(fetcher.PhaseCopy, want.Digest))
	return err
}
