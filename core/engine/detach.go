package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rkt/rkt/v2/core/execute"
	"github.com/rkt/rkt/v2/core/pod"
	"github.com/rkt/rkt/v2/proto/poddir"
)

// RunDetached prepares a pod here, where progress and errors are seen, and starts it in the background. It
// returns when every app has been started.
func (e *Engine) RunDetached(ctx context.Context, spec PodSpec, opts RunOptions) (string, error) {
	p, _, err := e.prepare(ctx, spec, opts.UUIDFileSave, nil)
	if err != nil {
		return "", err
	}
	err = p.MoveTo(pod.Prepared)
	p.Close()
	if err != nil {
		return p.UUID, err
	}
	uuidFile := opts.UUIDFileSave
	opts.UUIDFileSave = "" // done
	if _, err := e.Detach(ctx, p.UUID, opts); err != nil {
		// As with Run, a pod that could not start is gone; its log is in the error.
		if _, rerr := e.Remove(context.WithoutCancel(ctx), p.UUID); rerr != nil && !isGone(rerr) {
			e.Observer.warn("pod %s: %v", p.UUID, rerr)
		} else {
			forgetUUID(uuidFile, p.UUID)
		}
		return p.UUID, err
	}
	return p.UUID, nil
}

// Detach starts a prepared pod in a session of its own, its output in files, and returns at ready.
func (e *Engine) Detach(ctx context.Context, prefix string, opts RunOptions) (string, error) {
	id, err := e.Pods.Resolve(prefix)
	if err != nil {
		return "", err
	}
	info, err := e.Pods.Info(id)
	if err != nil {
		return id, err
	}
	if info.State != pod.StatePrepared {
		return id, &pod.StateError{UUID: id, Is: info.State, Want: string(pod.StatePrepared)}
	}
	logs := filepath.Join(info.Path, poddir.LogsDir)
	if err := os.MkdirAll(logs, 0o750); err != nil {
		return id, fmt.Errorf("make log directory: %w", err)
	}
	if err := saveUUID(opts.UUIDFileSave, id); err != nil {
		return id, err
	}
	opts.Detached, opts.UUIDFileSave = true, ""
	said, err := execute.Detached(ctx, execute.Background{
		Exe: e.exe, Args: append(e.globalArgs(), "start", id), Options: opts, Log: filepath.Join(logs, "rkt.log"), Verb: "start",
	})
	for line := range strings.Lines(said) {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "rkt: "); line != "" {
			e.Observer.warn("%s", line)
		}
	}
	return id, err
}

// globalArgs are the flags that make another rkt see what this one sees.
func (e *Engine) globalArgs() []string {
	args := []string{"--dir=" + e.Config.Dir, "--local-config=" + e.Config.LocalConfig, "--system-config=" + e.Config.SystemConfig}
	if e.Config.Debug {
		args = append(args, "--debug")
	}
	if e.Config.Insecure.Plugin {
		args = append(args, "--insecure-options=plugin")
	}
	for _, d := range e.Config.PluginPath {
		args = append(args, "--plugin-dir="+d)
	}
	return args
}
