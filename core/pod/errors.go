package pod

import (
	"errors"
	"fmt"
	"strings"
)

// ErrLocked says that another process holds the pod's lock.
var ErrLocked = errors.New("pod is in use by another process")

// NotFoundError says that no pod has the UUID or prefix. Integrators match its text (rkt-features.md API-10).
type NotFoundError struct{ Prefix string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no matches found for %q (rkt list shows the pods)", e.Prefix)
}

// AmbiguousError says that a prefix matches several pods.
type AmbiguousError struct {
	Prefix string
	UUIDs  []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("ambiguous uuid %q: it matches %s", e.Prefix, strings.Join(e.UUIDs, ", "))
}

// StateError says that a pod is not in a state that allows the verb.
type StateError struct {
	UUID string
	Is   State
	Want string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("pod %q is %s, not %s", e.UUID, e.Is, e.Want)
}
