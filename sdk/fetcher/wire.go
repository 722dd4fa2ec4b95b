package fetcher

import (
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
)

func platform(p *fetcherv1.Platform) Platform {
	return Platform{OS: p.GetOs(), Architecture: p.GetArchitecture(), Variant: p.GetVariant()}
}

func access(a *fetcherv1.Access) Access {
	out := Access{
		AllowHTTP: a.GetAllowHttp(), InsecureTLS: a.GetInsecureTls(),
		SignatureFile: a.GetSignatureFile(), WantSignature: a.GetWantSignature(),
	}
	for _, c := range a.GetCredentials() {
		out.Credentials = append(out.Credentials, Credential{
			Host: c.GetHost(), Username: c.GetUsername(), Password: c.GetPassword(), Token: c.GetToken(),
		})
	}
	return out
}

func toWire(d Descriptor) *fetcherv1.Descriptor {
	return &fetcherv1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, Annotations: d.Annotations}
}

func allToWire(ds []Descriptor) []*fetcherv1.Descriptor {
	var out []*fetcherv1.Descriptor
	for _, d := range ds {
		out = append(out, toWire(d))
	}
	return out
}

func fromWire(d *fetcherv1.Descriptor) Descriptor {
	return Descriptor{
		MediaType: d.GetMediaType(), Digest: d.GetDigest(), Size: d.GetSize(), Annotations: d.GetAnnotations(),
	}
}

func done(r Result) *fetcherv1.FetchEvent {
	return &fetcherv1.FetchEvent{Event: &fetcherv1.FetchEvent_Done{Done: &fetcherv1.FetchDone{
		Image: toWire(r.Image), Canonical: r.Canonical, Signatures: allToWire(r.Signatures), Labels: r.Labels,
	}}}
}
