package image

import (
	"context"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// maxNesting bounds indexes within indexes.
const maxNesting = 4

// Get returns the bytes of a document, verified against the descriptor's digest and size.
type Get func(ctx context.Context, d v1.Descriptor) ([]byte, error)

// Resolved is the manifest that a name stands for on one platform.
type Resolved struct {
	Descriptor v1.Descriptor
	Bytes      []byte
	Manifest   *v1.Manifest
}

// Resolve goes from a document down to the manifest for the platform. d describes b.
func Resolve(ctx context.Context, d v1.Descriptor, b []byte, want Platform, get Get) (*Resolved, error) {
	for range maxNesting {
		doc, err := Parse(d.MediaType, b)
		if err != nil {
			return nil, err
		}
		if doc.Manifest != nil {
			d.MediaType = doc.MediaType
			return &Resolved{Descriptor: d, Bytes: b, Manifest: doc.Manifest}, nil
		}
		if d, err = Choose(doc.Index, want); err != nil {
			return nil, err
		}
		if d.Size > MaxDocument {
			return nil, plugin.Errorf(reason.ImageInvalid, "check index: manifest %s has %d bytes, at most %d can be used", d.Digest, d.Size, MaxDocument)
		}
		if b, err = get(ctx, d); err != nil {
			return nil, err
		}
	}
	return nil, plugin.Errorf(reason.ImageInvalid, "resolve index: more than %d indexes within each other", maxNesting)
}
