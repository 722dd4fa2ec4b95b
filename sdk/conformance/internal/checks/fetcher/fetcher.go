package fetcher

import (
	"context"
	"time"

	"github.com/rkt/rkt/v2/proto/manifest"
	"github.com/rkt/rkt/v2/sdk/conformance/internal/suite"
)

// Bounds of time, five times the contract's where it has any.
const (
	endLimit     = 5 * time.Second
	resolveLimit = 60 * time.Second
)

// Checks in the order in which they are run.
func Checks() []suite.Check {
	check := func(id, title string, run func(context.Context, *suite.Env) error) suite.Check {
		return suite.Check{ID: id, Title: title, Level: suite.Protocol, Service: manifest.ServiceFetcher, Run: run}
	}
	able := func(capability, id, title string, run func(context.Context, *suite.Env) error) suite.Check {
		c := check(id, title, run)
		c.Capability = capability
		return c
	}
	return []suite.Check{
		check("FE-FETCH-01", "Fetch leaves a valid layout with everything that the image reaches", fetches),
		check("FE-FETCH-02", "the last event is done, and nothing follows", last),
		check("FE-FETCH-03", "nothing outside of the layout directory is written", inside),
		check("FE-FETCH-04", "the same call again reaches the same layout", again),
		check("FE-FETCH-05", "killed at any moment, the same call reaches the same layout", killed),
		check("FE-FETCH-06", "partial files are resumed", resumed),
		check("FE-FETCH-07", "blobs that core has need not be delivered", present),
		check("FE-FETCH-08", "of several platforms the asked one is fetched", platform),
		check("FE-FETCH-09", "progress never falls and never passes its total", progress),
		check("FE-FETCH-10", "a cancelled fetch ends soon and shows no image", cancelled),
		check("FE-FETCH-11", "the lifeline ends a fetch", lifeline),
		check("FE-FETCH-12", "memory does not grow with the image", memory),
		check("FE-FETCH-13", "damaged partial files and blobs are not delivered", damaged),
		check("FE-REF-01", "a reference that names nothing is IMAGE_NOT_FOUND", missing),
		check("FE-REF-02", "a reference that cannot be read is REFERENCE_INVALID", unreadable),
		check("FE-HTTP-01", "other bytes than promised are DIGEST_MISMATCH", wrongDigest),
		check("FE-HTTP-02", "more or fewer bytes than promised are never delivered", wrongSize),
		check("FE-HTTP-03", "a manifest of another digest is DIGEST_MISMATCH", wrongManifest),
		check("FE-HTTP-04", "connections that break are an error or overcome", truncated),
		check("FE-HTTP-05", "a server that fails is NETWORK_UNREACHABLE", failing),
		check("FE-HTTP-06", "a server that throttles is REGISTRY_THROTTLED", throttled),
		check("FE-HTTP-07", "plain http is INSECURE_REFUSED without leave", plainHTTP),
		check("FE-HTTP-08", "an unknown certificate is INSECURE_REFUSED without leave", unknownCA),
		check("FE-HTTP-09", "a redirect to plain http is INSECURE_REFUSED without leave", redirected),
		check("FE-HTTP-10", "without a credential a closed server is AUTH_REQUIRED", authRequired),
		check("FE-HTTP-11", "a refused credential is AUTH_DENIED", authDenied),
		check("FE-HTTP-12", "a credential is not sent along a redirect to another host", credentialRedirect),
		check("FE-HTTP-13", "a credential is not sent to another host than its own, nor over plain http", credentialPlain),
		check("FE-HTTP-14", "a slow server is waited for", slow),
		able("signatures", "FE-SIGN-01", "signatures_only delivers the signatures, and moves no image", signaturesOnly),
		able("resolve", "FE-RESOLVE-01", "Resolve says what Fetch will fetch", resolves),
		able("resolve", "FE-RESOLVE-02", "Resolve says the same twice and writes nothing", resolvesAgain),
		able("resolve", "FE-RESOLVE-03", "Resolve of a missing image is IMAGE_NOT_FOUND", resolvesMissing),
		able("convert", "FE-CONVERT-01", "Convert leaves a valid OCI image", converts),
		able("convert", "FE-CONVERT-02", "Convert reaches the same again, also after a kill", convertsAgain),
		able("convert", "FE-CONVERT-03", "Convert does not change its source", convertsSource),
		able("convert", "FE-CONVERT-04", "what is no image is IMAGE_INVALID and leaves none", convertsHostile),
	}
}
