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

// Stop writes one request to the control socket. No socket means that the pod has ended, or is about to.
func (Base) Stop(ctx context.Context, req StopRequest) error {
	// The directory's descriptor keeps the address short (108 bytes) wherever the data directory is.
	dir, err := os.OpenFile(req.PodDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), poddir.ControlSock))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask the supervisor to stop: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	grace := min(int64((req.Grace+time.Second-1)/time.Second), math.MaxInt32)
	if err := json.NewEncoder(c).Encode(poddir.ControlRequest{Op: "stop", Force: req.Force, GraceSeconds: int(grace)}); err != nil {
		return fmt.Errorf("ask the supervisor to stop: %w", err)
	}
	var reply poddir.ControlReply
	if err := json.NewDecoder(io.LimitReader(c, 64<<10)).Decode(&reply); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			return nil // it ended while it was asked
		}
		return fmt.Errorf("ask the supervisor to stop: %w", err)
	}
	if !reply.OK {
		return plugin.Busy("the supervisor refused to stop: %s", reply.Error)
	}
	return nil
}
