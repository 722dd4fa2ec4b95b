package conformance

import "github.com/rkt/rkt/v2/sdk/conformance/internal/suite"

// The types of this file are internal/suite's, written out so that their fields are seen where they are looked for. The
// conversions and TestFields hold them equal.

// Plugin is what is tested, with what the kit cannot know of it.
type Plugin struct {
	Dir    string // the plugin's directory: plugin.json and its programs
	Config []byte // a valid configuration, handed over by Configure before other calls; nil: none

	// References are images that the plugin can fetch, with their scheme. Without any, a fetcher of scheme "docker"
	// is tested with the kit's own registry alone; one of other schemes fails FE-FETCH-01, unless Options.Unfetched, and
	// the other checks that need an image are skipped.
	References []string
	// Missing are references of the same kind that name no image.
	Missing []string
	// AllowHTTP goes with References that plain http serves.
	AllowHTTP bool

	// Signed are images with signatures, for a verifier of formats that the kit cannot make. OpenPGP over
	// application/vnd.appc.image.aci it makes itself.
	Signed []Signed

	// Networks are the names that Setup is asked for; "default" when empty. NetConfigs is a net.d directory.
	Networks   []string
	NetConfigs string

	// MaxRSS bounds the plugin's resident memory in bytes; 64 MiB when 0.
	MaxRSS int64
}

// Signed is an image for a verifier: files, and what is expected of them. The kit makes the bad cases of it.
type Signed struct {
	MediaType  string
	Image      string   // file: the bytes that are signed
	Signatures []string // files: good signatures, each by one of Keys
	SigType    string   // media type of the signature blobs
	Name       string   // the image's name
	Keys       []string // files: public keys
	OtherKeys  []string // files: keys that have signed nothing here
}

// Options choose what is run.
type Options struct {
	Level Level
	Only  []string // IDs, or prefixes of IDs that end in "-"; all when empty. One that chooses nothing is an error.
	Seed  uint64   // 0: chosen, and reported
	// App is the program in the pods of level lifecycle: sdk/conformance/internal/testapp/cmd/rkt-conformance-app, or the
	// command rkt-conformance, linked statically. conformance.Run builds it.
	App string
	// Unfetched skips FE-FETCH-01, which else fails, of a fetcher of which nothing can be fetched, for want of references.
	Unfetched bool
	// Large is the size in bytes of the layer that is fetched within the bound on memory; 192 MiB when 0.
	Large int64
	// Impatient makes every bound of time a tenth: for the kit's tests of itself, which wait for what never comes.
	Impatient bool
	// Log hears what happens, a line at a time; nil: nobody.
	Log func(format string, args ...any)
}

func (p Plugin) suite() suite.Plugin {
	var signed []suite.Signed
	for _, s := range p.Signed {
		signed = append(signed, suite.Signed(s))
	}
	return suite.Plugin{
		Dir: p.Dir, Config: p.Config, References: p.References, Missing: p.Missing, AllowHTTP: p.AllowHTTP, Signed: signed,
		Networks: p.Networks, NetConfigs: p.NetConfigs, MaxRSS: p.MaxRSS,
	}
}
