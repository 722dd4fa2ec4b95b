package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/rkt/rkt/v2/core/plugin"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

// resolveDeadline and convertDeadline are fetcher.proto's; the deadline of Fetch is the caller's.
const (
	resolveDeadline = 60 * time.Second
	convertDeadline = 10 * time.Minute
)

// Request is one image reference with what the caller allows.
type Request struct {
	Reference string // with its scheme
	LayoutDir string
	Access    *fetcherv1.Access
	Present   []string // digests of blobs that the store has
	Progress  func(phase, item string, done, total int64)
}

// Platform is the one that images are fetched for: this machine's.
func Platform() *fetcherv1.Platform {
	return &fetcherv1.Platform{Os: "linux", Architecture: runtime.GOARCH}
}

// Resolve asks what a reference means now, without moving blobs.
func Resolve(ctx context.Context, p *plugin.Process, req Request) (*fetcherv1.ResolveResponse, error) {
	return plugin.Call(ctx, p, "resolve "+req.Reference, resolveDeadline, func(ctx context.Context) (*fetcherv1.ResolveResponse, error) {
		return p.Fetcher().Resolve(ctx, &fetcherv1.ResolveRequest{Reference: req.Reference, Platform: Platform(), Access: req.Access})
	})
}

// Image fills req.LayoutDir.
func Image(ctx context.Context, p *plugin.Process, req Request) (*fetcherv1.FetchDone, error) {
	done, err := receive(ctx, p, req)
	if err == nil && done.GetImage().GetDigest() == "" {
		err = fmt.Errorf("fetch %s: the fetcher ended without naming an image", req.Reference)
	}
	return done, err
}

// Signatures fills req.LayoutDir with what Image would, less the image: done has its media type alone. For fetchers
// with capability "signatures".
func Signatures(ctx context.Context, p *plugin.Process, req Request) (*fetcherv1.FetchDone, error) {
	req.Access = proto.CloneOf(req.Access)
	req.Access.SignaturesOnly = true
	return receive(ctx, p, req)
}

func receive(ctx context.Context, p *plugin.Process, req Request) (*fetcherv1.FetchDone, error) {
	var broken error // the stream's own rules, no answer of the plugin's
	done, err := plugin.Call(ctx, p, "fetch "+req.Reference, 0, func(ctx context.Context) (*fetcherv1.FetchDone, error) {
		stream, err := p.Fetcher().Fetch(ctx, &fetcherv1.FetchRequest{
			Reference: req.Reference, Platform: Platform(), Access: req.Access,
			LayoutDir: req.LayoutDir, PresentDigests: req.Present,
		})
		if err != nil {
			return nil, err
		}
		var done *fetcherv1.FetchDone
		for {
			event, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return done, nil
			}
			if err != nil {
				return nil, err
			}
			if done != nil {
				broken = fmt.Errorf("fetch %s: the fetcher went on after it said that it was done", req.Reference)
				return nil, nil
			}
			if pr := event.GetProgress(); pr != nil && req.Progress != nil {
				req.Progress(pr.GetPhase(), pr.GetItem(), pr.GetDone(), pr.GetTotal())
			}
			done = event.GetDone()
		}
	})
	switch {
	case err != nil:
		return nil, err
	case broken != nil:
		return nil, broken
	case done == nil:
		return nil, fmt.Errorf("fetch %s: the fetcher ended without saying what it fetched", req.Reference)
	}
	return done, nil
}

// Convert turns a fetched image of a foreign media type into an OCI layout in outDir. p is a fresh process
// without network.
func Convert(ctx context.Context, p *plugin.Process, name, layoutDir, outDir string, image *fetcherv1.Descriptor) (*fetcherv1.ConvertResponse, error) {
	return plugin.Call(ctx, p, "convert "+name, convertDeadline, func(ctx context.Context) (*fetcherv1.ConvertResponse, error) {
		return p.Fetcher().Convert(ctx, &fetcherv1.ConvertRequest{
			LayoutDir: layoutDir, Image: image, OutLayoutDir: outDir, Platform: Platform(),
		})
	})
}

// IsOCI says whether an image of the media type can go into the store as it is; any other one is converted.
func IsOCI(mediaType string) bool {
	switch mediaType {
	case "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json":
		return true
	}
	return false
}
