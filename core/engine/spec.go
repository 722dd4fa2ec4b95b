package engine

import (
	"github.com/rkt/rkt/v2/core/network"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// PullPolicy says when the network is asked for an image.
type PullPolicy string

// The policies (rkt-features.md IMG-15).
const (
	PullNever  PullPolicy = "never"  // the store only
	PullNew    PullPolicy = "new"    // the store first
	PullUpdate PullPolicy = "update" // the image's origin first
)

// PodSpec is what a user asks for: prepare's half, fixed before the start.
type PodSpec struct {
	Apps        []AppSpec
	Volumes     []poddir.Volume
	Mounts      []poddir.Mount // for every app
	Ports       []PortSpec
	Env         []string // --set-env, over --set-env-file: for every app
	EnvFile     []string
	InheritEnv  []string // the caller's environment, weakest of all
	Hostname    string
	Stage1      string // empty: the configured one
	Interactive bool   // stdin reaches the one app
	Terminal    bool   // and is a terminal
	PullPolicy  PullPolicy
	Annotations map[string]string
}

// AppSpec is one image with the flags after it.
type AppSpec struct {
	Image     string
	Signature string // file

	Name              string
	Exec              string   // replaces the image's entrypoint
	Args              []string // replaces the image's arguments; nil: keep them
	User              string
	Group             string
	SupplementaryGIDs []uint32
	Dir               string
	Env               []string // --environment, strongest
	Mounts            []poddir.Mount
	ReadOnlyRoot      bool
	Memory            int64
	CPUMillis         int64
	CPUShares         uint64
	OOMScoreAdj       *int
	CapsRetain        []string // nil: the default set
	CapsRemove        []string
	StopSignal        string
	Annotations       map[string]string
}

// PortSpec publishes a port that the image names ("http", "80-tcp"), or a number of the user's own.
type PortSpec struct {
	Name     string
	HostIP   string
	HostPort uint16
}

// RunOptions are run-prepared's half: what belongs to the start.
type RunOptions struct {
	Network      poddir.NetworkMode
	Networks     []poddir.NetworkRequest
	Identity     network.Identity
	Remove       bool
	Detached     bool
	UUIDFileSave string
}
