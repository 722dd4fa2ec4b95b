package aci

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rkt/rkt/v2/sdk/ocilayout"
	"github.com/rkt/rkt/v2/sdk/verifier"
)

func blobOf(t *testing.T, l *ocilayout.Layout, mediaType string, b []byte) verifier.Descriptor {
	t.Helper()
	d, err := l.Blob(t.Context(), verifier.Descriptor{MediaType: mediaType}, bytes.NewReader(b), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.MediaType = mediaType
	return d
}

func TestVerify(t *testing.T) {
	e, err := openpgp.NewEntity("Alice", "", "alice@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var pub, sig bytes.Buffer
	e.Serialize(&pub)
	data := []byte("the image")
	if err := openpgp.DetachSign(&sig, []*openpgp.Entity{e}, bytes.NewReader(data), nil); err != nil {
		t.Fatal(err)
	}
	keyPath := filepath.Join(t.TempDir(), "key")
	os.WriteFile(keyPath, pub.Bytes(), 0o644)
	fpr := hex.EncodeToString(e.PrimaryKey.Fingerprint)

	dir := t.TempDir()
	l, err := ocilayout.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	img := blobOf(t, l, MediaType, data)
	sigD := blobOf(t, l, SignatureType, sig.Bytes())
	good := verifier.Request{LayoutDir: dir, Image: img, Signatures: []verifier.Descriptor{sigD}, Name: "example.com/app", Keys: []verifier.Key{{Path: keyPath, ID: fpr}}}

	with := func(f func(*verifier.Request)) verifier.Request { r := good; f(&r); return r }
	for _, tc := range []struct {
		name string
		req  verifier.Request
		want verifier.Verdict
		text string
		err  string
	}{
		{"good", good, verifier.Accept, "", ""},
		{"unsigned", with(func(r *verifier.Request) { r.Signatures = nil }), verifier.Reject, "no signature", ""},
		{"no key", with(func(r *verifier.Request) { r.Keys = nil }), verifier.Reject, fpr, ""},
		{"OCI image", with(func(r *verifier.Request) { r.Image.MediaType = "application/vnd.oci.image.manifest.v1+json" }), verifier.Abstain, "judged of", ""},
		{"other signature", with(func(r *verifier.Request) {
			r.Signatures = []verifier.Descriptor{{MediaType: "application/x-cosign", Digest: sigD.Digest}}
		}), verifier.Abstain, "another kind", ""},
		{"other image", with(func(r *verifier.Request) { r.Image = blobOf(t, l, MediaType, []byte("the imagE")) }), verifier.Reject, "does not match", ""},
		{"blob missing", with(func(r *verifier.Request) { r.Image.Digest = "sha256:" + strings.Repeat("0", 64) }), 0, "", "open image"},
		{"digest as a path", with(func(r *verifier.Request) { r.Image.Digest = "sha256:../../etc/passwd" }), 0, "", "digest"},
		{"signature is nonsense", with(func(r *verifier.Request) {
			r.Signatures = []verifier.Descriptor{blobOf(t, l, SignatureType, []byte("no"))}
		}), 0, "", "signature"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j, err := Verifier{}.Verify(t.Context(), tc.req)
			if j.Verdict != tc.want || !strings.Contains(j.Reason, tc.text) {
				t.Errorf("%+v, want %v with %q", j, tc.want, tc.text)
			}
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
		})
	}

	// Before the image is there: the signers alone.
	absent := func(r *verifier.Request) { r.Image = verifier.Descriptor{MediaType: MediaType} }
	for _, tc := range []struct {
		name string
		req  verifier.Request
		want verifier.Verdict
		text string
	}{
		{"signer is trusted", with(absent), verifier.Accept, ""},
		{"signer is not", with(func(r *verifier.Request) { absent(r); r.Keys = nil }), verifier.Reject, fpr},
		{"no signer", with(func(r *verifier.Request) { absent(r); r.Signatures = nil }), verifier.Reject, "no signature"},
		{"signer of an OCI image", with(func(r *verifier.Request) { r.Image = verifier.Descriptor{} }), verifier.Abstain, "judged of"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			j, err := Verifier{}.Signers(t.Context(), tc.req)
			if err != nil || j.Verdict != tc.want || !strings.Contains(j.Reason, tc.text) {
				t.Errorf("%+v, %v, want %v with %q", j, err, tc.want, tc.text)
			}
			if j.Verdict == verifier.Accept && (len(j.Signers) != 1 || !j.Signers[0].Trusted) {
				t.Errorf("accepted without a trusted signer: %+v", j)
			}
		})
	}

	t.Run("file swapped under its digest", func(t *testing.T) {
		// The signature is good for what lies there now, which is not what core asked about.
		swapped := blobOf(t, l, MediaType, []byte("something else"))
		os.WriteFile(filepath.Join(dir, "blobs/sha256", strings.TrimPrefix(swapped.Digest, "sha256:")), data, 0o644)
		j, err := Verifier{}.Verify(t.Context(), with(func(r *verifier.Request) { r.Image = swapped }))
		if err == nil || j.Verdict == verifier.Accept {
			t.Errorf("%+v, %v", j, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if j, err := (Verifier{}).Verify(ctx, good); err == nil || j.Verdict == verifier.Accept {
			t.Errorf("%+v, %v", j, err)
		}
	})
}
