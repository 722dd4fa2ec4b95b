package judge

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// gpg runs GnuPG in a home of its own.
type gpg struct {
	t    *testing.T
	home string
}

func newGPG(t *testing.T) gpg {
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not installed: apt install gnupg")
	}
	// t.TempDir is too long for the agent's socket with long test names.
	home, err := os.MkdirTemp("", "gpg")
	if err != nil {
		t.Fatal(err)
	}
	g := gpg{t, home}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--kill", "all")
		cmd.Env = g.env()
		if err := cmd.Run(); err != nil {
			t.Errorf("end gpg-agent: %v", err)
		}
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g gpg) env() []string { return append(os.Environ(), "GNUPGHOME="+g.home, "LC_ALL=C") }

func (g gpg) run(args ...string) string {
	g.t.Helper()
	cmd := exec.Command("gpg", append([]string{"--batch", "--quiet", "--yes", "--passphrase", "", "--pinentry-mode", "loopback"}, args...)...)
	cmd.Env = g.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (g gpg) fingerprint(user string) string {
	for line := range strings.Lines(g.run("--with-colons", "--list-keys", user)) {
		if f := strings.Split(line, ":"); f[0] == "fpr" {
			return strings.ToLower(f[9])
		}
	}
	g.t.Fatal("no fingerprint")
	return ""
}

func TestGnuPG(t *testing.T) {
	for _, algo := range []string{"rsa3072", "ed25519"} {
		t.Run(algo, func(t *testing.T) {
			g := newGPG(t)
			dir := t.TempDir()
			path := func(name string) string { return filepath.Join(dir, name) }
			if err := os.WriteFile(path("image.aci"), image, 0o644); err != nil {
				t.Fatal(err)
			}
			g.run("--quick-gen-key", "Carol <carol@example.com>", algo, "sign", "never")
			fpr := g.fingerprint("Carol")
			g.run("--quick-add-key", fpr, algo, "sign", "never")
			g.run("--armor", "--detach-sign", "-o", path("sub.asc"), path("image.aci"))
			g.run("--detach-sign", "-u", fpr+"!", "-o", path("primary.sig"), path("image.aci"))
			g.run("--armor", "--digest-algo", "SHA1", "--detach-sign", "-o", path("sha1.asc"), path("image.aci"))
			g.run("--armor", "--textmode", "--detach-sign", "-o", path("text.asc"), path("image.aci"))
			g.run("--armor", "--export", "-o", path("key.asc"), fpr)
			g.run("--export", "-o", path("key.gpg"), fpr)
			for sig, want := range map[string]string{"sub.asc": "", "primary.sig": "", "sha1.asc": "too weak", "text.asc": "exact bytes"} {
				for _, key := range []string{"key.asc", "key.gpg"} {
					v, err := judgeIt(t, image, [][]byte{mustRead(t, path(sig))}, KeyFile{path(key), fpr})
					if err != nil || v.Accept != (want == "") || !strings.Contains(v.Reason, want) {
						t.Errorf("%s with %s: %+v, %v", sig, key, v, err)
					}
					if len(v.Signers) != 1 || v.Signers[0].Fingerprint != fpr || v.Signers[0].Identity != "Carol <carol@example.com>" {
						t.Errorf("%s: signers %+v, want %s", sig, v.Signers, fpr)
					}
				}
			}
			// A key that was extended after the signature, in the form that key servers give out: with its newest
			// self-signature alone.
			g.run("--quick-set-expire", fpr, "1y")
			g.run("--armor", "--export-options", "export-minimal", "--export", "-o", path("minimal.asc"), fpr)
			if v, err := judgeIt(t, image, [][]byte{mustRead(t, path("primary.sig"))}, KeyFile{path("minimal.asc"), fpr}); err != nil || !v.Accept {
				t.Errorf("extended key: %+v, %v", v, err)
			}
			// Revoked by the certificate that gpg has made with the key.
			rev, err := os.ReadFile(filepath.Join(g.home, "openpgp-revocs.d", strings.ToUpper(fpr)+".rev"))
			if err != nil {
				t.Fatal(err)
			}
			at := strings.Index(string(rev), ":-----BEGIN")
			os.WriteFile(path("rev.asc"), rev[at+1:], 0o644)
			g.run("--import", path("rev.asc"))
			g.run("--armor", "--export", "-o", path("revoked.asc"), fpr)
			v, err := judgeIt(t, image, [][]byte{mustRead(t, path("sub.asc"))}, KeyFile{path("revoked.asc"), fpr})
			if err != nil || v.Accept || !strings.Contains(v.Reason, "revoked") {
				t.Errorf("revoked: %+v, %v", v, err)
			}
		})
	}
}

// The library does not make SHA-1 signatures, GnuPG still does when asked.
func TestKeySelfSignedBySHA1(t *testing.T) {
	g := newGPG(t)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	os.WriteFile(path("image.aci"), image, 0o644)
	g.run("--cert-digest-algo", "SHA1", "--quick-gen-key", "Old <old@example.com>", "rsa2048", "sign", "never")
	fpr := g.fingerprint("Old")
	g.run("--digest-algo", "SHA256", "--detach-sign", "-o", path("image.sig"), path("image.aci"))
	g.run("--export", "-o", path("key.gpg"), fpr)
	v, err := judgeIt(t, image, [][]byte{mustRead(t, path("image.sig"))}, KeyFile{path("key.gpg"), fpr})
	if err != nil || v.Accept || !strings.Contains(v.Reason, "weak hash") {
		t.Errorf("%+v, %v", v, err)
	}
}
