package poddir

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Names in a pod directory.
const (
	PodFile     = "pod.json"
	RuntimeFile = "runtime.json"
	PluginsFile = "plugins.json"
	PidFile     = "pid"
	ReadyFile   = "ready"
	ExitFile    = "exit"
	ControlSock = "ctl"
	StatusDir   = "status"
	NetDir      = "net"
	EtcDir      = "etc"
	AppsDir     = "apps"
	VolumesDir  = "volumes"
	Stage1Dir   = "stage1"
	LogsDir     = "logs"
	LimitsDir   = "limits"
	SettingsDir = "settings"
)

// ReadJSON decodes name in the pod directory dir into v.
func ReadJSON(dir, name string, v any) error {
	b, err := readFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Join(dir, name), err)
	}
	return nil
}

// WriteJSON encodes v and renames it into place. Mode 0640: the group of the data directory may list pods.
// It does not fsync: a pod's run-time files mean nothing after a power loss. What must survive one is
// written through core's atomicfile.
func WriteJSON(dir, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return WriteFile(dir, name, append(b, '\n'))
}

// WriteFile writes b and renames it into place. The directory of a name such as stage1/machine.json is made.
func WriteFile(dir, name string, b []byte) error {
	path := filepath.Join(dir, name)
	if sub := filepath.Dir(name); sub != "." {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o750); err != nil {
			return err
		}
	}
	tmp := path + ".tmp" + strconv.Itoa(os.Getpid())
	if err := os.WriteFile(tmp, b, 0o640); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

// ReadPid returns the supervisor's pid, or fs.ErrNotExist when the pod has not been started.
func ReadPid(dir string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dir, PidFile))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("read %s: %q is no pid: %w", filepath.Join(dir, PidFile), b, fs.ErrInvalid)
	}
	return pid, nil
}

// ReadStatus returns the status of each app that has one.
func ReadStatus(dir string) (map[string]AppStatus, error) {
	entries, err := os.ReadDir(filepath.Join(dir, StatusDir))
	if err != nil {
		return nil, err
	}
	out := make(map[string]AppStatus, len(entries))
	for _, e := range entries {
		if strings.Contains(e.Name(), ".tmp") {
			continue
		}
		var s AppStatus
		if err := ReadJSON(filepath.Join(dir, StatusDir), e.Name(), &s); err != nil {
			return nil, err
		}
		out[e.Name()] = s
	}
	return out, nil
}
