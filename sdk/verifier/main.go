package verifier

import (
	"context"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/manifest"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
	"github.com/rkt/rkt/v2/sdk/internal/serve"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Main is the plugin's main function. It does not return.
func Main(info Info, impl Verifier) {
	serve.Main(serve.Plugin{
		Manifest: Manifest(info, impl),
		Impl:     impl,
		Schema:   info.ConfigSchema,
		Register: func(r serve.Registrar, _ launch.FDs) {
			verifierv1.RegisterVerifierServiceServer(r, &server{impl: impl})
		},
	})
}

// Manifest is what Main prints for `manifest`. Capabilities come from what impl can do.
func Manifest(info Info, impl Verifier) manifest.Manifest {
	p := manifest.Provision{Service: manifest.ServiceVerifier, Protocols: []uint32{launch.Protocol}, MediaTypes: info.MediaTypes}
	if _, ok := impl.(SignerJudge); ok {
		p.Capabilities = append(p.Capabilities, "signers")
	}
	return manifest.Manifest{
		Schema: manifest.Schema, Name: info.Name, Version: info.Version, Vendor: info.Vendor, Exec: info.Exec,
		Programs: info.Programs, Provides: []manifest.Provision{p},
		Requires: serve.Requires(info.Requires), ConfigSchema: serve.SchemaName(info.ConfigSchema),
	}
}

// server translates between the wire and the interface.
type server struct {
	verifierv1.UnimplementedVerifierServiceServer
	impl Verifier
}

func (s *server) Verify(ctx context.Context, req *verifierv1.VerifyRequest) (*verifierv1.VerifyResponse, error) {
	r := Request{LayoutDir: req.GetLayoutDir(), Image: fromWire(req.GetImage()), Name: req.GetName()}
	for _, d := range req.GetSignatures() {
		r.Signatures = append(r.Signatures, fromWire(d))
	}
	for _, k := range req.GetKeys() {
		r.Keys = append(r.Keys, Key{Path: k.GetPath(), ID: k.GetId()})
	}
	judge := s.impl.Verify
	if req.GetSignersOnly() {
		impl, ok := s.impl.(SignerJudge)
		if !ok {
			return nil, plugin.Unsupported("this verifier cannot judge signers without their image")
		}
		judge = impl.Signers
	}
	j, err := judge(ctx, r)
	if err != nil {
		return nil, err
	}
	resp := &verifierv1.VerifyResponse{Verdict: verifierv1.VerifyResponse_Verdict(j.Verdict), Reason: j.Reason}
	for _, g := range j.Signers {
		resp.Signers = append(resp.Signers, &verifierv1.Signer{
			Fingerprint: g.Fingerprint, Identity: g.Identity, Trusted: g.Trusted,
		})
	}
	return resp, nil
}

func fromWire(d *fetcherv1.Descriptor) Descriptor {
	return Descriptor{
		MediaType: d.GetMediaType(), Digest: d.GetDigest(), Size: d.GetSize(), Annotations: d.GetAnnotations(),
	}
}
