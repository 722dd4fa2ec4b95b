package verifier_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/verifier"
)

const mediaType = "application/vnd.example.ed25519"

// ed judges raw Ed25519 signatures of an image's digest. Its main is one line:
//
//	verifier.Main(verifier.Info{Name: "verifier-ed", Version: "1.0.0"}, ed{})
type ed struct{}

// Verify accepts when one signature is by one of the keys. A signature of another kind is not its business.
func (ed) Verify(_ context.Context, req verifier.Request) (verifier.Judgement, error) {
	ours := false
	for _, s := range req.Signatures {
		alg, hexa, err := ocilayout.SplitDigest(s.Digest)
		if err != nil {
			return verifier.Judgement{}, verifier.SignatureInvalid("read signature: %w", err)
		}
		if s.MediaType != mediaType {
			continue
		}
		ours = true
		sig, err := os.ReadFile(filepath.Join(req.LayoutDir, "blobs", alg, hexa))
		if err != nil {
			return verifier.Judgement{}, err
		}
		for _, k := range req.Keys {
			pub, err := os.ReadFile(k.Path)
			if err != nil {
				return verifier.Judgement{}, err
			}
			if len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, []byte(req.Image.Digest), sig) {
				return verifier.Judgement{Verdict: verifier.Accept, Signers: []verifier.Signer{{Fingerprint: k.ID, Trusted: true}}}, nil
			}
		}
	}
	if !ours {
		return verifier.Judgement{Verdict: verifier.Abstain, Reason: "no Ed25519 signature"}, nil
	}
	return verifier.Judgement{Verdict: verifier.Reject, Reason: "signed by none of the trusted keys"}, nil
}

func Example() {
	dir, err := os.MkdirTemp("", "layout-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	out, err := ocilayout.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer out.Close()

	alice := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	image := verifier.Descriptor{Digest: "sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"}
	sig, err := out.Blob(context.Background(), verifier.Descriptor{MediaType: mediaType}, bytes.NewReader(ed25519.Sign(alice, []byte(image.Digest))), nil)
	if err != nil {
		log.Fatal(err)
	}
	pub := alice.Public().(ed25519.PublicKey)
	key := verifier.Key{Path: filepath.Join(dir, "alice"), ID: hex.EncodeToString(pub[:4])}
	if err := os.WriteFile(key.Path, pub, 0o644); err != nil {
		log.Fatal(err)
	}

	req := verifier.Request{LayoutDir: dir, Image: image, Keys: []verifier.Key{key}}
	fmt.Println(ed{}.Verify(context.Background(), req))
	req.Signatures = []verifier.Descriptor{sig}
	fmt.Println(ed{}.Verify(context.Background(), req))
	req.Image.Digest = "sha256:" + hex.EncodeToString(make([]byte, 32))
	fmt.Println(ed{}.Verify(context.Background(), req))
	// Output:
	// {3 [] no Ed25519 signature} <nil>
	// {1 [{8a88e3dd  true}] } <nil>
	// {2 [] signed by none of the trusted keys} <nil>
}
