package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/image"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

func descriptor(d v1.Descriptor) ocilayout.Descriptor {
	return ocilayout.Descriptor{MediaType: d.MediaType, Digest: string(d.Digest), Size: d.Size}
}

// missing leaves out what core has.
func missing(ds []v1.Descriptor, present map[string]bool) []ocilayout.Descriptor {
	var out []ocilayout.Descriptor
	for _, d := range ds {
		if !present[string(d.Digest)] {
			out = append(out, descriptor(d))
		}
	}
	return out
}

// writeBytes puts a document that is in memory into the layout.
func writeBytes(ctx context.Context, l *ocilayout.Layout, d ocilayout.Descriptor, b []byte) error {
	_, err := l.Blob(ctx, d, bytes.NewReader(b), nil)
	return err
}

// checkConfig compares the config with the platform. One that core has already was checked when it came.
func checkConfig(ctx context.Context, l *ocilayout.Layout, d ocilayout.Descriptor, want image.Platform) error {
	f, err := l.OpenBlob(d.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, image.MaxDocument))
	if err != nil {
		return err
	}
	return image.CheckConfig(b, want)
}
