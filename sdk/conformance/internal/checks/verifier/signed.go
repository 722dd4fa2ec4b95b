package verifier

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// file is a public key.
type file struct {
	id    string
	bytes []byte
}

// signed is an image with what belongs to it. Checks change it before it is asked about.
type signed struct {
	mediaType, sigType, name string

	image        []byte
	sigs         [][]byte
	keys, others []file
	lie          bool // the descriptor's digest is not the bytes'

	openpgp *openPGP // nil: not the kit's own
}

// images are the kit's, when the plugin judges what the kit can make, and the caller's.
func images(e *suite.Env) ([]*signed, error) {
	var out []*signed
	if slices.Contains(e.Provision().MediaTypes, aciType) {
		c, err := newOpenPGP()
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	for _, s := range e.Plugin.Signed {
		c, err := read(s)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, suite.Skip("no signed image was given, and of the types that the plugin judges (%v) the kit can make none", e.Provision().MediaTypes)
	}
	return out, nil
}

func read(s suite.Signed) (*signed, error) {
	c := &signed{mediaType: s.MediaType, sigType: s.SigType, name: s.Name}
	var err error
	if c.image, err = os.ReadFile(s.Image); err != nil {
		return nil, err
	}
	for _, name := range s.Signatures {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		c.sigs = append(c.sigs, b)
	}
	for _, l := range []struct {
		names []string
		to    *[]file
	}{{s.Keys, &c.keys}, {s.OtherKeys, &c.others}} {
		for _, name := range l.names {
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			*l.to = append(*l.to, file{filepath.Base(name), b})
		}
	}
	if len(c.image) == 0 || len(c.sigs) == 0 || len(c.keys) == 0 {
		return nil, fmt.Errorf("signed image %s: want image, signatures and keys", s.Image)
	}
	return c, nil
}

// request writes the files and makes the question.
func (c *signed) request(e *suite.Env) (*verifierv1.VerifyRequest, error) {
	dir, err := e.Dir()
	if err != nil {
		return nil, err
	}
	keys, err := e.Dir()
	if err != nil {
		return nil, err
	}
	req := &verifierv1.VerifyRequest{LayoutDir: dir, Name: c.name}
	asked := c.image
	if c.lie {
		asked = append(slices.Clone(c.image), "other bytes"...)
	}
	if req.Image, err = blob(dir, c.mediaType, asked, c.image); err != nil {
		return nil, err
	}
	for _, s := range c.sigs {
		d, err := blob(dir, c.sigType, s, s)
		if err != nil {
			return nil, err
		}
		req.Signatures = append(req.Signatures, d)
	}
	for i, k := range c.keys {
		path := filepath.Join(keys, strconv.Itoa(i))
		if err := os.WriteFile(path, k.bytes, 0o644); err != nil {
			return nil, err
		}
		req.Keys = append(req.Keys, &verifierv1.Key{Path: path, Id: k.id})
	}
	return req, nil
}

// blob writes bytes under the digest of asked.
func blob(dir, mediaType string, asked, bytes []byte) (*fetcherv1.Descriptor, error) {
	sum := sha256.Sum256(asked)
	d := &fetcherv1.Descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(asked))}
	path := filepath.Join(dir, layout.BlobName(d.GetDigest()))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return d, os.WriteFile(path, bytes, 0o644)
}

// names is every file below dir, but not below except.
func names(dir, except string) []string {
	var out []string
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path == except {
			return fs.SkipDir
		}
		if err == nil {
			out = append(out, path)
		}
		return nil
	})
	return out
}
