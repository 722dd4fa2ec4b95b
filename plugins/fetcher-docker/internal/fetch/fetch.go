package fetch

import (
	"context"
	"crypto/x509"
	"os"
	"slices"
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/fault"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/image"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Schemes are the words before the colon that this fetcher understands.
func Schemes() []string {
	return []string{schemeDocker, schemeOCI, schemeOCIArchive, schemeDockerArchive}
}

const (
	schemeDocker        = "docker"
	schemeOCI           = "oci"
	schemeOCIArchive    = "oci-archive"
	schemeDockerArchive = "docker-archive"
)

// Fetcher implements sdk/fetcher's interfaces. Nothing outlives a call but the configuration.
type Fetcher struct {
	version string
	config  config
	rootCAs *x509.CertPool // of tests; nil: the system's
}

var (
	_ fetcher.Fetcher   = (*Fetcher)(nil)
	_ fetcher.Resolver  = (*Fetcher)(nil)
	_ plugin.Configurer = (*Fetcher)(nil)
)

// New makes a fetcher that calls itself rkt-fetcher-docker/version.
func New(version string) *Fetcher { return &Fetcher{version: version} }

// target is what one call is about.
type target struct {
	reference string
	platform  image.Platform
	access    fetcher.Access
	source    *os.File // a local reference's file or directory, when donated
}

// source is an image found by its name: its manifest is at hand, its blobs can be delivered.
type source interface {
	canonical() string
	resolved() *image.Resolved
	// deliver puts every blob of want into the layout, the manifest excepted.
	deliver(ctx context.Context, want []ocilayout.Descriptor, l *ocilayout.Layout, p *fetcher.Progress) error
	close()
}

// open finds the image.
func (f *Fetcher) open(ctx context.Context, t target) (source, error) {
	scheme, _, ok := strings.Cut(t.reference, ":")
	switch {
	case ok && scheme == schemeDocker:
		return f.openRegistry(ctx, t)
	case ok && slices.Contains(Schemes(), scheme):
		return openLocal(ctx, t)
	}
	return nil, fetcher.ReferenceInvalid("parse reference %s: its scheme is none of %s", fault.Quote(t.reference), strings.Join(Schemes(), ", "))
}

// Resolve says what the reference means now.
func (f *Fetcher) Resolve(ctx context.Context, req fetcher.ResolveRequest) (fetcher.Resolution, error) {
	src, err := f.open(ctx, target{req.Reference, image.Platform(req.Platform), req.Access, nil})
	if err != nil {
		return fetcher.Resolution{}, err
	}
	defer src.close()
	r := src.resolved()
	res := fetcher.Resolution{Image: descriptor(r.Descriptor), Canonical: src.canonical()}
	for _, d := range image.Blobs(r.Manifest) {
		res.Blobs = append(res.Blobs, descriptor(d))
	}
	return res, nil
}

// Fetch fills the layout. Blobs of a former attempt are kept, halves of them are gone on with.
func (f *Fetcher) Fetch(ctx context.Context, req fetcher.Request, p *fetcher.Progress) (fetcher.Result, error) {
	l, err := ocilayout.Open(req.LayoutDir)
	if err != nil {
		return fetcher.Result{}, err
	}
	defer l.Close()
	platform := image.Platform(req.Platform)
	src, err := f.open(ctx, target{req.Reference, platform, req.Access, req.Source})
	if err != nil {
		return fetcher.Result{}, err
	}
	defer src.close()
	r := src.resolved()

	// The config goes first: it may be for another platform, and then nothing large should have moved.
	blobs := image.Blobs(r.Manifest)
	for _, part := range [][]ocilayout.Descriptor{missing(blobs[:1], req.Present), missing(blobs[1:], req.Present)} {
		if err := src.deliver(ctx, part, l, p); err != nil {
			return fetcher.Result{}, err
		}
		if err := checkConfig(ctx, l, descriptor(blobs[0]), platform); err != nil {
			return fetcher.Result{}, err
		}
	}
	img := descriptor(r.Descriptor)
	if !req.Present[img.Digest] {
		if err := writeBytes(ctx, l, img, r.Bytes); err != nil {
			return fetcher.Result{}, err
		}
	}
	if err := l.Done(img); err != nil {
		return fetcher.Result{}, err
	}
	return fetcher.Result{Image: img, Canonical: src.canonical()}, nil
}
