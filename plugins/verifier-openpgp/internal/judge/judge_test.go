package judge

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

var image = bytes.Repeat([]byte("an image\r\n"), 10_000)

func config(mod ...func(*packet.Config)) *packet.Config {
	c := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA512}
	for _, m := range mod {
		m(c)
	}
	return c
}

func at(d time.Duration) func(*packet.Config) {
	return func(c *packet.Config) { c.Time = func() time.Time { return time.Now().Add(d) } }
}

func entity(t testing.TB, name string, mod ...func(*packet.Config)) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", strings.ToLower(name)+"@example.com", config(mod...))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func sign(t testing.TB, e *openpgp.Entity, data []byte, mod ...func(*packet.Config)) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := openpgp.DetachSign(&b, []*openpgp.Entity{e}, bytes.NewReader(data), config(mod...)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// signAs makes a signature packet that the library's own Sign would refuse to make.
func signAs(t testing.TB, e *openpgp.Entity, data []byte, mod func(*packet.Signature)) []byte {
	t.Helper()
	return signWith(t, e.PrivateKey, data, mod)
}

func signWith(t testing.TB, key *packet.PrivateKey, data []byte, mod func(*packet.Signature)) []byte {
	t.Helper()
	s := &packet.Signature{
		Version: 4, SigType: packet.SigTypeBinary, PubKeyAlgo: key.PubKeyAlgo, Hash: crypto.SHA256,
		CreationTime: time.Now(), IssuerKeyId: &key.KeyId, IssuerFingerprint: key.Fingerprint,
	}
	mod(s)
	h := s.Hash.New()
	h.Write(data)
	if err := s.Sign(h, key, nil); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func keyFile(t testing.TB, es ...*openpgp.Entity) KeyFile {
	t.Helper()
	var b bytes.Buffer
	for _, e := range es {
		if err := e.Serialize(&b); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), fingerprint(es[0]))
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return KeyFile{Path: path, ID: fingerprint(es[0])}
}

func judgeIt(t testing.TB, data []byte, sigs [][]byte, keys ...KeyFile) (Verdict, error) {
	t.Helper()
	return Judge(t.Context(), Request{Name: "example.com/app", Image: bytes.NewReader(data), Signatures: sigs, Keys: keys})
}

