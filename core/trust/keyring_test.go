package trust

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

func newEntity(t testing.TB, name string) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", strings.ToLower(name)+"@example.com", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func armored(t testing.TB, kind string, write func(*bytes.Buffer) error) []byte {
	t.Helper()
	var raw, out bytes.Buffer
	if err := write(&raw); err != nil {
		t.Fatal(err)
	}
	w, err := armor.Encode(&out, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(raw.Bytes())
	w.Close()
	return out.Bytes()
}

func public(t testing.TB, es ...*openpgp.Entity) []byte {
	return armored(t, openpgp.PublicKeyType, func(b *bytes.Buffer) error {
		for _, e := range es {
			if err := e.Serialize(b); err != nil {
				return err
			}
		}
		return nil
	})
}

func ids(keys []Key) []string {
	var out []string
	for _, k := range keys {
		out = append(out, k.Prefix+" "+k.ID)
	}
	return out
}

func TestKeysFor(t *testing.T) {
	root, foo, deep := newEntity(t, "Root"), newEntity(t, "Foo"), newEntity(t, "Deep")
	k := Open("", t.TempDir())
	for prefix, e := range map[string]*openpgp.Entity{Root: root, "example.com/foo": foo, "example.com/foo/deep": deep} {
		if _, err := k.Add(prefix, public(t, e)); err != nil {
			t.Fatal(err)
		}
	}
	r, f, d := "* "+fingerprint(root), "example.com/foo "+fingerprint(foo), "example.com/foo/deep "+fingerprint(deep)
	for name, want := range map[string][]string{
		"example.com":               {r},
		"example.com/foo":           {r, f},
		"example.com/foobar":        {r},
		"example.com/foo/bar":       {r, f},
		"example.com/foo/deep":      {r, f, d},
		"example.com/foo/deep/down": {r, f, d},
		"example.com/foo/deeper":    {r, f},
		"127.0.0.1:5000/x":          {r},
		"other.example.com/foo":     {r},
	} {
		got, err := k.KeysFor(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(ids(got), want) {
			t.Errorf("%s: keys %q, want %q", name, ids(got), want)
		}
	}
	for _, name := range []string{"", "../etc", "example.com/../../x", "/abs", "a//b", "a/", "https://example.com/foo", "a/.new-1", "a\x00b", "a b", strings.Repeat("a/", 600), "x/" + fingerprint(root)} {
		if got, err := k.KeysFor(name); err == nil {
			t.Errorf("%q: keys %q, want an error", name, ids(got))
		}
	}
}

func TestPortOnLoopbackIsNoPartOfTheName(t *testing.T) {
	k := Open("", t.TempDir())
	e := newEntity(t, "E")
	keys, err := k.Add("127.0.0.1:8080/app", public(t, e))
	if err != nil || keys[0].Prefix != "127.0.0.1/app" {
		t.Fatalf("%v, %v", keys, err)
	}
	for name, want := range map[string]int{"127.0.0.1/app": 1, "127.0.0.1:9/app/x": 1, "127.0.0.1/other": 0, "example.com:8080/app": 0} {
		if got, err := k.KeysFor(name); err != nil || len(got) != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if err := k.Remove("127.0.0.1:1/app", fingerprint(e)); err != nil {
		t.Error(err)
	}
}

func TestEmptyAdminFileMasksVendorKey(t *testing.T) {
	system, local := t.TempDir(), t.TempDir()
	a, b := newEntity(t, "A"), newEntity(t, "B")
	// The vendor's tree is made the same way.
	if _, err := Open("", system).Add("example.com", public(t, a, b)); err != nil {
		t.Fatal(err)
	}
	k := Open(system, local)
	if got, _ := k.KeysFor("example.com/x"); len(got) != 2 {
		t.Fatalf("keys %q, want both of the vendor", ids(got))
	}
	if err := k.Remove("example.com", fingerprint(a)); err != nil {
		t.Fatal(err)
	}
	got, err := k.KeysFor("example.com/x")
	if err != nil || len(got) != 1 || got[0].ID != fingerprint(b) {
		t.Fatalf("keys %q, %v; want only B", ids(got), err)
	}
	if fi, err := os.Stat(filepath.Join(local, "trustedkeys/prefix.d/example.com", fingerprint(a))); err != nil || fi.Size() != 0 {
		t.Fatalf("mask is %v, %v; want an empty file", fi, err)
	}
	list, err := k.List()
	if err != nil || len(list) != 2 {
		t.Fatalf("list %v, %v", list, err)
	}
	for _, l := range list {
		if want := l.ID == fingerprint(a); l.Masked != want || !l.Vendor || l.Err != nil {
			t.Errorf("listed %+v, want masked=%v", l, want)
		}
	}
	// Trusting it again lifts the mask.
	if _, err := k.Add("example.com", public(t, a)); err != nil {
		t.Fatal(err)
	}
	if got, _ := k.KeysFor("example.com/x"); len(got) != 2 || !strings.HasPrefix(got[slices.IndexFunc(got, func(k Key) bool { return k.ID == fingerprint(a) })].Path, local) {
		t.Fatalf("keys %v, want A from the admin's tree", got)
	}
}

func TestRemove(t *testing.T) {
	k := Open("", t.TempDir())
	e := newEntity(t, "E")
	for _, p := range []string{Root, "example.com"} {
		if _, err := k.Add(p, public(t, e)); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Remove(Root, fingerprint(e)); err != nil {
		t.Fatal(err)
	}
	if got, _ := k.KeysFor("example.com/x"); len(got) != 1 || got[0].Prefix != "example.com" {
		t.Errorf("keys %q, want the one of the prefix", ids(got))
	}
	if err := k.Remove(Root, fingerprint(e)); !errors.Is(err, ErrNotTrusted) {
		t.Errorf("second remove: %v", err)
	}
	if err := k.Remove(Root, "../../x"); err == nil || errors.Is(err, ErrNotTrusted) {
		t.Errorf("remove of a path: %v", err)
	}
}

func TestModes(t *testing.T) {
	local := t.TempDir()
	old := umask(0o077)
	defer umask(old)
	k := Open("", local)
	keys, err := k.Add("example.com/a", public(t, newEntity(t, "E")))
	if err != nil {
		t.Fatal(err)
	}
	if fi, _ := os.Stat(keys[0].Path); fi.Mode() != 0o644 {
		t.Errorf("key file has mode %v", fi.Mode())
	}
	for dir := filepath.Dir(keys[0].Path); dir != local; dir = filepath.Dir(dir) {
		if fi, _ := os.Stat(dir); fi.Mode().Perm() != 0o755 {
			t.Errorf("%s has mode %v", dir, fi.Mode())
		}
	}
	left, _ := filepath.Glob(filepath.Dir(keys[0].Path) + "/.new-*")
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSetgidParentIsInherited(t *testing.T) {
	local := t.TempDir()
	if err := os.Chmod(local, 0o775|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	keys, err := Open("", local).Add("example.com", public(t, newEntity(t, "E")))
	if err != nil {
		t.Fatal(err)
	}
	fi, _ := os.Stat(filepath.Dir(keys[0].Path))
	if want := 0o775 | os.ModeSetgid | os.ModeDir; fi.Mode() != want {
		t.Errorf("directory has mode %v, want %v", fi.Mode(), want)
	}
}

func TestBadKeyFiles(t *testing.T) {
	a, b := newEntity(t, "A"), newEntity(t, "B")
	for _, tc := range []struct {
		name, want string
		content    []byte
		mode       os.FileMode
	}{
		{"other key", "which is not its name", public(t, b), 0o644},
		{"two keys", "holds 2 keys", public(t, a, b), 0o644},
		{"garbage", "neither an armored nor a binary", []byte("hello"), 0o644},
		{"world-writable", "everybody can write it", public(t, a), 0o666},
		{"private", "private key", armored(t, openpgp.PrivateKeyType, func(w *bytes.Buffer) error { return a.SerializePrivateWithoutSigning(w, nil) }), 0o644},
	} {
		t.Run(tc.name, func(t *testing.T) {
			local := t.TempDir()
			dir := filepath.Join(local, "trustedkeys", "root.d")
			os.MkdirAll(dir, 0o755)
			path := filepath.Join(dir, fingerprint(a))
			os.WriteFile(path, tc.content, 0o600)
			os.Chmod(path, tc.mode)
			keys, err := Open("", local).KeysFor("example.com/x")
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("keys %v, error %v; want one that has %q and the path", ids(keys), err, tc.want)
			}
			list, err := Open("", local).List()
			if err != nil || len(list) != 1 || list[0].Err == nil {
				t.Errorf("list %v, %v; want the file with its error", list, err)
			}
		})
	}
}

func TestStrayFilesAreListedNotRead(t *testing.T) {
	local := t.TempDir()
	dir := filepath.Join(local, "trustedkeys", "root.d")
	os.MkdirAll(dir, 0o755)
	os.WriteFile(filepath.Join(dir, "mykey.asc"), []byte("x"), 0o644)
	if keys, err := Open("", local).KeysFor("example.com"); err != nil || len(keys) != 0 {
		t.Errorf("keys %v, %v", keys, err)
	}
	if list, err := Open("", local).List(); err != nil || len(list) != 1 || !list[0].Stray {
		t.Errorf("list %v, %v", list, err)
	}
}

func TestAddRefuses(t *testing.T) {
	e := newEntity(t, "E")
	for name, tc := range map[string]struct {
		prefix string
		data   []byte
	}{
		"no prefix":     {"", public(t, e)},
		"url":           {"https://example.com", public(t, e)},
		"no key":        {Root, nil},
		"text":          {Root, []byte("not a key")},
		"private armor": {Root, armored(t, openpgp.PrivateKeyType, func(w *bytes.Buffer) error { return e.SerializePrivateWithoutSigning(w, nil) })},
		"private inside public armor": {Root, armored(t, openpgp.PublicKeyType, func(w *bytes.Buffer) error {
			return e.SerializePrivateWithoutSigning(w, nil)
		})},
	} {
		t.Run(name, func(t *testing.T) {
			local := t.TempDir()
			if keys, err := Open("", local).Add(tc.prefix, tc.data); err == nil {
				t.Errorf("added %v", ids(keys))
			}
			if left, _ := os.ReadDir(local); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestFingerprints(t *testing.T) {
	a := newEntity(t, "Alice")
	short, err := openpgp.NewEntity("Short", "lived", "s@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: 60, Time: func() time.Time { return time.Now().Add(-time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	gone := newEntity(t, "Gone")
	if err := gone.Revoke(packet.KeyCompromised, "lost", nil); err != nil {
		t.Fatal(err)
	}
	// Two armored blocks in one file, as `cat a.asc b.asc` makes it.
	infos, err := Fingerprints(slices.Concat(public(t, a, short), []byte("\n"), public(t, gone)))
	if err != nil || len(infos) != 3 {
		t.Fatalf("%v, %v", infos, err)
	}
	if i := infos[0]; i.Fingerprint != fingerprint(a) || !slices.Equal(i.Identities, []string{"Alice <alice@example.com>"}) || i.Revoked || i.Expired(time.Now()) || len(i.Subkeys) != 1 {
		t.Errorf("first is %+v", i)
	}
	if i := infos[1]; !i.Expired(time.Now()) || i.Identities[0] != "Short (lived) <s@example.com>" {
		t.Errorf("second is %+v", i)
	}
	if i := infos[2]; !i.Revoked {
		t.Errorf("third is %+v", i)
	}
	var bin bytes.Buffer
	a.Serialize(&bin)
	if infos, err := Fingerprints(bin.Bytes()); err != nil || len(infos) != 1 {
		t.Errorf("binary: %v, %v", infos, err)
	}
}

func FuzzFingerprints(f *testing.F) {
	e := newEntity(f, "E")
	var bin bytes.Buffer
	e.Serialize(&bin)
	f.Add(public(f, e))
	f.Add(bin.Bytes())
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n\n-----END PGP PUBLIC KEY BLOCK-----"))
	f.Fuzz(func(t *testing.T, b []byte) {
		infos, err := Fingerprints(b)
		if err == nil && len(infos) == 0 {
			t.Error("no key and no error")
		}
		for _, i := range infos {
			if !fingerprintRE.MatchString(i.Fingerprint) {
				t.Errorf("fingerprint %q", i.Fingerprint)
			}
		}
	})
}

func FuzzComponents(f *testing.F) {
	f.Add("example.com/app")
	f.Add("../x")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := components(s); err == nil && !filepath.IsLocal(s) {
			t.Errorf("%q leaves the directory", s)
		}
	})
}
