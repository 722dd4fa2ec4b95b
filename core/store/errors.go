package store

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNotFound: no image of that name or ID is in the store.
	ErrNotFound = errors.New("image not found")
	// ErrAmbiguous: an ID prefix fits several images.
	ErrAmbiguous = errors.New("ambiguous image ID")
	// ErrInvalidImage: a layout, manifest, config or layer is not what it claims or not what rkt takes. The
	// store is as it was.
	ErrInvalidImage = errors.New("invalid image")
	// ErrBlobMissing: a blob is neither in the layout nor known to the store. After KnownBlobs said otherwise it
	// means that gc ran in between: fetch again.
	ErrBlobMissing = errors.New("blob missing")
	// ErrDamaged: something in the store is gone or changed.
	ErrDamaged = errors.New("damaged image")
)

// DamageError names what of an image is damaged. errors.Is(err, ErrDamaged).
type DamageError struct {
	Image string   // ID
	What  []string // "layer sha256:...: file etc/passwd: content differs"
}

func (e *DamageError) Error() string {
	const most = 10
	what := e.What
	if len(what) > most {
		what = append(what[:most:most], fmt.Sprintf("and %d more", len(e.What)-most))
	}
	return fmt.Sprintf("%v %s: %s; fetch it again with --pull-policy=update to repair it", ErrDamaged, short(e.Image), strings.Join(what, "; "))
}

// Is makes it an ErrDamaged.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalidImage, fmt.Errorf(format, args...))
}

// short cuts an ID to what people read.
func short(id string) string {
	alg, hex, ok := strings.Cut(id, "-")
	if !ok || len(hex) <= 12 {
		return id
	}
	return alg + "-" + hex[:12]
}
