package suite

// Plugin is what is tested: conformance.Plugin, which says what the fields are.
type Plugin struct {
	Dir        string
	Config     []byte
	References []string
	Missing    []string
	AllowHTTP  bool
	Signed     []Signed
	Networks   []string
	NetConfigs string
	MaxRSS     int64
}

// Signed is conformance.Signed.
type Signed struct {
	MediaType  string
	Image      string
	Signatures []string
	SigType    string
	Name       string
	Keys       []string
	OtherKeys  []string
}

// Options are conformance.Options.
type Options struct {
	Level     Level
	Only      []string
	Seed      uint64
	App       string
	Unfetched bool
	Large     int64
	Impatient bool
	Log       func(format string, args ...any)
}