func TestJudge(t *testing.T) {
	alice, bob := entity(t, "Alice"), entity(t, "Bob")
	ka, kb := keyFile(t, alice), keyFile(t, bob)
	tampered := bytes.Clone(image)
	tampered[5000] ^= 1

	old := entity(t, "Old", at(-48*time.Hour), func(c *packet.Config) { c.KeyLifetimeSecs = 3600 })
	revoked := entity(t, "Revoked", at(-time.Hour))
	sigRevoked := sign(t, revoked, image, at(-30*time.Minute))
	if err := revoked.Revoke(packet.KeySuperseded, "new one", config()); err != nil {
		t.Fatal(err)
	}
	sub := entity(t, "Sub", at(-time.Hour))
	if err := sub.AddSigningSubkey(config(at(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	sigSub := sign(t, sub, image, at(-30*time.Minute))
	kSub := keyFile(t, sub)
	subGone := sub
	goneFile := func() KeyFile {
		s := &subGone.Subkeys[len(subGone.Subkeys)-1]
		if err := s.Revoke(packet.KeyRetired, "", config()); err != nil {
			t.Fatal(err)
		}
		return keyFile(t, subGone)
	}()
	certOnly := entity(t, "Certonly")
	for _, id := range certOnly.Identities {
		c := id.SelfCertifications[0].Packet
		c.FlagSign = false
		if err := c.SignUserId(id.UserId.Id, certOnly.PrimaryKey, certOnly.PrivateKey, config()); err != nil {
			t.Fatal(err)
		}
	}
	rsa := entity(t, "Rsa", func(c *packet.Config) { c.Algorithm, c.RSABits = packet.PubKeyAlgoRSA, 2048 })
	future := entity(t, "Future", at(-time.Hour))

	for _, tc := range []struct {
		name string
		data []byte
		sigs [][]byte
		keys []KeyFile
		want string // "" accepts
	}{
		{"good", image, [][]byte{sign(t, alice, image)}, []KeyFile{ka}, ""},
		{"good, given key is one of two", image, [][]byte{sign(t, alice, image)}, []KeyFile{kb, ka}, ""},
		{"good, the same key twice", image, [][]byte{sign(t, alice, image)}, []KeyFile{ka, keyFile(t, alice)}, ""},
		{"two good", image, [][]byte{sign(t, alice, image), sign(t, bob, image)}, []KeyFile{ka, kb}, ""},
		{"two good in one file", image, [][]byte{append(sign(t, alice, image), sign(t, bob, image)...)}, []KeyFile{ka, kb}, ""},
		{"good and one by a stranger", image, [][]byte{sign(t, alice, image), sign(t, bob, image)}, []KeyFile{ka}, ""},
		{"two, one bad", image, [][]byte{sign(t, alice, image), sign(t, bob, tampered)}, []KeyFile{ka, kb}, "does not match the image's bytes"},
		{"subkey", image, [][]byte{sigSub}, []KeyFile{kSub}, ""},
		{"subkey revoked", image, [][]byte{sigSub}, []KeyFile{goneFile}, "expired, revoked"},
		{"revoked in one of two copies", image, [][]byte{sigSub}, []KeyFile{kSub, goneFile}, "expired, revoked"},
		{"one byte differs", tampered, [][]byte{sign(t, alice, image)}, []KeyFile{ka}, "does not match the image's bytes"},
		{"one byte less", image[:len(image)-1], [][]byte{sign(t, alice, image)}, []KeyFile{ka}, "does not match the image's bytes"},
		{"no signature", image, nil, []KeyFile{ka}, "no signature was delivered"},
		{"no key", image, [][]byte{sign(t, alice, image)}, nil, "signed by "},
		{"untrusted", image, [][]byte{sign(t, bob, image)}, []KeyFile{ka}, "signed by " + fingerprint(bob) + ", which is not among the 1 keys trusted for example.com/app"},
		{"key expired", image, [][]byte{sign(t, old, image, at(-47*time.Hour-30*time.Minute))}, []KeyFile{keyFile(t, old)}, "has expired"},
		{"key revoked", image, [][]byte{sigRevoked}, []KeyFile{keyFile(t, revoked)}, "revoked"},
		{"signature expired", image, [][]byte{sign(t, future, image, at(-30*time.Minute), func(c *packet.Config) { c.SigLifetimeSecs = 60 })}, []KeyFile{keyFile(t, future)}, "expired"},
		{"signature of tomorrow", image, [][]byte{sign(t, future, image, at(24*time.Hour))}, []KeyFile{keyFile(t, future)}, "in the future"},
		{"older than its key", image, [][]byte{signAs(t, alice, image, func(s *packet.Signature) { s.CreationTime = time.Now().Add(-time.Hour) })}, []KeyFile{ka}, "before its key"},
		{"text signature", bytes.ReplaceAll(image, []byte("\r\n"), []byte("\n")), [][]byte{signAs(t, alice, image, func(s *packet.Signature) { s.SigType = packet.SigTypeText })}, []KeyFile{ka}, "exact bytes"},
		{"key not for signing", image, [][]byte{signAs(t, certOnly, image, func(*packet.Signature) {})}, []KeyFile{keyFile(t, certOnly)}, "not for signing"},
		{"critical notation", image, [][]byte{signAs(t, alice, image, func(s *packet.Signature) {
			s.Notations = []*packet.Notation{{Name: "x@example.com", Value: []byte("1"), IsCritical: true, IsHumanReadable: true}}
		})}, []KeyFile{ka}, "notation"},
		{"by an encryption subkey", image, [][]byte{signWith(t, rsa.Subkeys[0].PrivateKey, image, func(*packet.Signature) {})}, []KeyFile{keyFile(t, rsa)}, "not for signing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := judgeIt(t, tc.data, tc.sigs, tc.keys...)
			if err != nil {
				t.Fatal(err)
			}
			if v.Accept != (tc.want == "") || !strings.Contains(v.Reason, tc.want) {
				t.Errorf("accept=%v, reason %q; want %q", v.Accept, v.Reason, tc.want)
			}
			trusted := false
			for _, s := range v.Signers {
				trusted = trusted || s.Trusted
			}
			if v.Accept && !trusted {
				t.Error("accepted without a trusted signer")
			}
			if len(v.Signers) != len(tc.sigs) && tc.name != "two good in one file" {
				t.Errorf("%d signers of %d signatures", len(v.Signers), len(tc.sigs))
			}
		})
	}
}

func TestSignersOfAnUntrustedSignature(t *testing.T) {
	alice, bob := entity(t, "Alice"), entity(t, "Bob")
	v, err := judgeIt(t, image, [][]byte{sign(t, alice, image), sign(t, bob, image)}, keyFile(t, alice))
	if err != nil || len(v.Signers) != 2 {
		t.Fatal(v, err)
	}
	if s := v.Signers[0]; !s.Trusted || s.Fingerprint != fingerprint(alice) || s.Identity != "Alice <alice@example.com>" {
		t.Errorf("first signer %+v", s)
	}
	if s := v.Signers[1]; s.Trusted || s.Fingerprint != fingerprint(bob) || strings.Contains(s.Identity, "Bob") && !strings.HasPrefix(s.Identity, "unverified") {
		t.Errorf("second signer %+v", s)
	}
}

func TestUnreadableFiles(t *testing.T) {
	alice, bob := entity(t, "Alice"), entity(t, "Bob")
	good, ka := sign(t, alice, image), keyFile(t, alice)
	for name, tc := range map[string]struct {
		sig  []byte
		key  KeyFile
		want string
	}{
		"empty signature":      {nil, ka, "holds none"},
		"html":                 {[]byte("<html>not found</html>"), ka, "signature"},
		"signature is a key":   {mustRead(t, ka.Path), ka, "something else than signatures"},
		"armored message":      {[]byte("-----BEGIN PGP MESSAGE-----\n\nyw==\n-----END PGP MESSAGE-----\n"), ka, "PGP MESSAGE"},
		"huge signature":       {make([]byte, MaxSignatureBytes+1), ka, "more than"},
		"33 signatures":        {bytes.Repeat(good, 33), ka, "more than 32"},
		"key absent":           {good, KeyFile{Path: ka.Path + "x"}, "no such file"},
		"key is a directory":   {good, KeyFile{Path: filepath.Dir(ka.Path)}, "regular file"},
		"key of another name":  {good, KeyFile{Path: ka.Path, ID: fingerprint(bob)}, "instead of"},
		"two keys in one file": {good, keyFile(t, alice, bob), "more than one key"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := judgeIt(t, image, [][]byte{tc.sig}, tc.key)
			if err == nil || v.Accept || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v, %v; want an error with %q", v, err, tc.want)
			}
		})
	}
}

