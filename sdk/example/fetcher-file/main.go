// Command rkt-fetcher-file fetches images from OCI image layouts on this host, by path:///ABSOLUTE/DIRECTORY.
package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

func main() {
	fetcher.Main(fetcher.Info{Name: "fetcher-file", Version: "1.0.0", Schemes: []string{"path"}}, files{})
}

type files struct{}

// Fetch copies path:///DIRECTORY into the layout; what is there already from a former attempt is not copied again.
func (files) Fetch(ctx context.Context, req fetcher.Request, progress *fetcher.Progress) (fetcher.Result, error) {
	path := strings.TrimPrefix(req.Reference, "path://")
	if !filepath.IsAbs(path) {
		return fetcher.Result{}, fetcher.ReferenceInvalid("%s: want path:///ABSOLUTE/DIRECTORY", req.Reference)
	}
	from, err := req.OpenRoot(path)
	if err != nil {
		return fetcher.Result{}, err
	}
	defer from.Close()
	layout, err := ocilayout.Open(req.LayoutDir)
	if err != nil {
		return fetcher.Result{}, err
	}
	defer layout.Close()
	image, err := layout.CopyFrom(ctx, from, progress.Items(fetcher.PhaseCopy))
	if err != nil {
		return fetcher.Result{}, fetcher.Unreadable(path, err)
	}
	return fetcher.Result{Image: image, Canonical: req.Reference}, layout.Done(image)
}
