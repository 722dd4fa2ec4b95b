package poddir

import "time"

// Schema is the version of every JSON document in a pod directory.
const Schema = 1

// Pod is pod.json: what to run. Nothing in it depends on the moment of the start.
type Pod struct {
	Schema      int               `json:"schema"`
	UUID        string            `json:"uuid"`
	Hostname    string            `json:"hostname"`
	Created     time.Time         `json:"created"`
	Stage1      string            `json:"stage1"` // flavor, as chosen at prepare
	Apps        []App             `json:"apps"`
	Volumes     []Volume          `json:"volumes,omitempty"`
	Ports       []Port            `json:"ports,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// App is one application of the pod, with everything that the image and the flags say merged.
type App struct {
	Name  string `json:"name"`
	Image Image  `json:"image"`

	// Argv is the whole command. Argv[0] without a slash is searched in the PATH of Env inside the app's
	// root; a relative path with a slash counts from Dir.
	Argv []string `json:"argv"`
	// User and Group are unresolved: a number, a name of the image's /etc/passwd or /etc/group, or an
	// absolute path whose owner counts (appc). User may be "user:group" (OCI); Group overrides that part.
	User              string   `json:"user,omitempty"`
	Group             string   `json:"group,omitempty"`
	SupplementaryGIDs []uint32 `json:"supplementaryGIDs,omitempty"`
	Dir               string   `json:"dir,omitempty"` // default "/"; created when missing
	Env               []string `json:"env"`           // "K=V", in order, names unique

	Rootfs       Rootfs    `json:"rootfs"`
	ReadOnlyRoot bool      `json:"readOnlyRoot,omitempty"`
	Mounts       []Mount   `json:"mounts,omitempty"` // sorted so that a parent comes before what lies below it
	Resources    Resources `json:"resources"`

	// Capabilities is the complete bounding set ("CAP_CHOWN"). A non-root user starts with none effective.
	Capabilities    []string `json:"capabilities"`
	Seccomp         Seccomp  `json:"seccomp"`
	NoNewPrivileges bool     `json:"noNewPrivileges,omitempty"`
	// UnprotectedPaths lifts the masked and read-only paths below /proc and /sys (--insecure-options=paths).
	UnprotectedPaths bool `json:"unprotectedPaths,omitempty"`

	Stdin      Stdin          `json:"stdin,omitempty"`      // default "null"
	StopSignal string         `json:"stopSignal,omitempty"` // "SIGTERM" when empty; a name or a number
	Handlers   []EventHandler `json:"handlers,omitempty"`

	Annotations map[string]string `json:"annotations,omitempty"`
}

// Image says where the app came from.
type Image struct {
	Name     string `json:"name"`     // as the user or the format calls it: "docker://docker.io/library/x:latest"
	Manifest string `json:"manifest"` // digest of the OCI manifest in rkt's store
	ID       string `json:"id"`       // what `rkt image list` shows
}

// Rootfs is an overlay of shared, read-only layer directories and one writable directory of the pod.
type Rootfs struct {
	Layers []string `json:"layers"` // absolute directories, lowest first; whiteouts are overlayfs's own
}

// Seccomp chooses a filter.
type Seccomp struct {
	Mode SeccompMode `json:"mode"`
}

// SeccompMode is "default" (the field's default profile, EPERM for what it refuses) or "unconfined".
type SeccompMode string

// The modes.
const (
	SeccompDefault    SeccompMode = "default"
	SeccompUnconfined SeccompMode = "unconfined"
)

// Stdin says what an app's standard input is.
type Stdin string

// The kinds of standard input. With StdinTTY, stdout and stderr are the same pseudo-terminal, which the
// supervisor copies to and from its own terminal.
const (
	StdinNull   Stdin = "null"
	StdinStream Stdin = "stream" // the supervisor's own descriptor 0
	StdinTTY    Stdin = "tty"
)

// Resources are an app's limits; zero means none.
type Resources struct {
	MemoryBytes int64  `json:"memoryBytes,omitempty"`
	CPUMillis   int64  `json:"cpuMillis,omitempty"` // 1000 is one CPU's time
	CPUShares   uint64 `json:"cpuShares,omitempty"` // cgroup v1 scale, 2..262144
	OOMScoreAdj *int   `json:"oomScoreAdj,omitempty"`
}

// Volume is a directory, file or device that apps mount.
type Volume struct {
	Name      string     `json:"name"`
	Kind      VolumeKind `json:"kind"`
	Source    string     `json:"source,omitempty"` // host: absolute path
	ReadOnly  bool       `json:"readOnly,omitempty"`
	Recursive bool       `json:"recursive,omitempty"` // host: submounts come along
	Mode      uint32     `json:"mode,omitempty"`      // empty: permission bits of the new directory
	UID       uint32     `json:"uid,omitempty"`       // empty
	GID       uint32     `json:"gid,omitempty"`       // empty
}

// VolumeKind is "host" or "empty".
type VolumeKind string

// The kinds of volume.
const (
	VolumeHost  VolumeKind = "host"
	VolumeEmpty VolumeKind = "empty"
)

// Mount places a volume in one app.
type Mount struct {
	Volume   string `json:"volume"`
	Target   string `json:"target"` // absolute, cleaned; symlinks are resolved inside the app's root
	ReadOnly bool   `json:"readOnly,omitempty"`
	// CopyUp fills an empty volume, the first time, with what the image has at Target, owners included
	// (what Docker does for VOLUME).
	CopyUp bool `json:"copyUp,omitempty"`
}

// Port is a published port.
type Port struct {
	Name     string `json:"name,omitempty"` // the image's name for it
	Protocol string `json:"protocol"`       // tcp, udp
	HostIP   string `json:"hostIP,omitempty"`
	HostPort uint16 `json:"hostPort"`
	PodPort  uint16 `json:"podPort"`
}

// EventHandler is an appc event handler ("pre-start", "post-stop"): runs as root in the app's root.
type EventHandler struct {
	Name string   `json:"name"`
	Exec []string `json:"exec"`
}
