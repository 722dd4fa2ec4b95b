package images

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/appc"
	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/discovery"
	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/transfer"
	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/fetcher"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// url delivers the ACI at a URL; its signature is at the same URL with .asc behind the path.
func (j *job) url(ctx context.Context, ref string) (fetcher.Result, error) {
	u, err := url.Parse(ref)
	if err != nil {
		return fetcher.Result{}, fetcher.ReferenceInvalid("%w", err)
	}
	if !strings.HasSuffix(u.Path, ".aci") {
		return fetcher.Result{}, fetcher.ReferenceInvalid("%s: the path of an image's URL ends in .aci", transfer.Redact(u))
	}
	sig := *u
	sig.Path += ".asc"
	if sig.RawPath != "" {
		sig.RawPath += ".asc"
	}
	image, sigs, err := j.endpoint(ctx, discovery.Endpoint{Image: u.String(), Signature: sig.String()})
	if err != nil {
		return fetcher.Result{}, err
	}
	return j.done(ctx, image, sigs, nil)
}

// discovered delivers an ACI by its name: from the first endpoint that has it, and its signature, and holds it
// to the name. The error names every endpoint and what was wrong there.
func (j *job) discovered(ctx context.Context, name string) (fetcher.Result, error) {
	want, eps, err := j.discover(ctx, name)
	if err != nil {
		return fetcher.Result{}, err
	}
	var failed []error
	for _, e := range eps {
		image, sigs, err := j.endpoint(ctx, e)
		if err == nil {
			var res fetcher.Result
			if res, err = j.done(ctx, image, sigs, &want); err == nil {
				return res, nil
			}
		}
		if ctx.Err() != nil {
			return fetcher.Result{}, context.Cause(ctx)
		}
		failed = append(failed, err)
	}
	if len(failed) == 1 {
		return fetcher.Result{}, failed[0]
	}
	return fetcher.Result{}, plugin.Errorf(firstReason(failed), "fetch %s: none of its %d endpoints delivers it:\n%w", want.Name, len(eps), errors.Join(failed...))
}

// discover finds the places that have the image of a name. The name comes back with the labels of this machine.
func (j *job) discover(ctx context.Context, name string) (appc.Name, []discovery.Endpoint, error) {
	n, err := appc.ParseName(name)
	if err != nil {
		return n, nil, fetcher.ReferenceInvalid("%w", err)
	}
	if n.Labels, err = j.platformLabels(n); err != nil {
		return n, nil, err
	}
	eps, err := discovery.Images(ctx, j.net, n, n.Labels, j.req.Access.AllowHTTP)
	return n, eps, err
}

// discoveredSignature is that of the first endpoint that has one; nothing when a server holds it back. What is wrong
// with all of them is for Fetch to say, which tries the images, too.
func (j *job) discoveredSignature(ctx context.Context, name string) ([]fetcher.Descriptor, error) {
	_, eps, err := j.discover(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, e := range eps {
		sigs, deferred, err := j.signature(ctx, e.Signature, true)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil || deferred {
			return sigs, nil
		}
	}
	return nil, nil
}

// firstReason is the first one that says more than that nothing was there.
func firstReason(errs []error) reason.Reason {
	for _, err := range errs {
		var e *plugin.Error
		if errors.As(err, &e) && e.Reason != reason.ImageNotFound {
			return e.Reason
		}
	}
	return reason.ImageNotFound
}

// endpoint fetches the signature and then the image. A server that answers 202 for the signature makes it when
// the image is asked for, so it is asked for once more afterwards.
func (j *job) endpoint(ctx context.Context, e discovery.Endpoint) (image fetcher.Descriptor, sigs []fetcher.Descriptor, err error) {
	deferred := false
	switch {
	case j.req.Access.SignatureFile != "":
		sigs, err = j.givenSignature(ctx)
	case j.req.Access.WantSignature:
		sigs, deferred, err = j.signature(ctx, e.Signature, true)
	}
	if err != nil {
		return image, nil, err
	}
	item := e.Image
	if u, err := url.Parse(e.Image); err == nil {
		item = path.Base(u.Path)
	}
	image, err = j.net.Blob(ctx, e.Image, j.req.LayoutDir, j.progress.Item(fetcher.PhaseDownload, item))
	if err != nil {
		return image, nil, err
	}
	if deferred {
		sigs, _, err = j.signature(ctx, e.Signature, false)
	}
	return image, sigs, err
}

func (j *job) signature(ctx context.Context, u string, later bool) (sigs []fetcher.Descriptor, deferred bool, err error) {
	b, status, err := j.net.Get(ctx, u, maxSignature, later)
	var e *plugin.Error
	if errors.As(err, &e) && e.Reason == reason.ImageNotFound {
		return nil, false, unsigned("the image has no signature (%w); name one with --signature=FILE", err)
	}
	if err != nil {
		return nil, false, err
	}
	if status == http.StatusAccepted {
		return nil, true, nil
	}
	d, err := j.blob(ctx, SignatureType, b)
	return []fetcher.Descriptor{d}, false, err
}
