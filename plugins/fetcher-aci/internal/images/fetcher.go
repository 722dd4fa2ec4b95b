package images

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/appc"
	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/archive"
	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/convert"
	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/transfer"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
)

const (
	// SignatureType is the media type of signatures, armored or not.
	SignatureType = "application/pgp-signature"
	// KeysType is the media type of public keys.
	KeysType = "application/pgp-keys"

	maxSignature = 1 << 20
)

// Schemes that references may have.
func Schemes() []string { return []string{"aci", "aci-file", "http", "https", "aci-keys"} }

// Fetcher implements fetcher.Fetcher and fetcher.Converter.
type Fetcher struct {
	Version string // for User-Agent
}

var (
	_ fetcher.Fetcher   = Fetcher{}
	_ fetcher.Signer    = Fetcher{}
	_ fetcher.Converter = Fetcher{}
)

// Fetch fills the layout.
func (f Fetcher) Fetch(ctx context.Context, req fetcher.Request, progress *fetcher.Progress) (fetcher.Result, error) {
	j, scheme, rest, err := f.job(req, progress)
	if err != nil {
		return fetcher.Result{}, err
	}
	defer j.layout.Close()
	switch name := strings.TrimPrefix(rest, "//"); scheme {
	case "aci":
		return j.discovered(ctx, name)
	case "http", "https":
		return j.url(ctx, req.Reference)
	case "aci-file":
		return j.file(ctx, rest)
	case "aci-keys":
		return j.keys(ctx, name)
	}
	return fetcher.Result{}, fetcher.ReferenceInvalid("scheme %q is not one of %s", scheme, strings.Join(Schemes(), ", "))
}

// Signatures delivers what Fetch would, less the image. Only what is looked up by name has something to gain: of a
// place, be it a URL or a file, the name that keys are trusted for is in the image itself.
func (f Fetcher) Signatures(ctx context.Context, req fetcher.Request) (fetcher.Result, error) {
	j, scheme, rest, err := f.job(req, nil)
	if err != nil {
		return fetcher.Result{}, err
	}
	defer j.layout.Close()
	res := fetcher.Result{Image: fetcher.Descriptor{MediaType: convert.MediaType}}
	switch {
	case req.Access.SignatureFile != "":
		res.Signatures, err = j.givenSignature(ctx)
	case scheme == "aci":
		res.Signatures, err = j.discoveredSignature(ctx, strings.TrimPrefix(rest, "//"))
	}
	return res, err
}

func (f Fetcher) job(req fetcher.Request, progress *fetcher.Progress) (j *job, scheme, rest string, err error) {
	scheme, rest, ok := strings.Cut(req.Reference, ":")
	if !ok {
		return nil, "", "", fetcher.ReferenceInvalid("%q has no scheme", req.Reference)
	}
	layout, err := ocilayout.Open(req.LayoutDir)
	if err != nil {
		return nil, "", "", err
	}
	return &job{req: req, layout: layout, net: transfer.New(req.Access, f.Version), progress: progress}, scheme, rest, nil
}

// Convert makes an OCI image of a verified ACI.
func (Fetcher) Convert(ctx context.Context, req fetcher.ConvertRequest) (fetcher.Conversion, error) {
	return convert.Image(ctx, req)
}

// job is one Fetch.
type job struct {
	req      fetcher.Request
	layout   *ocilayout.Layout
	net      *transfer.Client
	progress *fetcher.Progress
}

// done checks the image that was delivered against what was asked for and ends the fetch. want is nil when the
// reference was a place and not a name.
func (j *job) done(ctx context.Context, image fetcher.Descriptor, sigs []fetcher.Descriptor, want *appc.Name) (fetcher.Result, error) {
	image.MediaType = convert.MediaType
	m, err := j.manifest(ctx, image.Digest)
	if err != nil {
		return fetcher.Result{}, err
	}
	res := fetcher.Result{Image: image, Signatures: sigs}
	if want != nil {
		if err := want.Match(m); err != nil {
			return fetcher.Result{}, fetcher.ImageInvalid("%s: %w", j.req.Reference, err)
		}
		res.Labels = want.Labels
	}
	if res.Canonical, err = appc.Canonical(m); err != nil {
		return fetcher.Result{}, fetcher.ImageInvalid("%s: %w", j.req.Reference, err)
	}
	return res, j.layout.Done(image)
}

func (j *job) manifest(ctx context.Context, digest string) (*appc.Manifest, error) {
	f, err := j.layout.OpenBlob(digest)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	defer f.Close()
	m, _, err := archive.Manifest(ctx, f)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fetcher.ImageInvalid("%s: not a valid appc image: %w", j.req.Reference, err)
	}
	return m, nil
}

// blob writes a small document.
func (j *job) blob(ctx context.Context, mediaType string, b []byte) (fetcher.Descriptor, error) {
	d, err := j.layout.Blob(ctx, fetcher.Descriptor{MediaType: mediaType}, strings.NewReader(string(b)), nil)
	d.MediaType = mediaType
	return d, err
}

// givenSignature is the file of --signature, if there is one.
func (j *job) givenSignature(ctx context.Context) ([]fetcher.Descriptor, error) {
	var b []byte
	var err error
	if f := j.req.Access.Signature; f != nil {
		// From its start: it is read once for Signatures and once for Fetch.
		b, err = io.ReadAll(io.NewSectionReader(f, 0, maxSignature))
	} else {
		b, err = readFile(j.req.Access.SignatureFile, maxSignature)
	}
	if err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	d, err := j.blob(ctx, SignatureType, b)
	return []fetcher.Descriptor{d}, err
}

// platformLabels are os and arch of the host, unless the reference names others.
func (j *job) platformLabels(n appc.Name) (map[string]string, error) {
	labels := map[string]string{}
	for k, v := range n.Labels {
		labels[k] = v
	}
	if labels["os"] == "" {
		labels["os"] = j.req.Platform.OS
	}
	if labels["arch"] == "" {
		p := j.req.Platform
		arch, err := appc.Arch(appc.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant})
		if err != nil {
			return nil, fetcher.NotFound("%s: %w", j.req.Reference, err)
		}
		labels["arch"] = arch
	}
	return labels, nil
}
