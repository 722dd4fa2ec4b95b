package vmhost

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FindProgram returns the VMM that the configuration names, or else the first of places that is an executable file,
// with symlinks followed.
func (c *Config) FindProgram(places ...string) (string, error) {
	if c.Program != "" {
		places = []string{c.Program}
	}
	for _, p := range places {
		p, err := filepath.EvalSymlinks(p)
		if err != nil {
			continue
		}
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("no %s", strings.Join(places, ", "))
}
