package engine

import (
	"path/filepath"

	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// LogFile is where a detached pod's app writes. The pod stays at info.Path while it runs.
func (e *Engine) LogFile(prefix, app string) (string, *pod.Info, error) {
	id, err := e.Pods.Resolve(prefix)
	if err != nil {
		return "", nil, err
	}
	info, err := e.Pods.Info(id)
	if err != nil {
		return "", nil, err
	}
	if info.Err != nil {
		return "", nil, info.Err
	}
	if app, err = chooseApp(info.Pod.Apps, app); err != nil {
		return "", info, err
	}
	return filepath.Join(info.Path, poddir.LogsDir, app+".log"), info, nil
}
