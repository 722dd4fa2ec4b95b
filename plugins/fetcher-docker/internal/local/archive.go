package local

import (
	"context"
	"io"
	"os"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/image"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/tarfile"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

// OpenLayoutArchive opens an image of an OCI layout in a tar archive.
func OpenLayoutArchive(ctx context.Context, path string, source *os.File, tag string, want image.Platform) (*Image, error) {
	a, err := openTar(ctx, path, source)
	if err != nil {
		return nil, err
	}
	return openLayout(ctx, a, path, tag, want)
}

// archive is a tar file.
type archive struct {
	f   *os.File
	tar *tarfile.Archive
}

func openTar(ctx context.Context, path string, source *os.File) (*archive, error) {
	f, err := openArchive(path, source)
	if err != nil {
		return nil, err
	}
	a, err := tarfile.Open(ctx, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &archive{f, a}, nil
}

func (a *archive) close() error { return a.f.Close() }

func (a *archive) document(ctx context.Context, name string) ([]byte, error) {
	return a.tar.Document(ctx, name)
}

func (a *archive) deliver(ctx context.Context, want map[string]ocilayout.Descriptor, l *ocilayout.Layout, report Report) error {
	var list []tarfile.File
	blobs := map[string][]ocilayout.Descriptor{}
	for name, d := range want {
		f, err := a.tar.Lookup(name)
		if err != nil {
			return err
		}
		if len(blobs[f.Name]) == 0 {
			list = append(list, f)
		}
		blobs[f.Name] = append(blobs[f.Name], d)
	}
	return a.tar.Each(ctx, list, func(f tarfile.File, r io.Reader) error {
		// Two digests of one file cannot both be right: the second one finds an empty reader, and is told so.
		for _, d := range blobs[f.Name] {
			if _, err := l.Blob(ctx, d, r, report(d.Digest)); err != nil {
				return short(err)
			}
		}
		return nil
	})
}
