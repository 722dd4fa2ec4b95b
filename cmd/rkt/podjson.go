package main

import (
	"strings"

	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// podJSON is a pod in list and status (rkt-features.md CLI-21). Times are nanoseconds since 1970. Lists are always
// there, empty when there is nothing, so that `.apps[]` works; what is not known or does not apply is left out.
// There is never a null.
type podJSON struct {
	Name        string            `json:"name" jsonschema:"the UUID"`
	State       pod.State         `json:"state"`
	Networks    []networkJSON     `json:"networks"`
	AppNames    []string          `json:"app_names" jsonschema:"the same as the names in apps"`
	Apps        []appJSON         `json:"apps"`
	Stage1      string            `json:"stage1,omitempty" jsonschema:"isolation flavor"`
	Pid         int               `json:"pid,omitempty" jsonschema:"of the pod's process, while it runs"`
	ExitCode    *int              `json:"exit_code,omitempty" jsonschema:"the first failing app's, else 0; missing while it runs and when it was killed"`
	CreatedAt   *int64            `json:"created_at,omitempty" jsonschema:"nanoseconds since 1970"`
	StartedAt   *int64            `json:"started_at,omitempty" jsonschema:"nanoseconds since 1970"`
	Annotations map[string]string `json:"user_annotations,omitempty"`
	Error       string            `json:"error,omitempty" jsonschema:"what of the pod cannot be read"`
}

type networkJSON struct {
	Name      string   `json:"netName"`
	Interface string   `json:"ifName"`
	IP        string   `json:"ip,omitempty" jsonschema:"the first address, without its prefix length"`
	Addresses []string `json:"addresses" jsonschema:"with their prefix lengths"`
	Gateways  []string `json:"gateways"`
}

// appState is poddir's, and what there is to say of an app that has none.
type appState string

const (
	appCreated appState = "created"
	appUnknown appState = "unknown" // the supervisor was killed before it could say
)

type appJSON struct {
	Name       string      `json:"name"`
	State      appState    `json:"state"`
	ImageName  string      `json:"image_name"`
	ImageID    string      `json:"image_id"`
	CreatedAt  *int64      `json:"created_at,omitempty" jsonschema:"nanoseconds since 1970"`
	StartedAt  *int64      `json:"started_at,omitempty" jsonschema:"nanoseconds since 1970"`
	FinishedAt *int64      `json:"finished_at,omitempty" jsonschema:"nanoseconds since 1970"`
	ExitCode   *int        `json:"exit_code,omitempty" jsonschema:"as a shell shows it: 128+n after signal n"`
	Signal     string      `json:"signal,omitempty" jsonschema:"that ended it, as in SIGKILL"`
	OOM        bool        `json:"oom,omitempty" jsonschema:"the kernel killed it at its memory limit"`
	Reason     string      `json:"reason,omitempty" jsonschema:"why it could not be executed"`
	Mounts     []mountJSON `json:"mounts"`
	// Limits are those in force, which `rkt update` may have changed.
	Limits *limitsJSON `json:"limits,omitempty"`
}

type limitsJSON struct {
	MemoryBytes int64  `json:"memory_bytes,omitempty"`
	CPUMillis   int64  `json:"cpu_millis,omitempty"`
	CPUShares   uint64 `json:"cpu_shares,omitempty"`
}

type mountJSON struct {
	Name          string `json:"name"`
	ContainerPath string `json:"container_path"`
	HostPath      string `json:"host_path,omitempty"`
	ReadOnly      bool   `json:"read_only"`
}

func newPodJSON(i pod.Info) podJSON {
	p := podJSON{
		Name: i.UUID, State: i.State, Stage1: i.Pod.Stage1, Pid: i.Pid,
		CreatedAt: unixNano(i.Pod.Created), StartedAt: unixNano(i.Started), Annotations: i.Pod.Annotations,
		Networks: []networkJSON{}, AppNames: []string{}, Apps: []appJSON{},
	}
	if i.Err != nil {
		p.Error = i.Err.Error()
	}
	if i.Exit != nil {
		p.ExitCode = &i.Exit.Code
	}
	if i.Runtime != nil {
		for _, n := range i.Runtime.Network.Interfaces {
			j := networkJSON{Name: n.Network, Interface: n.Name, Addresses: list(n.Addresses), Gateways: list(n.Gateways)}
			j.IP, _, _ = strings.Cut(first(n.Addresses), "/")
			p.Networks = append(p.Networks, j)
		}
	}
	for _, app := range i.Pod.Apps {
		p.AppNames = append(p.AppNames, app.Name)
		p.Apps = append(p.Apps, newAppJSON(i, app))
	}
	return p
}

// list is s, and never null.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func newAppJSON(i pod.Info, app poddir.App) appJSON {
	a := appJSON{Name: app.Name, State: appCreated, ImageName: app.Image.Name, ImageID: app.Image.ID, CreatedAt: unixNano(i.Pod.Created), Mounts: []mountJSON{}}
	for _, m := range app.Mounts {
		j := mountJSON{Name: m.Volume, ContainerPath: m.Target, ReadOnly: m.ReadOnly}
		for _, v := range i.Pod.Volumes {
			if v.Name == m.Volume {
				j.HostPath, j.ReadOnly = v.Source, j.ReadOnly || v.ReadOnly
			}
		}
		a.Mounts = append(a.Mounts, j)
	}
	if l := (limitsJSON{app.Resources.MemoryBytes, app.Resources.CPUMillis, app.Resources.CPUShares}); l != (limitsJSON{}) {
		a.Limits = &l
	}
	st, ok := i.Apps[app.Name]
	if !ok {
		if i.State != pod.StateRunning && i.State != pod.StatePrepared && i.State != pod.StatePreparing {
			a.State = appUnknown
		}
		return a
	}
	a.State, a.StartedAt = appState(st.State), unixNano(st.Started)
	switch {
	case st.State == poddir.AppExited:
		a.FinishedAt, a.ExitCode, a.Signal, a.OOM, a.Reason = unixNano(st.Finished), &st.Code, st.Signal, st.OOM, st.Reason
	case i.State != pod.StateRunning:
		a.State = appUnknown
	}
	return a
}
