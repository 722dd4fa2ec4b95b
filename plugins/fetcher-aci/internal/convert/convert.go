package convert

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/appc"
	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/archive"
	"github.com/rkt/rkt/v2/proto/ociapp"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

// MediaType of what is converted.
const MediaType = "application/vnd.appc.image.aci"

// Image converts one verified ACI.
func Image(ctx context.Context, req fetcher.ConvertRequest) (fetcher.Conversion, error) {
	if req.Image.MediaType != MediaType {
		return fetcher.Conversion{}, fetcher.ImageInvalid("media type is %q, this converter takes %s", req.Image.MediaType, MediaType)
	}
	alg, hexa, err := ocilayout.SplitDigest(req.Image.Digest)
	if err != nil {
		return fetcher.Conversion{}, fetcher.ImageInvalid("%w", err)
	}
	f, err := os.OpenFile(filepath.Join(req.LayoutDir, "blobs", alg, hexa), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fetcher.Conversion{}, fmt.Errorf("open image: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return fetcher.Conversion{}, fmt.Errorf("open image: %w", err)
	}
	out, err := ocilayout.Open(req.OutLayoutDir)
	if err != nil {
		return fetcher.Conversion{}, err
	}
	defer out.Close()
	m, raw, err := archive.Manifest(ctx, f)
	if err != nil {
		return fetcher.Conversion{}, invalid(ctx, err)
	}
	host := appc.Platform{OS: req.Platform.OS, Architecture: req.Platform.Architecture, Variant: req.Platform.Variant}
	p, err := runnable(m, host)
	if err != nil {
		return fetcher.Conversion{}, fetcher.ImageInvalid("%w", err)
	}
	own := newOwners(m.App)
	var user, group string
	rootfs, id, err := writeLayer(ctx, out, f, &layer{keep: newWhitelist(m.PathWhitelist), owner: own, first: raw, left: archive.Limit(fi.Size())}, func() (err error) {
		if m.App != nil {
			user, group, err = own.ids(m.App)
		}
		return err
	})
	if err != nil {
		return fetcher.Conversion{}, err
	}
	return describe(ctx, out, m, p, rootfs, id, user, group)
}

// runnable refuses what this converter cannot make an image of.
func runnable(m *appc.Manifest, host appc.Platform) (appc.Platform, error) {
	if len(m.Dependencies) > 0 {
		return appc.Platform{}, fmt.Errorf("image %s is laid over %s, and rkt does not fetch dependencies of appc images; build it with its dependencies in it",
			m.Name, m.Dependencies[0].ImageName)
	}
	p, err := m.Platform()
	if err != nil {
		return p, err
	}
	if err := p.RunsOn(host); err != nil {
		return p, fmt.Errorf("image %s: %w", m.Name, err)
	}
	return p, nil
}

// writeLayer makes the layer blob and the image ID, both in one pass. seen is asked when all entries are.
func writeLayer(ctx context.Context, out *ocilayout.Layout, f *os.File, l *layer, seen func() error) (fetcher.Descriptor, string, error) {
	aci, err := archive.Open(ctx, f)
	if err != nil {
		return fetcher.Descriptor{}, "", invalid(ctx, err)
	}
	w, err := out.Create(ctx, fetcher.Descriptor{MediaType: v1.MediaTypeImageLayer})
	if err != nil {
		return fetcher.Descriptor{}, "", err
	}
	defer w.Close()
	id := sha512.New()
	all := io.TeeReader(aci, id)
	sink := &diskWriter{w: w}
	if err := l.write(sink, all); err != nil {
		if sink.err != nil {
			return fetcher.Descriptor{}, "", fmt.Errorf("write layer: %w", sink.err)
		}
		return fetcher.Descriptor{}, "", invalid(ctx, err)
	}
	// The ID is of all bytes: also of the zeros and whatever else is behind the end of the tar.
	if _, err := io.Copy(io.Discard, all); err != nil {
		return fetcher.Descriptor{}, "", invalid(ctx, err)
	}
	if err := seen(); err != nil {
		return fetcher.Descriptor{}, "", invalid(ctx, err)
	}
	d, err := w.Commit()
	if err != nil {
		return fetcher.Descriptor{}, "", fmt.Errorf("write layer: %w", err)
	}
	return d, "sha512-" + hex.EncodeToString(id.Sum(nil)), nil
}

// diskWriter remembers that it was our disk that failed, and not the image.
type diskWriter struct {
	w   io.Writer
	err error
}

func (d *diskWriter) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err != nil {
		d.err = err
	}
	return n, err
}

func describe(ctx context.Context, out *ocilayout.Layout, m *appc.Manifest, p appc.Platform, rootfs fetcher.Descriptor, id, user, group string) (fetcher.Conversion, error) {
	cfg, err := writeJSON(ctx, out, v1.MediaTypeImageConfig, config(m, p, user, group, rootfs))
	if err != nil {
		return fetcher.Conversion{}, err
	}
	extra, err := writeJSON(ctx, out, ociapp.MediaType, app(m, id, group))
	if err != nil {
		return fetcher.Conversion{}, err
	}
	man, err := writeJSON(ctx, out, v1.MediaTypeImageManifest, manifest(cfg, rootfs, annotations(m)))
	if err != nil {
		return fetcher.Conversion{}, err
	}
	if err := out.Done(man); err != nil {
		return fetcher.Conversion{}, err
	}
	version, _ := m.Labels.Get("version")
	return fetcher.Conversion{Image: man, App: &extra, Name: m.Name, Version: version}, nil
}

func writeJSON(ctx context.Context, out *ocilayout.Layout, mediaType string, v any) (fetcher.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return fetcher.Descriptor{}, fmt.Errorf("encode %s: %w", mediaType, err)
	}
	d, err := out.Blob(ctx, fetcher.Descriptor{MediaType: mediaType}, bytes.NewReader(b), nil)
	d.MediaType = mediaType
	return d, err
}

// invalid blames the image, unless the caller has given up.
func invalid(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fetcher.ImageInvalid("not a valid appc image: %w", err)
}
