package broken

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/proto/reason"
	pluginv1 "github.com/rkt/rkt/v2/proto/rkt/plugin/v1"
	stage1v1 "github.com/rkt/rkt/v2/proto/rkt/stage1/v1"
)

// stage1 runs each app in a chroot, in the pod's network namespace.
type stage1 struct {
	stage1v1.UnimplementedStage1ServiceServer
	*plugin
}

func diagnostic(field, summary string) *stage1v1.ValidateResponse {
	return &stage1v1.ValidateResponse{Diagnostics: []*pluginv1.Diagnostic{
		{Severity: pluginv1.Diagnostic_SEVERITY_ERROR, Field: field, Summary: summary},
	}}
}

func (s *stage1) Validate(_ context.Context, req *stage1v1.ValidateRequest) (*stage1v1.ValidateResponse, error) {
	var pod poddir.Pod
	b, err := os.ReadFile(filepath.Join(req.GetPodDir(), poddir.PodFile))
	if err == nil {
		d := json.NewDecoder(strings.NewReader(string(b)))
		if s.is("knows-every-key") {
			d.DisallowUnknownFields()
		}
		err = d.Decode(&pod)
	}
	if err == nil && pod.Schema != poddir.Schema {
		err = fmt.Errorf("schema %d", pod.Schema)
	}
	if err != nil && !s.is("takes-any-document") {
		return nil, fail(reason.Internal, "%v", err)
	}
	if s.is("refuses-every-pod") {
		return diagnostic("apps", "not today"), nil
	}
	if s.is("marks-what-it-has-seen") {
		_ = os.WriteFile(filepath.Join(req.GetPodDir(), "seen"), nil, 0o600)
	}
	if len(pod.Volumes) > 0 && !s.is("takes-any-volume") {
		return diagnostic("volumes", "a chroot has none"), nil
	}
	return &stage1v1.ValidateResponse{}, nil
}

func (s *stage1) Run(_ context.Context, req *stage1v1.RunRequest) (*stage1v1.ExecPlan, error) {
	plan := &stage1v1.ExecPlan{Args: []string{"supervise"}, KeepFds: []string{launch.FDLock, launch.FDNetns}}
	own := filepath.Join(req.GetPodDir(), poddir.Stage1Dir)
	err := os.MkdirAll(own, 0o750)
	switch {
	case s.is("plans-a-foreign-program"):
		plan.Program = "../../bin/sh"
	case s.is("plans-a-lost-descriptor"):
		plan.KeepFds = append(plan.KeepFds, "pidfd")
	case s.is("runs-once"):
		var f *os.File
		if f, err = os.OpenFile(filepath.Join(own, "begun"), os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			f.Close()
		}
	case s.is("litters-the-pod"):
		err = os.WriteFile(filepath.Join(req.GetPodDir(), "litter"), nil, 0o600)
	case s.is("leaves-a-mount"):
		err = unix.Mount("left", own, "tmpfs", 0, "")
	}
	if err != nil {
		return nil, fail(reason.Internal, "%v", err)
	}
	return plan, nil
}

