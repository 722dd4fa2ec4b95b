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
	Name        string            `json:"name"`
	State       string            `json:"state"`
	Networks    []networkJSON     `json:"networks"`
	AppNames    []string          `json:"app_names"`
	Apps        []appJSON         `json:"apps"`
	Stage1      string            `json:"stage1,omitempty"`
	Pid         int               `json:"pid,omitempty"`
	ExitCode    *int              `json:"exit_code,omitempty"`
	CreatedAt   *int64            `json:"created_at,omitempty"`
	StartedAt   *int64            `json:"started_at,omitempty"`
	Annotations map[string]string `json:"user_annotations,omitempty"`
	Error       string            `json:"error,omitempty"`
}

type networkJSON struct {
	Name      string   `json:"netName"`
	Interface string   `json:"ifName"`
	IP        string   `json:"ip,omitempty"` // the first address, without its prefix length
	Addresses []string `json:"addresses"`    // CIDR
	Gateways  []string `json:"gateways"`
}

type appJSON struct {
	Name       string      `json:"name"`
	State      string      `json:"state"` // created, running, exited or unknown
	ImageName  string      `json:"image_name"`
	ImageID    string      `json:"image_id"`
	CreatedAt  *int64      `json:"created_at,omitempty"`
	StartedAt  *int64      `json:"started_at,omitempty"`
	FinishedAt *int64      `json:"finished_at,omitempty"`
	ExitCode   *int        `json:"exit_code,omitempty"`
	Signal     string      `json:"signal,omitempty"`
	OOM        bool        `json:"oom,omitempty"`
	Reason     string      `json:"reason,omitempty"`
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
		Name: i.UUID, State: string(i.State), Stage1: i.Pod.Stage1, Pid: i.Pid,
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
	a := appJSON{Name: app.Name, State: "created", ImageName: app.Image.Name, ImageID: app.Image.ID, CreatedAt: unixNano(i.Pod.Created), Mounts: []mountJSON{}}
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
			a.State = "unknown"
		}
		return a
	}
	a.State, a.StartedAt = string(st.State), unixNano(st.Started)
	switch {
	case st.State == poddir.AppExited:
		a.FinishedAt, a.ExitCode, a.Signal, a.OOM, a.Reason = unixNano(st.Finished), &st.Code, st.Signal, st.OOM, st.Reason
	case i.State != pod.StateRunning:
		a.State = "unknown" // the supervisor was killed before it could say
	}
	return a
}
