package plugin

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"github.com/rkt/rkt/v2/proto/manifest"
)

// Kind is the part that a plugin process plays, which decides its privileges.
type Kind int

// The kinds. A converter is a fetcher's binary in a process without network.
const (
	KindFetcher Kind = iota + 1
	KindConverter
	KindVerifier
	KindNetwork
	KindStage1
)

func (k Kind) String() string {
	switch k {
	case KindFetcher:
		return "fetcher"
	case KindConverter:
		return "converter"
	case KindVerifier:
		return "verifier"
	case KindNetwork:
		return "network"
	case KindStage1:
		return "stage1"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Service is the service that a plugin must provide to play the part.
func (k Kind) Service() string {
	switch k {
	case KindFetcher, KindConverter:
		return manifest.ServiceFetcher
	case KindVerifier:
		return manifest.ServiceVerifier
	case KindNetwork:
		return manifest.ServiceNetwork
	}
	return manifest.ServiceStage1
}

// unprivileged says whether the kind handles bytes of strangers and needs no privilege for it.
func (k Kind) unprivileged() bool {
	return k == KindFetcher || k == KindConverter || k == KindVerifier
}

// FetchUser is the user of fetchers and verifiers when rkt runs as root.
const FetchUser = "rkt-fetch"

// nobody stands in where the user does not exist.
const nobody = 65534

// Owner returns the uid and gid that a plugin of this kind runs as when rkt runs as euid. Whoever makes a
// directory for it to write to gives it to them.
func Owner(k Kind, euid, egid int) (uid, gid int, err error) {
	if euid != 0 || !k.unprivileged() {
		return euid, egid, nil
	}
	u, err := user.Lookup(FetchUser)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return nobody, nobody, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("look up user %s: %w", FetchUser, err)
	}
	uid, uerr := strconv.Atoi(u.Uid)
	gid, gerr := strconv.Atoi(u.Gid)
	if uerr != nil || gerr != nil || uid <= 0 || gid <= 0 {
		return 0, 0, fmt.Errorf("look up user %s: uid %q, gid %q are not those of an unprivileged user", FetchUser, u.Uid, u.Gid)
	}
	return uid, gid, nil
}
