package plugin

import "context"

// Config is what the admin configured for the plugin.
type Config struct {
	// JSON is <local-config>/plugins/<name>.json, byte for byte.
	JSON []byte
	// Path is that file's, also where there is none, for messages: "write {...} to PATH". Do not open it. Empty: rkt did
	// not say.
	Path string
	// CoreVersion is rkt's own, for logs. Never branch on it: ask for a capability.
	CoreVersion string
	// CoreCapabilities are rkt's optional abilities.
	CoreCapabilities []string
	// CacheDir outlives the process and may vanish at any time. Empty: there is none.
	CacheDir string
}

// Configurer is implemented by a plugin that has a configuration. Ship its JSON schema with it (Info.ConfigSchema), and
// let a test keep both equal: what the schema refuses, an operator sees before anything runs. rkt calls Configure at most
// once in a process's life, before any other method, and only when there is a file or a cache directory. The contract lets a
// caller call again, also after a refusal, and the last call counts (the conformance kit does). No other method of the
// plugin's runs beside it, so that it needs no lock.
type Configurer interface {
	Configure(ctx context.Context, c Config) ([]Diagnostic, error)
}

// Prober is implemented by a plugin that needs something from the host. Probe changes nothing.
type Prober interface {
	Probe(ctx context.Context) ([]Finding, error)
}

// Severity of a Diagnostic.
type Severity int

// The severities.
const (
	SeverityError   Severity = 1 // cannot go on
	SeverityWarning Severity = 2 // goes on, the user is told
)

// Diagnostic is one remark about a document.
type Diagnostic struct {
	Severity Severity
	Summary  string // one line, lower case, no full stop
	Detail   string
	Field    string // path in the document: "apps[1].resources.memoryBytes"
}

// Finding is one fact about the host.
type Finding struct {
	ID       string // "kvm"
	OK       bool
	Required bool   // false: an ability is missing, the rest works
	Summary  string // what was found
	Remedy   string // the line to type, empty when OK
}

// Requires says what a host must have; `rkt plugin check` reads it without starting the plugin.
type Requires struct {
	Devices  []string
	Binaries []string
}
