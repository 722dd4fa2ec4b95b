package cgroup

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	scopeSlice   = "machine.slice"
	scopeTimeout = 10 * time.Second

	sdName    = "org.freedesktop.systemd1"
	sdPath    = "/org/freedesktop/systemd1"
	sdManager = "org.freedesktop.systemd1.Manager"
)

type property struct {
	Name  string
	Value dbus.Variant
}

type auxUnit struct {
	Name  string
	Props []property
}

// startScope asks systemd for machine.slice/rkt-UUID.scope with this process in it, delegated, and returns its
// directory. systemd removes a scope, with whatever cgroups are below it, when its last process has gone.
func startScope(root, uuid string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), scopeTimeout)
	defer cancel()
	conn, err := dialSystemd(ctx)
	if err != nil {
		return "", fmt.Errorf("connect to systemd: %w", err)
	}
	defer conn.Close()

	unit := prefix + uuid + scopeExt
	err = startUnit(ctx, conn, unit)
	var de dbus.Error
	if errors.As(err, &de) && de.Name == sdName+".UnitExists" {
		// a scope of an earlier try that ended badly
		manager := conn.Object(sdName, sdPath)
		if rerr := manager.CallWithContext(ctx, sdManager+".ResetFailedUnit", 0, unit).Err; rerr == nil {
			err = startUnit(ctx, conn, unit)
		}
	}
	if err != nil {
		return "", fmt.Errorf("start %s: %w", unit, err)
	}
	own, err := ownV2()
	if err != nil {
		return "", err
	}
	if filepath.Base(own) != unit {
		return "", fmt.Errorf("start %s: systemd left us in %s", unit, own)
	}
	return filepath.Join(root, own), nil
}

// dialSystemd prefers systemd's own socket: it needs no bus daemon, and as root no policy.
func dialSystemd(ctx context.Context) (*dbus.Conn, error) {
	var errs []error
	if os.Geteuid() == 0 {
		conn, err := dbus.Dial("unix:path=/run/systemd/private", dbus.WithContext(ctx))
		if err == nil {
			if err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err == nil {
				return conn, nil
			}
			conn.Close()
		}
		errs = append(errs, err)
	}
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err == nil {
		err = conn.Object(sdName, sdPath).CallWithContext(ctx, sdManager+".Subscribe", 0).Err
		if err == nil {
			if err = conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface(sdManager), dbus.WithMatchMember("JobRemoved")); err == nil {
				return conn, nil
			}
		}
		conn.Close()
	}
	return nil, errors.Join(append(errs, err)...)
}

// startUnit starts the scope and waits for its job to end. Signals are queued before the call is made, so
// that the end cannot be missed.
func startUnit(ctx context.Context, conn *dbus.Conn, unit string) error {
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	defer conn.RemoveSignal(signals)

	props := []property{
		{"Description", dbus.MakeVariant("rkt pod " + unit[len(prefix):len(unit)-len(scopeExt)])},
		{"Slice", dbus.MakeVariant(scopeSlice)},
		{"PIDs", dbus.MakeVariant([]uint32{uint32(os.Getpid())})},
		{"Delegate", dbus.MakeVariant(true)},
		{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
		// each app has a limit of its own; the default would be one for all of them and the supervisor
		{"TasksMax", dbus.MakeVariant(uint64(math.MaxUint64))},
	}
	var job dbus.ObjectPath
	call := conn.Object(sdName, sdPath).CallWithContext(ctx, sdManager+".StartTransientUnit", 0, unit, "fail", props, []auxUnit{})
	if err := call.Store(&job); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s, ok := <-signals:
			if !ok {
				return errors.New("connection to systemd lost")
			}
			if s.Name != sdManager+".JobRemoved" || len(s.Body) < 4 || s.Body[1] != any(job) {
				continue
			}
			if result, _ := s.Body[3].(string); result != "done" {
				return fmt.Errorf("job ended as %q", result)
			}
			return nil
		}
	}
}
