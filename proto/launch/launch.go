package launch

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Names in the environment, and the majors of the contract.
const (
	CookieKey   = "RKT_PLUGIN"
	CookieValue = "plugins are started by rkt, not by hand"
	EnvFDs      = "RKT_FDS"
	// EnvProtocols lists, ascending, the majors to choose from: "1,2". EnvSocketDir names the socket's directory.
	EnvProtocols = "PLUGIN_PROTOCOL_VERSIONS"
	EnvSocketDir = "PLUGIN_UNIX_SOCKET_DIR"
	// Protocol is the newest major: of the packages rkt.<area>.v1.
	Protocol = 1
)

// Names of donated descriptors.
const (
	FDLock  = "lock"  // the pod directory, with the exclusive flock: holding it open is what "running" means
	FDNetns = "netns" // the pod's network namespace
	// FDSource is the file or directory that an image reference names (SourcePath), for Fetch alone, FDSignature the file
	// of --signature. A fetcher runs unprivileged and may be unable to open what its caller can, so core opens it.
	FDSource    = "source"
	FDSignature = "signature"
)

// maxFD is above what any process may have open (fs.nr_open can go to 2^30).
const maxFD = 1 << 30

// FDs maps the name of a donated descriptor to its number.
type FDs map[string]int

// ParseFDs reads RKT_FDS.
func ParseFDs(s string) (FDs, error) {
	fds := FDs{}
	if s == "" {
		return fds, nil
	}
	for _, item := range strings.Split(s, ",") {
		name, num, ok := strings.Cut(item, ":")
		n, err := strconv.Atoi(num)
		if !ok || name == "" || err != nil || n < 3 || n > maxFD {
			return nil, fmt.Errorf("parse %s: %q is not NAME:NUMBER with a number above 2", EnvFDs, item)
		}
		if _, dup := fds[name]; dup {
			return nil, fmt.Errorf("parse %s: %q is given twice", EnvFDs, name)
		}
		for other, taken := range fds {
			if taken == n { // two owners would each close it
				return nil, fmt.Errorf("parse %s: %q and %q are both descriptor %d", EnvFDs, other, name, n)
			}
		}
		fds[name] = n
	}
	return fds, nil
}

// Format writes fds as ParseFDs reads it. names gives the order.
func Format(names []string, fds FDs) string {
	var items []string
	for _, name := range names {
		items = append(items, name+":"+strconv.Itoa(fds[name]))
	}
	return strings.Join(items, ",")
}

// Take reads RKT_FDS of this process, sets close-on-exec on every descriptor in it, so that no child holds
// a pod's lock by accident, and removes the variable.
func Take() (FDs, error) {
	fds, err := ParseFDs(os.Getenv(EnvFDs))
	if err != nil {
		return nil, err
	}
	for _, n := range fds {
		syscall.CloseOnExec(n)
	}
	return fds, os.Unsetenv(EnvFDs)
}
