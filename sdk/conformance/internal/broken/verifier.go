package broken

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/rkt/rkt/v2/proto/reason"
	fetcherv1 "github.com/rkt/rkt/v2/proto/rkt/fetcher/v1"
	verifierv1 "github.com/rkt/rkt/v2/proto/rkt/verifier/v1"
)

const aciType = "application/vnd.appc.image.aci"

// verifier judges OpenPGP signatures.
type verifier struct {
	verifierv1.UnimplementedVerifierServiceServer
	*plugin
}

func (s *verifier) verdict(v verifierv1.VerifyResponse_Verdict, why string) (*verifierv1.VerifyResponse, error) {
	if s.is("gives-no-word-why") {
		why = ""
	}
	if s.is("accepts-everything") {
		v = verifierv1.VerifyResponse_VERDICT_ACCEPT
	}
	return &verifierv1.VerifyResponse{Verdict: v, Reason: why}, nil
}

func (s *verifier) Verify(_ context.Context, req *verifierv1.VerifyRequest) (*verifierv1.VerifyResponse, error) {
	const reject, abstain = verifierv1.VerifyResponse_VERDICT_REJECT, verifierv1.VerifyResponse_VERDICT_ABSTAIN
	switch {
	case s.is("writes-its-verdict"):
		if err := os.WriteFile(stray(), nil, 0o600); err != nil {
			return nil, fail(reason.Internal, "%v", err)
		}
	case req.GetImage().GetMediaType() != aciType && !s.is("judges-any-type"):
		return s.verdict(abstain, "not my kind of image")
	case len(req.GetSignatures()) == 0 && s.is("needs-no-signature"):
		return s.verdict(verifierv1.VerifyResponse_VERDICT_ACCEPT, "")
	case len(req.GetSignatures()) == 0:
		return s.verdict(reject, "no signature")
	case len(req.GetKeys()) == 0 && (s.is("needs-no-key") || req.GetSignersOnly() && s.is("foresees-anything")):
		return s.verdict(verifierv1.VerifyResponse_VERDICT_ACCEPT, "")
	case s.is("rejects-everything"):
		return s.verdict(reject, "I do not like it")
	}
	ring, err := s.keys(req.GetKeys())
	if err != nil {
		return s.unread(err)
	}
	if req.GetSignersOnly() && !s.is("needs-the-image") {
		return s.foresee(req, ring)
	}
	resp := &verifierv1.VerifyResponse{Verdict: verifierv1.VerifyResponse_VERDICT_ACCEPT}
	for _, d := range req.GetSignatures() {
		sig, err := os.ReadFile(s.path(req.GetLayoutDir(), d))
		if err != nil {
			return s.unread(err)
		}
		signer, err := s.judge(req, ring, sig)
		if err != nil && s.is("one-good-is-enough") && len(resp.GetSigners()) > 0 {
			continue
		}
		if err != nil && !bytes.HasPrefix(sig, []byte{0xc2}) {
			return s.unread(err)
		}
		if err != nil {
			return s.verdict(reject, err.Error())
		}
		resp.Signers = append(resp.Signers, &verifierv1.Signer{Fingerprint: signer, Trusted: true})
	}
	if s.is("changes-its-mind") {
		resp.Reason = s.chance()
	}
	return resp, nil
}

// unread is the answer about what cannot be read.
func (s *verifier) unread(err error) (*verifierv1.VerifyResponse, error) {
	if s.is("accepts-everything") {
		return s.verdict(verifierv1.VerifyResponse_VERDICT_ACCEPT, "")
	}
	if s.is("has-one-error") {
		return nil, fail(reason.Internal, "%v", err)
	}
	return nil, fail(reason.SignatureInvalid, "%v", err)
}

func (s *verifier) path(dir string, d *fetcherv1.Descriptor) string {
	hexa, _ := strings.CutPrefix(d.GetDigest(), "sha256:")
	if _, err := hex.DecodeString(hexa); err != nil && !s.is("accepts-everything") {
		return filepath.Join(dir, "none")
	}
	return filepath.Join(dir, "blobs/sha256", hexa)
}

func (s *verifier) keys(ks []*verifierv1.Key) (openpgp.EntityList, error) {
	var ring openpgp.EntityList
	for _, k := range ks {
		b, err := os.ReadFile(k.GetPath())
		if err != nil {
			return nil, err
		}
		es, err := openpgp.ReadKeyRing(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		if len(es) == 0 {
			return nil, fmt.Errorf("%s holds no key", k.GetPath())
		}
		ring = append(ring, es...)
	}
	return ring, nil
}

// judge checks one signature and returns the signer's fingerprint.
func (s *verifier) judge(req *verifierv1.VerifyRequest, ring openpgp.EntityList, sig []byte) (string, error) {
	f, err := os.Open(s.path(req.GetLayoutDir(), req.GetImage()))
	if err != nil {
		return "", err
	}
	defer f.Close()
	var r io.Reader = f
	if s.is("keeps-images-in-memory") {
		b, _ := io.ReadAll(f)
		r = bytes.NewReader(b)
	}
	h := sha256.New()
	r = io.TeeReader(r, h)
	config := &packet.Config{}
	if s.is("knows-no-time") {
		p, err := packet.NewReader(bytes.NewReader(sig)).Next()
		if made, ok := p.(*packet.Signature); ok && err == nil {
			config.Time = func() time.Time { return made.CreationTime }
		}
	}
	_, who, err := openpgp.VerifyDetachedSignature(ring, r, bytes.NewReader(sig), config)
	if s.is("takes-any-key") && who == nil && err != nil && strings.Contains(err.Error(), "unknown entity") {
		return "00", nil
	}
	if s.is("takes-any-bytes") && err != nil && strings.Contains(err.Error(), "signature") {
		return "00", nil
	}
	if err != nil {
		return "", err
	}
	if _, err := who.VerifyPrimaryKey(time.Now(), nil); err != nil && !s.is("knows-no-time") {
		return "", err // a good signature of a key that is good no more
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != req.GetImage().GetDigest() && !s.is("believes-names") {
		return "", fmt.Errorf("the bytes have the digest %s", got)
	}
	return hex.EncodeToString(who.PrimaryKey.Fingerprint), nil
}

// foresee judges by who has signed, of an image that is not there.
func (s *verifier) foresee(req *verifierv1.VerifyRequest, ring openpgp.EntityList) (*verifierv1.VerifyResponse, error) {
	resp := &verifierv1.VerifyResponse{Verdict: verifierv1.VerifyResponse_VERDICT_ACCEPT}
	for _, d := range req.GetSignatures() {
		sig, err := os.ReadFile(s.path(req.GetLayoutDir(), d))
		if err != nil {
			return s.unread(err)
		}
		p, err := packet.NewReader(bytes.NewReader(sig)).Next()
		made, ok := p.(*packet.Signature)
		if err != nil || !ok || made.IssuerKeyId == nil {
			return s.unread(fmt.Errorf("no signature: %w", err))
		}
		known := ring.KeysById(*made.IssuerKeyId)
		switch {
		case len(known) > 0:
			resp.Signers = append(resp.Signers, &verifierv1.Signer{
				Fingerprint: hex.EncodeToString(known[0].Entity.PrimaryKey.Fingerprint), Trusted: true,
			})
		case !s.is("foresees-anything"):
			return s.verdict(verifierv1.VerifyResponse_VERDICT_REJECT, "signed by somebody else")
		}
	}
	return resp, nil
}
