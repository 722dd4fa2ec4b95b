package judge

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
	"unicode"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// Request is one question.
type Request struct {
	Name       string    // what the image is called, for the reason
	Image      io.Reader // the bytes that were signed; read once
	Signatures [][]byte
	Keys       []KeyFile
	Now        time.Time // zero: the clock
	// SignersOnly leaves the image alone, which is not there yet: accepted is what would be over the right bytes.
	SignersOnly bool
}

// Verdict is the answer.
type Verdict struct {
	Accept  bool
	Reason  string // why not
	Signers []Signer
}

// Signer is the maker of one signature.
type Signer struct {
	Fingerprint string // the primary key's when it was given, else what the signature names
	Identity    string
	Trusted     bool // the key was given and the signature is good
}

// Judge reads the image to its end and decides. An error means that a key or signature file cannot be read, or
// that the image cannot; nothing is accepted then.
func Judge(ctx context.Context, req Request) (Verdict, error) {
	var all []*packet.Signature
	unsupported := 0
	for _, b := range req.Signatures {
		sigs, n, err := parseSignatures(b)
		if err != nil {
			return Verdict{}, err
		}
		all, unsupported = append(all, sigs...), unsupported+n
	}
	if len(all)+unsupported > maxSignatures {
		return Verdict{}, fmt.Errorf("parse signature: %d signatures are more than %d", len(all)+unsupported, maxSignatures)
	}
	keys, err := loadRing(req.Keys)
	if err != nil {
		return Verdict{}, err
	}
	c := &court{keys: keys, now: req.Now, cfg: strict(req.Now)}
	if c.now.IsZero() {
		c.now = time.Now()
	}
	if req.SignersOnly {
		return sum(req, c.foresee(all), unsupported), nil
	}
	results, err := c.check(ctx, req.Image, all)
	if err != nil {
		return Verdict{}, err
	}
	return sum(req, results, unsupported), nil
}

// strict is the library's configuration: its own refusals (DSA, short RSA, secp256k1) and no weak hash anywhere.
func strict(now time.Time) *packet.Config {
	weak := map[crypto.Hash]bool{crypto.MD5: true, crypto.SHA1: true, crypto.RIPEMD160: true}
	cfg := &packet.Config{RejectHashAlgorithms: weak, RejectMessageHashAlgorithms: weak}
	if !now.IsZero() {
		cfg.Time = func() time.Time { return now }
	}
	return cfg
}

type result struct {
	signer Signer
	known  bool  // by a given key
	bad    error // why it does not count; for !known nil
}

type court struct {
	keys ring
	now  time.Time
	cfg  *packet.Config
}

// check judges all signatures in one pass over the image.
func (c *court) check(ctx context.Context, image io.Reader, sigs []*packet.Signature) ([]result, error) {
	results := make([]result, len(sigs))
	keys := make([]openpgp.Key, len(sigs))
	hashes := make([]hash.Hash, len(sigs))
	sinks := []io.Writer{io.Discard}
	for i, s := range sigs {
		results[i], keys[i] = c.identify(s)
		if !results[i].known || results[i].bad != nil {
			continue
		}
		h, err := s.PrepareVerify()
		if err != nil {
			results[i].bad = err
			continue
		}
		hashes[i] = h
		sinks = append(sinks, h)
	}
	if len(sinks) == 1 {
		return results, nil // nothing to compare the image with
	}
	if _, err := io.CopyBuffer(io.MultiWriter(sinks...), ctxReader{ctx, image}, make([]byte, 1<<17)); err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	for i, s := range sigs {
		if hashes[i] == nil {
			continue
		}
		if err := keys[i].PublicKey.VerifySignature(hashes[i], s); err != nil {
			results[i].bad = errors.New("it does not match the image's bytes")
		}
		results[i].signer.Trusted = results[i].bad == nil
	}
	return results, nil
}

// foresee is check without the image: each signature by a given key that may sign counts as good.
func (c *court) foresee(sigs []*packet.Signature) []result {
	results := make([]result, len(sigs))
	for i, s := range sigs {
		results[i], _ = c.identify(s)
		results[i].signer.Trusted = results[i].known && results[i].bad == nil
	}
	return results
}

// identify finds the given key that s names, and refuses what needs no look at the image. A key that is
// returned may make signatures today.
func (c *court) identify(s *packet.Signature) (result, openpgp.Key) {
	r := result{signer: Signer{Fingerprint: issuer(s)}}
	var e *openpgp.Entity
	if s.IssuerKeyId != nil {
		if found := c.keys.EntitiesById(*s.IssuerKeyId); len(found) > 0 {
			e = found[0]
		}
	}
	if e == nil {
		if s.SignerUserId != nil {
			r.signer.Identity = "unverified: " + printable(*s.SignerUserId) // nobody can check this claim
		}
		return r, openpgp.Key{}
	}
	r.known = true
	r.signer.Fingerprint = fingerprint(e)
	r.signer.Identity = identity(e)
	if r.bad = c.admissible(s); r.bad != nil {
		return r, openpgp.Key{}
	}
	key, err := c.signingKey(e, s)
	r.bad = err
	return r, key
}

