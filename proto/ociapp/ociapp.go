// Package ociapp is the typed blob that lies beside an OCI config and says what the config cannot: an ACI's
// isolators, named ports, mount points, event handlers. A fetcher's Convert writes it, core reads it. It uses
// the standard library alone.
package ociapp

import "encoding/json"

// MediaType of the blob.
const MediaType = "application/vnd.rkt.app.v1+json"

// App is the blob. Field meanings are appc's (spec/aci.md, schema 0.8).
type App struct {
	Schema            int               `json:"schema"` // 1
	Format            string            `json:"format"` // "appc"
	Name              string            `json:"name,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	ID                string            `json:"id,omitempty"` // "sha512-<hex>" of the uncompressed ACI
	Group             string            `json:"group,omitempty"`
	SupplementaryGIDs []uint32          `json:"supplementaryGIDs,omitempty"`
	Ports             []Port            `json:"ports,omitempty"`
	MountPoints       []MountPoint      `json:"mountPoints,omitempty"`
	Isolators         []Isolator        `json:"isolators,omitempty"`
	EventHandlers     []EventHandler    `json:"eventHandlers,omitempty"`
	UserAnnotations   map[string]string `json:"userAnnotations,omitempty"`
	UserLabels        map[string]string `json:"userLabels,omitempty"`
}

// Port is a named port.
type Port struct {
	Name            string `json:"name"`
	Protocol        string `json:"protocol"`
	Port            uint16 `json:"port"`
	Count           uint16 `json:"count,omitempty"` // so many ports from Port on; 0 means 1
	SocketActivated bool   `json:"socketActivated,omitempty"`
}

// MountPoint is a place that wants a volume.
type MountPoint struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// Isolator is kept as the image has it; core interprets the ones it knows and names the others.
type Isolator struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// EventHandler is a pre-start or post-stop command.
type EventHandler struct {
	Name string   `json:"name"`
	Exec []string `json:"exec"`
}
