package limits

import (
	"errors"
	"fmt"
	"io/fs"
)

// errNoController says that a limit has nowhere to be set; the reason is what core noted in Skipped.
var errNoController = errors.New("controller not available")

// warnings collects the limits that do not hold.
type warnings struct {
	app     string
	skipped map[string]string
	list    []string
}

// note records why what (kept by controller) is not enforced. A missing file is a missing controller.
func (w *warnings) note(controller, what string, err error) {
	if err == nil {
		return
	}
	reason := err.Error()
	if known := w.skipped[controller]; known != "" && (errors.Is(err, errNoController) || errors.Is(err, fs.ErrNotExist)) {
		reason = known
	}
	w.list = append(w.list, fmt.Sprintf("app %s: %s is not enforced, cgroup controller %s: %s", w.app, what, controller, reason))
}
