package stage1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/launch"
	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Base is the single-binary form's half of Stage1, to embed: Validate accepts everything, Run answers "execute
// this very binary as the supervisor", Stop asks the supervisor through its control socket.
type Base struct{}

var (
	_ Stage1  = Base{}
	_ Stopper = Base{}
)

// superviseArg makes the binary a supervisor.
const superviseArg = "supervise"

// Validate accepts every pod. Override it to refuse what the flavor cannot do, before anything starts.
func (Base) Validate(context.Context, string) ([]plugin.Diagnostic, error) { return nil, nil }

// Run makes nothing.
func (Base) Run(_ context.Context, req RunRequest) (ExecPlan, error) {
	plan := ExecPlan{Args: []string{superviseArg}, KeepFDs: []string{launch.FDLock}}
	if req.Netns >= 0 {
		plan.KeepFDs = append(plan.KeepFDs, launch.FDNetns)
	}
	return plan, nil
}

// Stop asks the supervisor. One that is not there has ended, or is about to.
func (Base) Stop(ctx context.Context, req StopRequest) error {
	grace := min(int64((req.Grace+time.Second-1)/time.Second), math.MaxInt32)
	reply, err := Control(ctx, req.PodDir, poddir.ControlRequest{Op: "stop", Force: req.Force, GraceSeconds: int(grace)})
	if errors.Is(err, ErrNoSupervisor) {
		return nil
	}
	if err != nil {
		return err
	}
	if !reply.OK {
		return plugin.Busy("the supervisor refused to stop: %s", reply.Error)
	}
	return nil
}

// ErrNoSupervisor says that nobody serves the control socket: the pod has ended, perhaps while it was asked.
var ErrNoSupervisor = errors.New("the pod has no supervisor")

// Control writes one request to the control socket of a pod directory and waits for the answer.
func Control(ctx context.Context, podDir string, req poddir.ControlRequest) (poddir.ControlReply, error) {
	var reply poddir.ControlReply
	fail := func(err error) (poddir.ControlReply, error) {
		return reply, fmt.Errorf("ask the supervisor to %s: %w", req.Op, err)
	}
	// The directory's descriptor keeps the address short (108 bytes) wherever the data directory is.
	dir, err := os.OpenFile(podDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return fail(ErrNoSupervisor)
	}
	if err != nil {
		return fail(err)
	}
	defer dir.Close()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), poddir.ControlSock))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return fail(ErrNoSupervisor)
	}
	if err != nil {
		return fail(err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := json.NewEncoder(c).Encode(req); err != nil {
		return fail(err)
	}
	if err := json.NewDecoder(io.LimitReader(c, 64<<10)).Decode(&reply); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			err = ErrNoSupervisor // it ended while it was asked
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fail(err)
	}
	return reply, nil
}
