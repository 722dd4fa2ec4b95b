package verifier

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/layout"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

const (
	aciType = "application/vnd.appc.image.aci"
	sigType = "application/pgp-signature"
)

// openPGP makes keys and signatures.
type openPGP struct {
	signer *openpgp.Entity
}

func config(ago time.Duration, change ...func(*packet.Config)) *packet.Config {
	c := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA512, Time: func() time.Time { return time.Now().Add(-ago) }}
	for _, f := range change {
		f(c)
	}
	return c
}

// newOpenPGP is an image that Alice has signed.
func newOpenPGP() (*signed, error) {
	alice, err := openpgp.NewEntity("Alice", "", "alice@example.com", config(time.Hour))
	if err != nil {
		return nil, err
	}
	bob, err := openpgp.NewEntity("Bob", "", "bob@example.com", config(time.Hour))
	if err != nil {
		return nil, err
	}
	c := &signed{
		mediaType: aciType, sigType: sigType, name: "example.com/app", openpgp: &openPGP{alice},
		image: bytes.Repeat([]byte("an image\r\n"), 5_000),
	}
	sig, err := sign(alice, bytes.NewReader(c.image), config(time.Minute))
	if err != nil {
		return nil, err
	}
	c.sigs = [][]byte{sig}
	a, err := public(alice)
	if err != nil {
		return nil, err
	}
	b, err := public(bob)
	c.keys, c.others = []file{a}, []file{b}
	return c, err
}

func public(e *openpgp.Entity) (file, error) {
	var b bytes.Buffer
	err := e.Serialize(&b)
	return file{hex.EncodeToString(e.PrimaryKey.Fingerprint), b.Bytes()}, err
}

func sign(e *openpgp.Entity, r io.Reader, c *packet.Config) ([]byte, error) {
	var b bytes.Buffer
	err := openpgp.DetachSign(&b, []*openpgp.Entity{e}, r, c)
	return b.Bytes(), err
}

// expiredKey replaces key and signature by those of somebody whose key was good when she signed, and is no more.
func (o *openPGP) expiredKey(c *signed) error {
	const born = 48 * time.Hour
	old, err := openpgp.NewEntity("Olga", "", "olga@example.com", config(born, func(c *packet.Config) { c.KeyLifetimeSecs = 3600 }))
	if err != nil {
		return err
	}
	sig, err := sign(old, bytes.NewReader(c.image), config(born-30*time.Minute))
	if err != nil {
		return err
	}
	key, err := public(old)
	c.sigs, c.keys = [][]byte{sig}, []file{key}
	return err
}

// expiredSignature replaces the signature by one that was good for ten minutes.
func (o *openPGP) expiredSignature(c *signed) error {
	sig, err := sign(o.signer, bytes.NewReader(c.image), config(50*time.Minute, func(c *packet.Config) { c.SigLifetimeSecs = 600 }))
	c.sigs = [][]byte{sig}
	return err
}

// addBad adds a signature by the same key over other bytes.
func (o *openPGP) addBad(c *signed) error {
	sig, err := sign(o.signer, strings.NewReader("other bytes"), config(time.Minute))
	c.sigs = append(c.sigs, sig)
	return err
}

// large makes a question about a signed image of so many zeros, which are no file's blocks.
func (o *openPGP) large(e *suite.Env, c *signed, size int64) (*verifierv1.VerifyRequest, error) {
	c.image = []byte{0}
	req, err := c.request(e)
	if err != nil {
		return nil, err
	}
	zeros := func() io.Reader { return io.LimitReader(zero{}, size) }
	h := sha256.New()
	if _, err := io.Copy(h, zeros()); err != nil {
		return nil, err
	}
	req.Image = &fetcherv1.Descriptor{MediaType: aciType, Digest: "sha256:" + hex.EncodeToString(h.Sum(nil)), Size: size}
	path := filepath.Join(req.GetLayoutDir(), layout.BlobName(req.GetImage().GetDigest()))
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return nil, err
	}
	if err := os.Truncate(path, size); err != nil {
		return nil, err
	}
	sig, err := sign(o.signer, zeros(), config(time.Minute))
	if err != nil {
		return nil, err
	}
	d, err := blob(req.GetLayoutDir(), sigType, sig, sig)
	req.Signatures = []*fetcherv1.Descriptor{d}
	return req, err
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }
