package trust

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/rkt/rkt/v2/core/internal/pattern"
)

// maxKeyBytes bounds a key file. Keys with a thousand signatures by others stay below it.
const maxKeyBytes = 4 << 20

// fingerprintRE: version 4 keys have 20 bytes, version 6 keys 32.
var fingerprintRE = pattern.New(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Info is what a person reviews before trusting a key.
type Info struct {
	Fingerprint string    `json:"fingerprint"` // lower-case hex
	Identities  []string  `json:"identities"`  // "Alice <alice@example.com>", the primary one first
	Subkeys     []string  `json:"subkeys,omitempty"`
	Created     time.Time `json:"created"`
	Expires     time.Time `json:"expires,omitzero"`
	Revoked     bool      `json:"revoked,omitempty"`
}

// Expired says whether the key no longer counts at t.
func (i Info) Expired(t time.Time) bool { return !i.Expires.IsZero() && !t.Before(i.Expires) }

// Fingerprints reads all public keys in b (armored, several blocks, or binary) and says what they are.
func Fingerprints(b []byte) ([]Info, error) {
	keys, err := readKeys(b)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(keys))
	for _, e := range keys {
		infos = append(infos, describe(e, time.Now()))
	}
	return infos, nil
}

func describe(e *openpgp.Entity, now time.Time) Info {
	i := Info{
		Fingerprint: fingerprint(e),
		Created:     e.PrimaryKey.CreationTime.UTC(),
		Revoked:     e.Revoked(now),
	}
	for name := range e.Identities {
		i.Identities = append(i.Identities, printable(name))
	}
	slices.Sort(i.Identities)
	// A zero time asks for the self-signature whatever its dates: an expired key is still to be shown.
	sig, id := e.PrimaryIdentity(time.Time{}, nil)
	if id != nil {
		if at := slices.Index(i.Identities, printable(id.Name)); at > 0 {
			i.Identities = slices.Insert(slices.Delete(i.Identities, at, at+1), 0, printable(id.Name))
		}
	}
	if sig == nil {
		sig, _ = e.LatestValidDirectSignature(time.Time{}, nil)
	}
	if sig != nil && sig.KeyLifetimeSecs != nil && *sig.KeyLifetimeSecs != 0 {
		i.Expires = i.Created.Add(time.Duration(*sig.KeyLifetimeSecs) * time.Second)
	}
	for _, s := range e.Subkeys {
		i.Subkeys = append(i.Subkeys, hex.EncodeToString(s.PublicKey.Fingerprint))
	}
	return i
}

// printable replaces what could move the cursor: identities are shown on a terminal for review, and they are
// whatever the maker of the key wrote.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func fingerprint(e *openpgp.Entity) string { return hex.EncodeToString(e.PrimaryKey.Fingerprint) }

// readKeys parses every key in b or fails: a key that is skipped would be one that somebody reviewed in vain.
func readKeys(b []byte) ([]*openpgp.Entity, error) {
	if len(b) > maxKeyBytes {
		return nil, fmt.Errorf("read public key: %d bytes are more than a key file can have (%d)", len(b), maxKeyBytes)
	}
	if !bytes.Contains(b, []byte("-----BEGIN PGP")) {
		keys, err := readPackets(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("read public key: neither an armored nor a binary OpenPGP public key: %w", err)
		}
		return keys, nil
	}
	var all []*openpgp.Entity
	r := bufio.NewReader(bytes.NewReader(b))
	for {
		block, err := armor.Decode(r)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read public key: decode armor: %w", err)
		}
		if block.Type != openpgp.PublicKeyType {
			return nil, fmt.Errorf("read public key: the file has a %q, wanted is the output of `gpg --armor --export FINGERPRINT`",
				strings.ToLower(block.Type))
		}
		keys, err := readPackets(block.Body)
		if err != nil {
			return nil, fmt.Errorf("read public key: %w", err)
		}
		all = append(all, keys...)
	}
	if len(all) == 0 {
		return nil, errors.New("read public key: the armor holds no key")
	}
	return all, nil
}

func readPackets(r io.Reader) ([]*openpgp.Entity, error) {
	var keys []*openpgp.Entity
	packets := packet.NewReader(r)
	for {
		e, err := openpgp.ReadEntity(packets)
		if errors.Is(err, io.EOF) && len(keys) > 0 {
			return keys, nil
		}
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no key in it")
		}
		if err != nil {
			return nil, err
		}
		if e.PrivateKey != nil {
			return nil, errors.New("it is a private key: keep it secret and give the output of `gpg --export FINGERPRINT`")
		}
		keys = append(keys, e)
	}
}

// encode writes one key, armored, as it lies in the keyring.
func encode(e *openpgp.Entity) ([]byte, error) {
	var buf bytes.Buffer
	w, err := armor.Encode(&buf, openpgp.PublicKeyType, nil)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	if err := e.Serialize(w); err != nil {
		return nil, fmt.Errorf("encode key %s: %w", fingerprint(e), err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	buf.WriteByte('\n')
	return buf.Bytes(), nil
}
