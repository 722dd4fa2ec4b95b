package judge

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"golang.org/x/sys/unix"
)

// maxKeyBytes bounds a key file.
const maxKeyBytes = 4 << 20

// KeyFile is one key that counts.
type KeyFile struct {
	Path string
	ID   string // fingerprint that the file must have; "" skips the check
}

// ring is the given keys. It implements openpgp.KeyRing.
type ring struct{ keys openpgp.EntityList }

func (r ring) KeysById(id uint64) []openpgp.Key         { return r.keys.KeysById(id) }
func (r ring) EntitiesById(id uint64) []*openpgp.Entity { return r.keys.EntitiesById(id) }

// loadRing reads the given files. The same key from two places (root and prefix) counts once, with what either
// copy knows: a revocation in one of them is a revocation.
func loadRing(files []KeyFile) (ring, error) {
	var r ring
	byFingerprint := map[string]*openpgp.Entity{}
	for _, f := range files {
		e, err := loadKey(f)
		if err != nil {
			return ring{}, fmt.Errorf("read trusted key %s: %w", f.Path, err)
		}
		fpr := fingerprint(e)
		if known := byFingerprint[fpr]; known != nil {
			merge(known, e)
			continue
		}
		byFingerprint[fpr] = e
		r.keys = append(r.keys, e)
	}
	return r, r.checkIDs()
}

// checkIDs refuses two keys with one 64-bit key ID, by which signatures name their maker: the library takes the
// first of them. Such pairs do not happen, they are made.
func (r ring) checkIDs() error {
	owner := map[uint64]*openpgp.Entity{}
	for _, e := range r.keys {
		ids := []uint64{e.PrimaryKey.KeyId}
		for _, s := range e.Subkeys {
			ids = append(ids, s.PublicKey.KeyId)
		}
		for _, id := range ids {
			if other := owner[id]; other != nil && other != e {
				return fmt.Errorf("trusted keys %s and %s share the key ID %016x: remove one of them", fingerprint(other), fingerprint(e), id)
			}
			owner[id] = e
		}
	}
	return nil
}

func merge(into, from *openpgp.Entity) {
	into.Revocations = append(into.Revocations, from.Revocations...)
	into.DirectSignatures = append(into.DirectSignatures, from.DirectSignatures...)
	for name, id := range from.Identities {
		known := into.Identities[name]
		if known == nil {
			id.Primary = into
			into.Identities[name] = id
			continue
		}
		known.SelfCertifications = append(known.SelfCertifications, id.SelfCertifications...)
		known.Revocations = append(known.Revocations, id.Revocations...)
	}
next:
	for _, s := range from.Subkeys {
		for i := range into.Subkeys {
			known := &into.Subkeys[i]
			if bytes.Equal(known.PublicKey.Fingerprint, s.PublicKey.Fingerprint) {
				known.Bindings = append(known.Bindings, s.Bindings...)
				known.Revocations = append(known.Revocations, s.Revocations...)
				continue next
			}
		}
		s.Primary = into
		into.Subkeys = append(into.Subkeys, s)
	}
}

func loadKey(f KeyFile) (*openpgp.Entity, error) {
	b, err := readRegular(f.Path, maxKeyBytes)
	if err != nil {
		return nil, err
	}
	var body io.Reader = bytes.NewReader(b)
	if bytes.Contains(b, []byte("-----BEGIN PGP")) {
		block, err := armor.Decode(bufio.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("decode armor: %w", err)
		}
		if block.Type != openpgp.PublicKeyType {
			return nil, fmt.Errorf("is a %q, not a public key", block.Type)
		}
		body = block.Body
	}
	packets := packet.NewReader(body)
	e, err := openpgp.ReadEntity(packets)
	if errors.Is(err, io.EOF) {
		return nil, errors.New("holds no key")
	}
	if err != nil {
		return nil, err
	}
	// One file, one key: a second one would be trusted without having been named.
	if _, err := packets.Next(); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one key")
	}
	if got := fingerprint(e); f.ID != "" && got != f.ID {
		return nil, fmt.Errorf("holds key %s instead of %s", got, f.ID)
	}
	return e, nil
}

// readRegular reads a small regular file and never waits for one that is something else.
func readRegular(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > limit {
		return nil, fmt.Errorf("is not a regular file of at most %d bytes", limit)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

func fingerprint(e *openpgp.Entity) string { return hex.EncodeToString(e.PrimaryKey.Fingerprint) }
