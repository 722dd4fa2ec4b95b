package judge

import (
	"bufio"
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

const (
	// MaxSignatureBytes bounds one signature file; an RSA-4096 signature has some 800 bytes in armor.
	MaxSignatureBytes = 1 << 20
	// maxSignatures bounds the work that a hostile server can ask for.
	maxSignatures = 32
)

// parseSignatures reads one signature file, armored or else binary. Anything in it but signatures is an error:
// there is no reason for a detached signature to carry more. unsupported counts signatures of a version or
// algorithm that this verifier cannot judge.
func parseSignatures(b []byte) (sigs []*packet.Signature, unsupported int, err error) {
	if len(b) > MaxSignatureBytes {
		return nil, 0, fmt.Errorf("parse signature: %d bytes are more than a signature can have (%d)", len(b), MaxSignatureBytes)
	}
	var body io.Reader = bytes.NewReader(b)
	if bytes.Contains(b, []byte("-----BEGIN PGP")) {
		block, err := armor.Decode(bufio.NewReader(body))
		if err != nil {
			return nil, 0, fmt.Errorf("parse signature: decode armor: %w", err)
		}
		if block.Type != openpgp.SignatureType {
			return nil, 0, fmt.Errorf("parse signature: it is a %q; a detached signature is the output of `gpg --armor --detach-sign FILE`", block.Type)
		}
		body = block.Body
	}
	packets := packet.NewReader(body)
	for {
		p, err := packets.NextWithUnsupported()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, fmt.Errorf("parse signature: not a detached OpenPGP signature: %w", err)
		}
		if u, ok := p.(*packet.UnsupportedPacket); ok {
			if _, ok := u.IncompletePacket.(*packet.Signature); ok {
				unsupported++
				continue
			}
		}
		sig, ok := p.(*packet.Signature)
		if !ok {
			return nil, 0, errors.New("parse signature: it holds something else than signatures")
		}
		sigs = append(sigs, sig)
	}
	if len(sigs) == 0 && unsupported == 0 {
		return nil, 0, errors.New("parse signature: the file holds none")
	}
	return sigs, unsupported, nil
}

// issuer is how a signature names its maker: the fingerprint, or what older ones have, a key ID.
func issuer(s *packet.Signature) string {
	switch {
	case len(s.IssuerFingerprint) > 0:
		return hex.EncodeToString(s.IssuerFingerprint)
	case s.IssuerKeyId != nil:
		return fmt.Sprintf("%016x", *s.IssuerKeyId)
	}
	return ""
}

// weakHash says whether collisions for h can be bought.
func weakHash(h crypto.Hash) bool {
	return h == crypto.MD5 || h == crypto.SHA1 || h == crypto.RIPEMD160
}
