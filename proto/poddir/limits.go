package poddir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Limits is limits/NAME: what `rkt update` has changed of a running app. pod.json keeps what the app started with.
type Limits struct {
	Schema    int       `json:"schema"`
	Resources Resources `json:"resources"` // all that are in force, not the changed ones alone
}

// ReadLimits puts into the apps of p the limits that are in force. A pod that was never updated has no file.
func ReadLimits(dir string, p *Pod) error {
	entries, err := os.ReadDir(filepath.Join(dir, LimitsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), ".tmp") {
			continue
		}
		for i := range p.Apps {
			if p.Apps[i].Name != e.Name() {
				continue
			}
			var l Limits
			if err := ReadJSON(filepath.Join(dir, LimitsDir), e.Name(), &l); err != nil {
				return err
			}
			p.Apps[i].Resources = l.Resources
		}
	}
	return nil
}
