package pin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rkt/rkt/v2/core/internal/atomicfile"
)

// record is a file of the index. It is only ever a shortcut: whatever is wrong with it means "hash again".
type record struct {
	Schema int      `json:"schema"`
	Dir    string   `json:"dir"`
	Files  []source `json:"files"`
	Digest string   `json:"digest"`
}

const schema = 1

// settled is how old a file must be for its times to be believed: a second write within one tick of the
// kernel's clock could leave them as they are.
const settled = 100 * time.Millisecond

func unsettled(s source) bool { return time.Since(time.Unix(0, s.Ctime)) < settled }

func (p *Pins) indexFile(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(p.dir, indexDir, hex.EncodeToString(sum[:16]))
}

// lookup returns the digest of the plugin in dir, if its files are those of the index.
func (p *Pins) lookup(dir string, src []source) string {
	b, err := os.ReadFile(p.indexFile(dir))
	if err != nil {
		return ""
	}
	var r record
	if json.Unmarshal(b, &r) != nil || r.Schema != schema || r.Dir != dir || !validDigest(r.Digest) || !slices.Equal(r.Files, src) {
		return ""
	}
	return r.Digest
}

// record notes the digest. That it could not costs a hash the next time and nothing else.
func (p *Pins) record(dir string, src []source, digest string) {
	for _, s := range src {
		if unsettled(s) {
			return
		}
	}
	b, err := json.Marshal(record{Schema: schema, Dir: dir, Files: src, Digest: digest})
	if err != nil {
		return
	}
	if os.MkdirAll(filepath.Join(p.dir, indexDir), 0o755) == nil {
		_ = atomicfile.Write(p.indexFile(dir), append(b, '\n'), 0o644)
	}
}
