package fetch

import (
	"context"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/image"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/local"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/reference"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

// file is an image in a file or directory.
type file struct {
	ref   reference.Local
	image *local.Image
}

func openLocal(ctx context.Context, t target) (source, error) {
	ref, err := reference.ParseLocal(t.reference)
	if err != nil {
		return nil, err
	}
	open := local.OpenLayout
	switch ref.Scheme {
	case schemeOCIArchive:
		open = local.OpenLayoutArchive
	case schemeDockerArchive:
		open = local.OpenDockerArchive
	}
	img, err := open(ctx, ref.Path, t.source, ref.Tag, t.platform)
	if err != nil {
		return nil, err
	}
	return &file{ref, img}, nil
}

func (f *file) canonical() string         { return f.ref.String() }
func (f *file) resolved() *image.Resolved { return f.image.Resolved }
func (f *file) close()                    { f.image.Close() }

func (f *file) deliver(ctx context.Context, want []ocilayout.Descriptor, l *ocilayout.Layout, p *fetcher.Progress) error {
	return f.image.Deliver(ctx, want, l, func(digest string) func(done, total int64) {
		return p.Item(fetcher.PhaseCopy, digest)
	})
}