// admissible looks at the signature alone.
func (c *court) admissible(s *packet.Signature) error {
	switch {
	case s.SigType != packet.SigTypeBinary:
		return errors.New("it is not over the exact bytes (its type is not binary)")
	case weakHash(s.Hash):
		return fmt.Errorf("its hash %s is too weak", s.Hash)
	case s.CreationTime.After(c.now):
		return fmt.Errorf("it is dated %s, in the future", s.CreationTime.UTC().Format(time.RFC3339))
	case s.SigExpired(c.now):
		return errors.New("it has expired")
	}
	for _, n := range s.Notations {
		if n.IsCritical {
			return fmt.Errorf("it depends on the notation %q, which this verifier does not know", printable(n.Name))
		}
	}
	return nil
}

// signingKey is the key or subkey of e that s names, if it may sign now: not expired, not revoked, made for
// signing, held together by strong hashes. Validity at the date of the signature is not asked for, as whoever
// has a stolen key chooses that date.
func (c *court) signingKey(e *openpgp.Entity, s *packet.Signature) (openpgp.Key, error) {
	if _, err := e.VerifyPrimaryKey(c.now, c.cfg); err != nil {
		return openpgp.Key{}, explain(err, e)
	}
	key, ok := e.SigningKeyById(c.now, *s.IssuerKeyId, c.cfg)
	switch {
	case !ok:
		return openpgp.Key{}, fmt.Errorf("its key %016x is expired, revoked, too weak or not for signing", *s.IssuerKeyId)
	case len(s.IssuerFingerprint) > 0 && !bytes.Equal(s.IssuerFingerprint, key.PublicKey.Fingerprint):
		return openpgp.Key{}, errors.New("it names a key of the same ID and another fingerprint")
	case key.SelfSignature.EmbeddedSignature != nil && weakHash(key.SelfSignature.EmbeddedSignature.Hash):
		return openpgp.Key{}, errors.New("its subkey is bound by a weak hash (MD5 or SHA-1)")
	case s.CreationTime.Before(key.PublicKey.CreationTime):
		return openpgp.Key{}, errors.New("it is dated before its key was made")
	}
	return key, nil
}

// sum applies the rules to the single results.
func sum(req Request, results []result, unsupported int) Verdict {
	var v Verdict
	var good int
	var bad, foreign []string
	for _, r := range results {
		v.Signers = append(v.Signers, r.signer)
		switch {
		case !r.known:
			foreign = append(foreign, r.signer.Fingerprint)
		case r.bad != nil:
			bad = append(bad, fmt.Sprintf("the signature by %s (%s) is bad: %v", r.signer.Fingerprint, r.signer.Identity, r.bad))
		default:
			good++
		}
	}
	switch {
	case len(bad) > 0:
		v.Reason = strings.Join(bad, "; ")
	case good > 0:
		v.Accept = true
	case len(foreign) > 0 && len(req.Keys) == 0:
		v.Reason = "signed by " + strings.Join(foreign, " and ") // that there are no keys is for the caller to say
	case len(foreign) > 0:
		v.Reason = fmt.Sprintf("signed by %s, which is not among the %d keys trusted for %s", strings.Join(foreign, " and "), len(req.Keys), req.Name)
	case unsupported > 0:
		v.Reason = fmt.Sprintf("its %d signatures are of a kind that this verifier does not know", unsupported)
	default:
		v.Reason = "no signature was delivered"
	}
	return v
}

// explain turns the library's error about a key into what a person can act on.
func explain(err error, e *openpgp.Entity) error {
	switch {
	case errors.Is(err, pgperrors.ErrKeyExpired):
		return errors.New("the key has expired; if its owner has extended it, add the new copy with `rkt trust`")
	case errors.Is(err, pgperrors.ErrKeyRevoked):
		return errors.New("the key is revoked")
	case selfSignedWeakly(e):
		return errors.New("the key holds together by a weak hash (MD5 or SHA-1) alone; its owner can renew it with `gpg --quick-set-expire`")
	}
	return err
}

func selfSignedWeakly(e *openpgp.Entity) bool {
	any := false
	for _, id := range e.Identities {
		for _, s := range id.SelfCertifications {
			if !weakHash(s.Packet.Hash) {
				return false
			}
			any = true
		}
	}
	return any
}

// identity is the primary user ID, whether or not the key is valid today.
func identity(e *openpgp.Entity) string {
	if _, id := e.PrimaryIdentity(time.Time{}, strict(time.Time{})); id != nil {
		return printable(id.Name)
	}
	for name := range e.Identities {
		return printable(name)
	}
	return ""
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// ctxReader ends the pass when the caller gives up.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
