package process

import (
	"os"
	"time"

	"github.com/rkt/rkt/v2/proto/manifest"
)

// FD is a descriptor to donate under a name of proto/launch.
type FD struct {
	Name string
	File *os.File
}

// Options of a start.
type Options struct {
	Dir, Exec string // the plugin's directory and its binary's name
	// Kind is the service that the plugin is started for: it decides user and capabilities as in core. Only root can
	// take them away; another user's plugin keeps the user's.
	Kind      string
	SocketDir string
	Versions  string // PLUGIN_PROTOCOL_VERSIONS; "1" when empty
	NoCookie  bool
	Env       []string // beside the contract's variables
	FDs       []FD
	// Host is the network namespace that plays the host for the plugin; nil: this one.
	Host *os.File
	// ReadOnly makes everything but Writable and the socket's directory read-only; NoTmp makes /tmp empty beside that
	// (root only).
	ReadOnly, NoTmp bool
	Writable        []string
	// NoNetwork gives it an empty network namespace (root only).
	NoNetwork bool
	// Handshake is how long the line may take; 10 s when 0. The contract says 5 s, on a machine with nothing else to do.
	Handshake time.Duration
}

// nobody is whom plugins that look at strangers' bytes run as, when root starts them.
const nobody = 65534

// User returns the uid that a plugin of the kind runs as.
func User(kind string) int {
	if os.Geteuid() == 0 && (kind == manifest.ServiceFetcher || kind == manifest.ServiceVerifier) {
		return nobody
	}
	return os.Geteuid()
}