func TestImageThatCannotBeRead(t *testing.T) {
	alice := entity(t, "Alice")
	req := Request{Image: iotest.ErrReader(os.ErrPermission), Signatures: [][]byte{sign(t, alice, image)}, Keys: []KeyFile{keyFile(t, alice)}}
	if v, err := Judge(t.Context(), req); !errors.Is(err, os.ErrPermission) || v.Accept {
		t.Errorf("%+v, %v", v, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req.Image = bytes.NewReader(image)
	if v, err := Judge(ctx, req); !errors.Is(err, context.Canceled) || v.Accept {
		t.Errorf("%+v, %v", v, err)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzSignature: whatever a server sends, no signature that is not Alice's over the image is accepted.
func FuzzSignature(f *testing.F) {
	alice := entity(f, "Alice")
	key := keyFile(f, alice)
	tampered := append(bytes.Clone(image), 'x')
	f.Add(sign(f, alice, image))
	f.Add(sign(f, entity(f, "Bob"), image))
	f.Add([]byte("-----BEGIN PGP SIGNATURE-----\n\n=\n-----END PGP SIGNATURE-----"))
	f.Fuzz(func(t *testing.T, sig []byte) {
		if v, err := judgeIt(t, tampered, [][]byte{sig}, key); v.Accept {
			t.Errorf("accepted: %+v, %v", v, err)
		}
	})
}
