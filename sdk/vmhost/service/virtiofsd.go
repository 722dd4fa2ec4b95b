package service

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// findVirtiofsd finds the server of shared directories: the admin's, the one in Rust (Debian 13: package
// virtiofsd), or the older one in C that came with QEMU (Debian 12: qemu-system-common).
func findVirtiofsd(ctx context.Context, c *vmhost.Config) (*vmhost.Virtiofsd, error) {
	places := []string{"/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd"}
	if c.Virtiofsd != "" {
		places = []string{c.Virtiofsd}
	}
	for _, p := range places {
		st, err := os.Stat(p)
		if err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, p, "--version")
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, errors.New(p + " does not run: " + err.Error())
		}
		// "virtiofsd version 7.2.22 (Debian ...)" is the one in C, "virtiofsd 1.13.0" the other
		return &vmhost.Virtiofsd{Program: p, Rust: !strings.Contains(string(out), " version ")}, nil
	}
	return nil, errors.New("no virtiofsd in " + strings.Join(places, ", ") + " (apt-get install qemu-system-common, or virtiofsd from Debian 13 on)")
}
