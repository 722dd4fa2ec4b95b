package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/rkt/rkt/v2/plugins/stage1-qemu/internal/qmp"
	"github.com/rkt/rkt/v2/sdk/vmhost"
)

// monitor is a machine's QMP connection.
type monitor struct {
	qmp    *qmp.Conn
	report func(string)
}

var _ vmhost.Growth = (*monitor)(nil)

// Monitor takes over a QMP connection.
func (VMM) Monitor(conn io.ReadWriter, report func(string)) vmhost.Monitor {
	return &monitor{qmp.New(conn), report}
}

// Serve passes on what the user should know.
func (m *monitor) Serve() {
	err := m.qmp.Serve(func(e qmp.Event) {
		switch e.Name {
		case "GUEST_PANICKED":
			m.report("the guest's kernel has panicked")
		case "BLOCK_IO_ERROR":
			m.report("a disk of the guest cannot be read or written (is the host's disk full?)")
		case "WATCHDOG":
			m.report("the guest does not run any more")
		}
	})
	if err != nil && !errors.Is(err, io.EOF) {
		m.report("its monitor: " + err.Error())
	}
}

// growthID names the memory device of a machine that can grow.
const growthID = "growth"

// Grows names the driver of virtio-mem. A microvm has no room for its memory, and other architectures' kernels take
// it in blocks that are larger than many a machine.
func (VMM) Grows(m *vmhost.Machine) (string, error) {
	switch {
	case runtime.GOARCH != "amd64":
		return "", errors.New("on " + runtime.GOARCH + " none can be added")
	case microvm(m):
		return "", errors.New(`it is a microvm, to which none can be added ("machine": "q35" in the plugin's configuration)`)
	}
	return "virtio_mem", nil
}

// lookAgain is how often the guest's progress is asked for.
const lookAgain = 10 * time.Millisecond

// Grow tells the guest how much of the device's memory it is to use. Its driver takes and gives back as it can.
func (m *monitor) Grow(ctx context.Context, mib int) error {
	const path = "/machine/peripheral/" + growthID
	size := func() (n int64, err error) {
		err = m.qmp.Execute(ctx, "qom-get", map[string]any{"path": path, "property": "size"}, &n)
		return n, err
	}
	want := int64(mib) << 20
	before, err := size()
	if err == nil {
		err = m.qmp.Execute(ctx, "qom-set", map[string]any{"path": path, "property": "requested-size", "value": want}, nil)
	}
	if err != nil || want <= before {
		return err
	}
	for {
		n, err := size()
		if err != nil {
			return err
		}
		if n >= want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the guest has taken %d of %d MiB: %w", n>>20, mib, ctx.Err())
		case <-time.After(lookAgain):
		}
	}
}
