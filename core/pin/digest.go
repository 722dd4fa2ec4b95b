package pin

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"

	"github.com/rkt/rkt/v2/core/plugin"
)

// Digest is the name that the plugin's copy has or would have. Nothing is copied, and files that the index knows
// are not read.
func (p *Pins) Digest(e *plugin.Entry) (string, error) {
	if p.owns(e) {
		return filepath.Base(e.Dir), nil
	}
	files, src, err := p.open(e)
	if err != nil {
		return "", err
	}
	defer closeAll(files)
	if digest := p.lookup(e.Dir, src); digest != "" {
		return digest, nil
	}
	_, digest, err := p.Sums(e)
	return digest, err
}

// Sums reads the plugin's files and returns the SHA-256 of each, by its name, with the digest that they make.
func (p *Pins) Sums(e *plugin.Entry) (map[string]string, string, error) {
	files, src, err := p.open(e)
	if err != nil {
		return nil, "", err
	}
	defer closeAll(files)
	sums := map[string]string{}
	for i, f := range files {
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return nil, "", fmt.Errorf("hash plugin %s: %w", e.Name, err)
		}
		sums[src[i].Name] = hex.EncodeToString(h.Sum(nil))
	}
	return sums, name(sums), nil
}

// owns says whether the plugin is a copy of ours.
func (p *Pins) owns(e *plugin.Entry) bool {
	return filepath.Dir(e.Dir) == p.dir && validDigest(filepath.Base(e.Dir))
}

// Has says whether there is a copy with the digest.
func (p *Pins) Has(digest string) bool {
	_, err := p.Entry(digest)
	return err == nil
}
