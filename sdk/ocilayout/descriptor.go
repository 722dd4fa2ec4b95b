package ocilayout

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Descriptor is the image-spec's, less what rkt does not use.
type Descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"` // "sha256:<hex>" or "sha512:<hex>"
	Size        int64             `json:"size"`   // bytes
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ErrMismatch is wrapped by errors about bytes that are not the ones promised: another digest, or more of
// them. Trying again with the same source is pointless, unless the blob was resumed.
var ErrMismatch = errors.New("not the promised bytes")

// ErrBusy is wrapped by errors about a blob that another process, or goroutine, is writing.
var ErrBusy = errors.New("another process or goroutine is writing it")

// ErrDigest is wrapped by errors about a string that is no digest of a known algorithm.
var ErrDigest = errors.New("not of the form sha256:<64 hex digits> or sha512:<128 hex digits>")

// SplitDigest checks a digest and takes it apart. What it accepts is safe as a file name.
func SplitDigest(digest string) (alg, hexa string, err error) {
	alg, hexa, _ = strings.Cut(digest, ":")
	want := 0
	switch alg {
	case "sha256":
		want = 2 * sha256.Size
	case "sha512":
		want = 2 * sha512.Size
	}
	if want == 0 || len(hexa) != want || strings.Trim(hexa, "0123456789abcdef") != "" {
		return "", "", fmt.Errorf("digest %q: %w", clip(digest), ErrDigest)
	}
	return alg, hexa, nil
}

// clip bounds what a hostile manifest can put into a message.
func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}

func newHash(alg string) hash.Hash {
	if alg == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}

func sum(alg string, h hash.Hash) string {
	return alg + ":" + hex.EncodeToString(h.Sum(nil))
}