// running asks for the lock of the pod.
func running(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

func (s *stage1) Enter(_ context.Context, req *stage1v1.EnterRequest) (*stage1v1.ExecPlan, error) {
	if !running(req.GetPodDir()) && !s.is("enters-the-dead") {
		return nil, fail(reason.PodNotRunning, "the pod does not run")
	}
	status, err := poddir.ReadStatus(req.GetPodDir())
	if _, ok := status[req.GetApp()]; !ok && !s.is("enters-the-unknown") && !s.is("enters-the-dead") {
		return nil, fail(reason.AppNotFound, "app %q: %v", req.GetApp(), err)
	}
	return &stage1v1.ExecPlan{Args: append([]string{"enter", req.GetPodDir(), req.GetApp()}, req.GetCommand()...)}, nil
}

func (s *stage1) Stats(_ context.Context, req *stage1v1.StatsRequest) (*stage1v1.StatsResponse, error) {
	if !running(req.GetPodDir()) && !s.is("counts-the-dead") {
		return nil, fail(reason.PodNotRunning, "the pod does not run")
	}
	return &stage1v1.StatsResponse{}, nil
}

// dead is the answer of verbs that a chroot has no use for: about the living it says so.
func (s *stage1) dead(dir, fault string) error {
	if !running(dir) && !s.is(fault) {
		return fail(reason.PodNotRunning, "the pod does not run")
	}
	return fail(reason.Internal, "not in a chroot")
}

func (s *stage1) Attach(_ context.Context, req *stage1v1.AttachRequest) (*stage1v1.ExecPlan, error) {
	return nil, s.dead(req.GetPodDir(), "attaches-to-the-dead")
}

func (s *stage1) AddApp(_ context.Context, req *stage1v1.AppRequest) (*stage1v1.AppResponse, error) {
	return nil, s.dead(req.GetPodDir(), "")
}

func (s *stage1) StartApp(_ context.Context, req *stage1v1.AppRequest) (*stage1v1.AppResponse, error) {
	return nil, s.dead(req.GetPodDir(), "")
}

func (s *stage1) StopApp(_ context.Context, req *stage1v1.AppRequest) (*stage1v1.AppResponse, error) {
	return nil, s.dead(req.GetPodDir(), "")
}

func (s *stage1) RemoveApp(_ context.Context, req *stage1v1.AppRequest) (*stage1v1.AppResponse, error) {
	return nil, s.dead(req.GetPodDir(), "takes-from-the-dead")
}

func (s *stage1) UpdateResources(_ context.Context, req *stage1v1.UpdateResourcesRequest) (*stage1v1.UpdateResourcesResponse, error) {
	return nil, s.dead(req.GetPodDir(), "limits-the-dead")
}

// Stop speaks with the supervisor.
func (s *stage1) Stop(_ context.Context, req *stage1v1.StopRequest) (*stage1v1.StopResponse, error) {
	none := &stage1v1.StopResponse{}
	dir, err := os.Open(req.GetPodDir())
	var c net.Conn
	if err == nil {
		defer dir.Close()
		c, err = net.Dial("unix", filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), poddir.ControlSock))
	}
	if err != nil {
		if s.is("stops-the-living-alone") {
			return nil, fail(reason.Internal, "%v", err)
		}
		return none, nil
	}
	defer c.Close()
	ask := poddir.ControlRequest{Op: "stop", Force: req.GetForce(), GraceSeconds: int(req.GetGraceSeconds())}
	if s.is("stops-by-force") {
		ask.Force = true
	}
	if s.is("has-no-force") {
		ask.Force = false
	}
	if err := json.NewEncoder(c).Encode(ask); err != nil {
		return none, nil // it ended meanwhile
	}
	var reply poddir.ControlReply
	_ = json.NewDecoder(c).Decode(&reply)
	return none, nil
}

func (s *stage1) Cleanup(_ context.Context, req *stage1v1.CleanupRequest) (*stage1v1.CleanupResponse, error) {
	_, pidErr := os.Stat(filepath.Join(req.GetPodDir(), poddir.PidFile))
	_, exitErr := os.Stat(filepath.Join(req.GetPodDir(), poddir.ExitFile))
	if pidErr != nil && s.is("cleans-what-ran") {
		return nil, fail(reason.Internal, "%v", pidErr)
	}
	if pidErr == nil && exitErr != nil && s.is("cleans-what-ended") {
		return nil, fail(reason.Internal, "%v", exitErr)
	}
	return &stage1v1.CleanupResponse{}, nil
}

// enter is `rkt enter`: POD-DIR APP COMMAND... in the app's root.
func (p *plugin) enter(args []string) int {
	status, err := poddir.ReadStatus(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "enter:", err)
		return 254
	}
	cmd := &exec.Cmd{
		Path: args[2], Args: args[2:], Dir: "/", Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Chroot: fmt.Sprintf("/proc/%d/root", status[args[1]].Pid)},
	}
	if p.is("enters-without-a-terminal") {
		cmd.Stdin = nil
	}
	if p.is("enters-the-host") {
		cmd.SysProcAttr.Chroot = ""
		cmd.Path = "/proc/self/exe"
	}
	err = cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "enter:", err)
		return 254
	}
	if p.is("loses-the-status-of-what-entered") {
		return 0
	}
	return cmd.ProcessState.ExitCode()
}
