package appc

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
)

var (
	acNameRE       = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	acIdentifierRE = regexp.MustCompile(`^[a-z0-9]+([-._~/][a-z0-9]+)*$`)
	envNameRE      = regexp.MustCompile(`^[A-Za-z_][A-Za-z_0-9.-]*$`)
	semverRE       = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$`)
)

// Manifest is an image manifest (spec/aci.md). Fields that rkt does not use are not here.
type Manifest struct {
	ACKind        string       `json:"acKind"`
	ACVersion     string       `json:"acVersion"`
	Name          string       `json:"name"`
	Labels        Pairs        `json:"labels"`
	App           *App         `json:"app"`
	Annotations   Pairs        `json:"annotations"`
	Dependencies  []Dependency `json:"dependencies"`
	PathWhitelist []string     `json:"pathWhitelist"`
}

// App is what the image runs. An image without one is a base for others, or run with --exec.
type App struct {
	Exec              []string          `json:"exec"`
	User              string            `json:"user"`
	Group             string            `json:"group"`
	SupplementaryGIDs []uint32          `json:"supplementaryGIDs"`
	WorkingDirectory  string            `json:"workingDirectory"`
	Environment       []EnvVar          `json:"environment"`
	EventHandlers     []EventHandler    `json:"eventHandlers"`
	MountPoints       []MountPoint      `json:"mountPoints"`
	Ports             []Port            `json:"ports"`
	Isolators         []Isolator        `json:"isolators"`
	UserAnnotations   map[string]string `json:"userAnnotations"`
	UserLabels        map[string]string `json:"userLabels"`
}

// EnvVar is one variable.
type EnvVar struct{ Name, Value string }

// EventHandler is a command before the start or after the stop.
type EventHandler struct {
	Name string   `json:"name"`
	Exec []string `json:"exec"`
}

// MountPoint is a place that wants a volume.
type MountPoint struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	ReadOnly bool   `json:"readOnly"`
}

// Port is a named port, or count of them from there on.
type Port struct {
	Name            string `json:"name"`
	Protocol        string `json:"protocol"`
	Port            uint16 `json:"port"`
	Count           uint16 `json:"count"`
	SocketActivated bool   `json:"socketActivated"`
}

// Isolator keeps its value as the image has it.
type Isolator struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// Dependency is an image that this one is laid over.
type Dependency struct {
	ImageName string `json:"imageName"`
	ImageID   string `json:"imageID"`
	Labels    Pairs  `json:"labels"`
}

// Pair is a label or an annotation.
type Pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Pairs is a list with unique names, in the order of the document.
type Pairs []Pair

// Get returns the value of name.
func (p Pairs) Get(name string) (string, bool) {
	i := slices.IndexFunc(p, func(x Pair) bool { return x.Name == name })
	if i < 0 {
		return "", false
	}
	return p[i].Value, true
}

// Map returns the pairs as a map.
func (p Pairs) Map() map[string]string {
	m := make(map[string]string, len(p))
	for _, x := range p {
		m[x.Name] = x.Value
	}
	return m
}

func (p Pairs) check(what string) error {
	seen := map[string]bool{}
	for _, x := range p {
		if !acIdentifierRE.MatchString(x.Name) {
			return fmt.Errorf("%s: %q is no AC identifier", what, x.Name)
		}
		if seen[x.Name] {
			return fmt.Errorf("%s: %q is there twice", what, x.Name)
		}
		seen[x.Name] = true
	}
	return nil
}
