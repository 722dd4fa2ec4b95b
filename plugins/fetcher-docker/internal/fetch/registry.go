package fetch

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/image"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/reference"
	"github.com/rkt/rkt/v2/plugins/fetcher-docker/internal/registry"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

// remote is an image in a registry.
type remote struct {
	ref      reference.Docker
	client   *registry.Client
	image    *image.Resolved
	parallel int
}

func (f *Fetcher) openRegistry(ctx context.Context, t target) (source, error) {
	ref, err := reference.ParseDocker(t.reference)
	if err != nil {
		return nil, err
	}
	o := registry.Options{
		AllowHTTP: t.access.AllowHTTP, InsecureTLS: t.access.InsecureTLS,
		TokenHosts: f.config.TokenHosts[ref.Registry],
		UserAgent:  "rkt-fetcher-docker/" + f.version,
		RootCAs:    f.rootCAs,
		Tuning:     f.config.tuning(),
	}
	for _, c := range t.access.Credentials {
		c.Host = reference.Registry(c.Host)
		o.Credentials = append(o.Credentials, registry.Credential(c))
	}
	r := &remote{ref: ref, client: registry.New(ref, o), parallel: f.config.parallel()}
	d, b, err := r.client.Manifest(ctx, ref.Selector())
	if err == nil {
		r.image, err = image.Resolve(ctx, d, b, t.platform, r.client.ByDescriptor)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *remote) canonical() string         { return r.ref.String() }
func (r *remote) resolved() *image.Resolved { return r.image }
func (r *remote) close()                    { r.client.Close() }

// deliver downloads some blobs at a time. The first error stops the others; what they have stays for the next
// attempt.
func (r *remote) deliver(ctx context.Context, want []ocilayout.Descriptor, l *ocilayout.Layout, p *fetcher.Progress) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.parallel)
	for _, d := range want {
		g.Go(func() error { return r.download(ctx, d, l, p) })
	}
	return g.Wait()
}

func (r *remote) download(ctx context.Context, d ocilayout.Descriptor, l *ocilayout.Layout, p *fetcher.Progress) error {
	if ok, err := l.Has(ctx, d); err != nil || ok {
		return err
	}
	resumed, err := r.attempt(ctx, d, l, p)
	if resumed && errors.Is(err, ocilayout.ErrMismatch) {
		// What the former process left was bad, which a power loss can do. It is gone now.
		_, err = r.attempt(ctx, d, l, p)
	}
	return err
}

func (r *remote) attempt(ctx context.Context, d ocilayout.Descriptor, l *ocilayout.Layout, p *fetcher.Progress) (resumed bool, err error) {
	w, err := l.Create(ctx, d)
	if err != nil {
		return false, err
	}
	defer w.Close()
	report := p.Item(fetcher.PhaseDownload, d.Digest)
	report(w.Offset(), d.Size)
	err = r.client.Blob(ctx, v1.Descriptor{MediaType: d.MediaType, Digest: digest.Digest(d.Digest), Size: d.Size}, w, report)
	resumed = w.Resumed()
	if err != nil {
		return resumed, err
	}
	_, err = w.Commit()
	return resumed, err
}
