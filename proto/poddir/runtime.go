package poddir

// Runtime is runtime.json: what only the moment of the start knows.
type Runtime struct {
	Schema  int     `json:"schema"`
	DataDir string  `json:"dataDir"` // rkt's data directory, absolute
	Network Network `json:"network"`
	Cgroup  Cgroup  `json:"cgroup"`
	// Finish is the program that the supervisor becomes at the end: absolute path and arguments of
	// `rkt finish`. When the file is gone the supervisor exits with the pod's status itself.
	Finish []string `json:"finish"`
	// Remove says that the pod directory goes away at the end (--rm), so nothing in it need survive a crash.
	Remove bool `json:"remove,omitempty"`
	// Detached says that the pod's output goes to logs/NAME.log instead of the supervisor's own 1 and 2.
	Detached bool `json:"detached,omitempty"`
	// GraceSeconds is the time between an app's stop signal and SIGKILL.
	GraceSeconds int  `json:"graceSeconds"`
	Debug        bool `json:"debug,omitempty"`
}

// NetworkMode says whose network namespace the pod lives in.
type NetworkMode string

// The modes. With NetworkNone and NetworkPlugin the namespace is donated as descriptor "netns".
const (
	NetworkHost   NetworkMode = "host"
	NetworkNone   NetworkMode = "none"
	NetworkPlugin NetworkMode = "plugin"
)

// Network is the answer of the network step.
type Network struct {
	Mode       NetworkMode      `json:"mode"`
	Requests   []NetworkRequest `json:"requests,omitempty"`
	Interfaces []Interface      `json:"interfaces,omitempty"`
	DNS        DNS              `json:"dns"`
}

// NetworkRequest names a network and its arguments (CNI_ARGS).
type NetworkRequest struct {
	Name string            `json:"name"`
	Args map[string]string `json:"args,omitempty"`
}

// Interface is one link inside the pod.
type Interface struct {
	Network   string   `json:"network"`
	Name      string   `json:"name"`
	MAC       string   `json:"mac,omitempty"`
	MTU       uint32   `json:"mtu,omitempty"`
	Addresses []string `json:"addresses"` // CIDR
	Gateways  []string `json:"gateways,omitempty"`
	Routes    []Route  `json:"routes,omitempty"`
}

// Route is one route inside the pod.
type Route struct {
	Destination string `json:"destination"`
	Gateway     string `json:"gateway,omitempty"`
}

// DNS is what resolv.conf is made of.
type DNS struct {
	Nameservers []string `json:"nameservers,omitempty"`
	Search      []string `json:"search,omitempty"`
	Options     []string `json:"options,omitempty"`
	Domain      string   `json:"domain,omitempty"`
}

// Cgroup is the pod's cgroup, made by core; a stage1 makes one child per app in it.
type Cgroup struct {
	// Version is 1, 2, or 0 when the host has no usable cgroups.
	Version int `json:"version"`
	// Dirs holds the pod's directory per controller on v1 ("memory" -> "/sys/fs/cgroup/memory/rkt/UUID");
	// on v2 the only key is "" and the directory is the pod's.
	Dirs map[string]string `json:"dirs,omitempty"`
	// Skipped names controllers that are missing or cannot be used, each with the reason.
	Skipped map[string]string `json:"skipped,omitempty"`
}
