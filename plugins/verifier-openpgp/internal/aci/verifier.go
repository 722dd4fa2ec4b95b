package aci

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/plugins/verifier-openpgp/internal/judge"
	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/verifier"
)

const (
	// MediaType of the images that are judged.
	MediaType = "application/vnd.appc.image.aci"
	// SignatureType of the signatures that are, armored or not.
	SignatureType = "application/pgp-signature"
)

// Verifier implements verifier.Verifier.
type Verifier struct{}

var (
	_ verifier.Verifier    = Verifier{}
	_ verifier.SignerJudge = Verifier{}
)

// Verify judges one image.
func (Verifier) Verify(ctx context.Context, req verifier.Request) (verifier.Judgement, error) {
	return verify(ctx, req, func(root *os.Root, q judge.Request) (judge.Verdict, error) {
		image, err := openBlob(root, req.Image)
		if err != nil {
			return judge.Verdict{}, fmt.Errorf("open image: %w", err)
		}
		defer image.Close()
		q.Image = image
		v, err := judge.Judge(ctx, q)
		if err != nil {
			return v, verifier.SignatureInvalid("verify %s: %w", req.Name, err)
		}
		if v.Accept {
			if err := image.check(); err != nil {
				return judge.Verdict{}, fmt.Errorf("verify %s: %w", req.Name, err)
			}
		}
		return v, nil
	})
}

// Signers judges signatures whose image is not there yet.
func (Verifier) Signers(ctx context.Context, req verifier.Request) (verifier.Judgement, error) {
	return verify(ctx, req, func(_ *os.Root, q judge.Request) (judge.Verdict, error) {
		q.SignersOnly = true
		v, err := judge.Judge(ctx, q)
		if err != nil {
			return v, verifier.SignatureInvalid("verify %s: %w", req.Name, err)
		}
		return v, nil
	})
}

// verify reads the signatures, has them judged, and puts the verdict into the sdk's words.
func verify(ctx context.Context, req verifier.Request, judged func(*os.Root, judge.Request) (judge.Verdict, error)) (verifier.Judgement, error) {
	if req.Image.MediaType != MediaType {
		return abstain("OpenPGP signatures are judged of %s, this is %q", MediaType, req.Image.MediaType), nil
	}
	root, err := os.OpenRoot(req.LayoutDir)
	if err != nil {
		return verifier.Judgement{}, fmt.Errorf("open layout: %w", err)
	}
	defer root.Close()
	sigs, err := readSignatures(root, req.Signatures)
	if err != nil {
		return verifier.Judgement{}, err
	}
	if len(sigs) == 0 && len(req.Signatures) > 0 {
		return abstain("its signatures are of another kind than %s", SignatureType), nil
	}
	v, err := judged(root, judge.Request{Name: req.Name, Signatures: sigs, Keys: keys(req.Keys)})
	if ctx.Err() != nil {
		return verifier.Judgement{}, ctx.Err()
	}
	if err != nil {
		return verifier.Judgement{}, err
	}
	j := verifier.Judgement{Verdict: verifier.Reject, Reason: v.Reason}
	for _, s := range v.Signers {
		j.Signers = append(j.Signers, verifier.Signer{Fingerprint: s.Fingerprint, Identity: s.Identity, Trusted: s.Trusted})
	}
	if v.Accept {
		j.Verdict = verifier.Accept
	}
	return j, nil
}

func abstain(format string, args ...any) verifier.Judgement {
	return verifier.Judgement{Verdict: verifier.Abstain, Reason: fmt.Sprintf(format, args...)}
}

func keys(in []verifier.Key) []judge.KeyFile {
	var out []judge.KeyFile
	for _, k := range in {
		out = append(out, judge.KeyFile{Path: k.Path, ID: k.ID})
	}
	return out
}

func readSignatures(root *os.Root, ds []verifier.Descriptor) ([][]byte, error) {
	var sigs [][]byte
	for _, d := range ds {
		if d.MediaType != SignatureType {
			continue
		}
		if d.Size > judge.MaxSignatureBytes {
			return nil, verifier.SignatureInvalid("read signature: %d bytes are more than a signature can have (%d)", d.Size, judge.MaxSignatureBytes)
		}
		b, err := openBlob(root, d)
		if err != nil {
			return nil, fmt.Errorf("open signature: %w", err)
		}
		sig, err := io.ReadAll(io.LimitReader(b, judge.MaxSignatureBytes+1))
		b.Close()
		if err != nil {
			return nil, fmt.Errorf("read signature: %w", err)
		}
		sigs = append(sigs, sig)
	}
	return sigs, nil
}

// blob is a file that is digested while it is read.
type blob struct {
	io.Reader
	file *os.File
	hash hash.Hash
	want string // hex
}

func openBlob(root *os.Root, d verifier.Descriptor) (*blob, error) {
	alg, hexa, err := ocilayout.SplitDigest(d.Digest)
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(path.Join("blobs", alg, hexa), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("blob %s is not a regular file", d.Digest)
	}
	b := &blob{file: f, hash: sha256.New(), want: hexa}
	if alg == "sha512" {
		b.hash = sha512.New()
	}
	b.Reader = io.TeeReader(f, b.hash)
	return b, nil
}

// check says whether the bytes read, which are all, have the promised digest.
func (b *blob) check() error {
	if got := hex.EncodeToString(b.hash.Sum(nil)); got != b.want {
		return fmt.Errorf("the image's bytes have the digest %s instead of %s", got, b.want)
	}
	return nil
}

func (b *blob) Close() error { return b.file.Close() }
