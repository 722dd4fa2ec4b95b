package images

import (
	"bytes"
	"context"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/appc"
	"github.com/rkt/rkt/v2/plugins/fetcher-aci/internal/discovery"
	"github.com/rkt/rkt/v2/sdk/fetcher"
)

const (
	maxKeys     = 4 << 20 // all keys of a prefix together
	keyBlock    = "PGP PUBLIC KEY BLOCK"
	armorMarker = "-----BEGIN PGP"
)

// keys delivers public keys as one blob of armored blocks: those that discovery names for a prefix, or the
// ones at a URL. Whether they are trusted is for a person to say, and core to keep.
func (j *job) keys(ctx context.Context, what string) (fetcher.Result, error) {
	urls := []string{what}
	canonical := "aci-keys://" + what
	if !strings.Contains(what, "://") {
		prefix, err := appc.ParseName(what)
		if err != nil || len(prefix.Labels) > 0 {
			return fetcher.Result{}, fetcher.ReferenceInvalid("%q is no prefix of appc names", what)
		}
		if urls, err = discovery.Keys(ctx, j.net, prefix, j.req.Access.AllowHTTP); err != nil {
			return fetcher.Result{}, err
		}
	}
	var all bytes.Buffer
	for _, u := range urls {
		b, _, err := j.net.Get(ctx, u, maxKeys, false)
		if err != nil {
			return fetcher.Result{}, err
		}
		if b, err = armored(b); err != nil {
			return fetcher.Result{}, fetcher.NetworkUnreachable("encode keys of %s: %w", u, err)
		}
		if all.Len()+len(b) > maxKeys {
			return fetcher.Result{}, fetcher.NetworkUnreachable("the keys for %s have more than %d bytes", what, maxKeys)
		}
		all.Write(b)
		all.WriteByte('\n')
	}
	d, err := j.blob(ctx, KeysType, all.Bytes())
	if err != nil {
		return fetcher.Result{}, err
	}
	d.Annotations = map[string]string{"org.rkt.keys.urls": strings.Join(urls, " ")}
	return fetcher.Result{Image: d, Canonical: canonical}, j.layout.Done(d)
}

// armored leaves armor as it is and puts it around binary keys, so that blocks can follow one another.
func armored(b []byte) ([]byte, error) {
	if bytes.Contains(b, []byte(armorMarker)) {
		return b, nil
	}
	var out bytes.Buffer
	w, err := armor.Encode(&out, keyBlock, nil)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}
