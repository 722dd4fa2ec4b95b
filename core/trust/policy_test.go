package trust

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func umask(m int) int { return syscall.Umask(m) }

func TestPolicy(t *testing.T) {
	required := func(p *Policy, want bool, schemes ...string) {
		t.Helper()
		for _, s := range schemes {
			if p.Required(s) != want {
				t.Errorf("required(%s) = %v", s, !want)
			}
		}
	}
	p := DefaultPolicy()
	required(p, true, "aci", "aci-file", "http", "https", "vendor-thing", "")
	required(p, false, "docker", "oci", "oci-archive", "docker-archive")
	required(p.Insecure(), false, "aci", "vendor-thing", "docker")
	required(p, true, "aci") // Insecure is a copy

	system, local := t.TempDir(), t.TempDir()
	write := func(dir, s string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, PolicyFile), []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(system, `{"schema":1,"signatures":{"docker":"require","oci":"require"}}`)
	write(local, `{"schema":1,"signatures":{"oci":"accept-unsigned","*":"accept-unsigned"}}`)
	p, err := LoadPolicy(system, local, "", filepath.Join(local, "absent"))
	if err != nil {
		t.Fatal(err)
	}
	required(p, true, "docker", "aci")
	required(p, false, "oci", "vendor-thing")

	for _, bad := range []string{`{`, `{}`, `{"schema":2}`, `{"schema":1,"signature":{}}`, `{"schema":1,"signatures":{"docker":"maybe"}}`, `{"schema":1} {}`} {
		write(local, bad)
		if p, err := LoadPolicy(local); err == nil || !strings.Contains(err.Error(), PolicyFile) {
			t.Errorf("%s: %v, %v; want an error with the file's name", bad, p, err)
		}
	}
}
