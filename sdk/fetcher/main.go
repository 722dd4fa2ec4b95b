package fetcher

import (
	"context"
	"fmt"
	"os"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	"github.com/rkt/rkt/v2/sdk/internal/serve"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Main is the plugin's main function. It does not return.
func Main(info Info, impl Fetcher) {
	serve.Main(serve.Plugin{
		Manifest: Manifest(info, impl),
		Impl:     impl,
		Schema:   info.ConfigSchema,
		Register: func(r serve.Registrar, fds launch.FDs) {
			fetcherv1.RegisterFetcherServiceServer(r, &server{
				impl: impl, source: donated(fds, launch.FDSource), signature: donated(fds, launch.FDSignature),
			})
		},
	})
}

// Manifest is what Main prints for `manifest`. Capabilities come from what impl can do.
func Manifest(info Info, impl Fetcher) manifest.Manifest {
	p := manifest.Provision{
		Service: manifest.ServiceFetcher, Protocols: []uint32{launch.Protocol},
		Schemes: info.Schemes, MediaTypes: info.MediaTypes,
	}
	if _, ok := impl.(Resolver); ok {
		p.Capabilities = append(p.Capabilities, "resolve")
	}
	if _, ok := impl.(Signer); ok {
		p.Capabilities = append(p.Capabilities, "signatures")
	}
	if _, ok := impl.(Converter); ok {
		p.Capabilities = append(p.Capabilities, "convert")
	} else {
		p.MediaTypes = nil // nothing to offer them to
	}
	return manifest.Manifest{
		Schema: manifest.Schema, Name: info.Name, Version: info.Version, Vendor: info.Vendor, Exec: info.Exec,
		Programs: info.Programs, Provides: []manifest.Provision{p},
		Requires: serve.Requires(info.Requires), ConfigSchema: serve.SchemaName(info.ConfigSchema),
	}
}

// server translates between the wire and the interface.
type server struct {
	fetcherv1.UnimplementedFetcherServiceServer
	impl Fetcher

	source, signature *os.File // nil when not donated
}

func donated(fds launch.FDs, name string) *os.File {
	fd, ok := fds[name]
	if !ok {
		return nil
	}
	return os.NewFile(uintptr(fd), name)
}

func (s *server) Fetch(req *fetcherv1.FetchRequest, stream fetcherv1.FetcherService_FetchServer) error {
	present := make(map[string]bool, len(req.GetPresentDigests()))
	for _, d := range req.GetPresentDigests() {
		present[d] = true
	}
	progress := NewProgress(func(st Step) error {
		return stream.Send(&fetcherv1.FetchEvent{Event: &fetcherv1.FetchEvent_Progress{Progress: &fetcherv1.Progress{
			Phase: st.Phase, Item: st.Item, Done: st.Done, Total: st.Total,
		}}})
	})
	r := Request{
		Reference: req.GetReference(), Platform: platform(req.GetPlatform()), Access: access(req.GetAccess()),
		LayoutDir: req.GetLayoutDir(), Source: s.source, Present: present,
	}
	r.Access.Signature = s.signature
	if req.GetAccess().GetSignaturesOnly() {
		return s.signatures(r, stream)
	}
	res, err := s.impl.Fetch(stream.Context(), r, progress)
	if err != nil {
		return reasoned(err)
	}
	progress.mu.Lock() // a goroutine that still reports must not send beside or after the last event
	defer progress.mu.Unlock()
	progress.send = func(Step) error { return nil }
	return stream.Send(done(res))
}

func (s *server) signatures(req Request, stream fetcherv1.FetcherService_FetchServer) error {
	impl, ok := s.impl.(Signer)
	if !ok {
		return plugin.Unsupported("this fetcher cannot deliver signatures without their image")
	}
	res, err := impl.Signatures(stream.Context(), req)
	if err != nil {
		return reasoned(err)
	}
	return stream.Send(done(res))
}

func (s *server) Resolve(ctx context.Context, req *fetcherv1.ResolveRequest) (*fetcherv1.ResolveResponse, error) {
	r, ok := s.impl.(Resolver)
	if !ok {
		return nil, plugin.Unsupported("this fetcher cannot resolve")
	}
	res, err := r.Resolve(ctx, ResolveRequest{
		Reference: req.GetReference(), Platform: platform(req.GetPlatform()), Access: access(req.GetAccess()),
	})
	if err != nil {
		return nil, err
	}
	return &fetcherv1.ResolveResponse{
		Descriptor_: toWire(res.Image), Canonical: res.Canonical, Blobs: allToWire(res.Blobs),
	}, nil
}

func (s *server) Convert(ctx context.Context, req *fetcherv1.ConvertRequest) (*fetcherv1.ConvertResponse, error) {
	c, ok := s.impl.(Converter)
	if !ok {
		return nil, plugin.Unsupported("this fetcher cannot convert")
	}
	res, err := c.Convert(ctx, ConvertRequest{
		LayoutDir: req.GetLayoutDir(), Image: fromWire(req.GetImage()), OutLayoutDir: req.GetOutLayoutDir(),
		Platform: platform(req.GetPlatform()),
	})
	if err != nil {
		return nil, fmt.Errorf("convert %s: %w", req.GetImage().GetDigest(), reasoned(err))
	}
	resp := &fetcherv1.ConvertResponse{Image: toWire(res.Image), Name: res.Name, Version: res.Version}
	if res.App != nil {
		resp.App = toWire(*res.App)
	}
	return resp, nil
}
