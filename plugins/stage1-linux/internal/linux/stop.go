package linux

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/stage1"
)

// Stop writes one request to the supervisor's control socket.
func (s *Stage1) Stop(ctx context.Context, req stage1.StopRequest) error {
	held, err := lockHeld(req.PodDir)
	if errors.Is(err, os.ErrNotExist) || err == nil && !held {
		return nil // it has ended
	}
	if err != nil {
		return err
	}
	// The socket's own path may be longer than a socket address; the directory's descriptor is not.
	dir, err := unix.Open(req.PodDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	addr := filepath.Join("/proc/self/fd", strconv.Itoa(dir), poddir.ControlSock)
	conn, err := new(net.Dialer).DialContext(ctx, "unix", addr)
	if err != nil {
		return fmt.Errorf("reach the pod's supervisor: %w", err)
	}
	defer conn.Close()
	if t, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(t); err != nil {
			return err
		}
	}
	b, err := json.Marshal(poddir.ControlRequest{Op: "stop", Force: req.Force, GraceSeconds: wholeSeconds(req.Grace)})
	if err != nil {
		return err
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("ask the pod's supervisor: %w", err)
	}
	var reply poddir.ControlReply
	if err := json.NewDecoder(bufio.NewReader(conn)).Decode(&reply); err != nil {
		if held, lerr := lockHeld(req.PodDir); lerr == nil && !held {
			return nil // it ended before it could answer
		}
		return fmt.Errorf("read the supervisor's answer: %w", err)
	}
	if !reply.OK {
		return fmt.Errorf("the pod's supervisor refuses to stop: %s", reply.Error)
	}
	return nil
}

// wholeSeconds rounds up: 0 would mean the pod's own grace time.
func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

func cpu(ns uint64) time.Duration { return time.Duration(min(ns, math.MaxInt64)) }
