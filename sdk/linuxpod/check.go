package linuxpod

import (
	"fmt"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod/internal/plan"
	"github.com/rkt/rkt/v2/sdk/plugin"
	"github.com/rkt/rkt/v2/sdk/supervise"
)

// maxLayers is overlayfs's own limit (OVL_MAX_STACK).
const maxLayers = 500

// Check says what of the pod this package cannot do, by field of pod.json. Core has checked the document
// itself.
func Check(pod *poddir.Pod) []plugin.Diagnostic {
	var ds []plugin.Diagnostic
	refuse := func(field, format string, args ...any) {
		ds = append(ds, plugin.Diagnostic{Severity: plugin.SeverityError, Field: field, Summary: fmt.Sprintf(format, args...)})
	}
	terminals := 0
	for i, a := range pod.Apps {
		field := fmt.Sprintf("apps[%d].", i)
		if _, err := plan.CapMask(a.Capabilities); err != nil {
			refuse(field+"capabilities", "%v", err)
		}
		if _, err := supervise.ParseSignal(a.StopSignal); err != nil {
			refuse(field+"stopSignal", "%v", err)
		}
		switch a.Seccomp.Mode {
		case poddir.SeccompDefault, poddir.SeccompUnconfined:
		default:
			refuse(field+"seccomp.mode", "mode %q is unknown to this stage1", a.Seccomp.Mode)
		}
		switch a.Stdin {
		case "", poddir.StdinNull, poddir.StdinStream:
		case poddir.StdinTTY:
			terminals++
		default:
			refuse(field+"stdin", "kind %q is unknown to this stage1", a.Stdin)
		}
		if len(a.Rootfs.Layers) > maxLayers {
			refuse(field+"rootfs.layers", "%d layers are more than the %d that overlayfs takes", len(a.Rootfs.Layers), maxLayers)
		}
		for _, h := range a.Handlers {
			if h.Name != "pre-start" && h.Name != "post-stop" {
				refuse(field+"handlers", "event %q is unknown to this stage1", h.Name)
			}
		}
	}
	if terminals > 1 {
		refuse("apps", "%d apps ask for the one terminal", terminals)
	}
	for i, v := range pod.Volumes {
		if v.Kind != poddir.VolumeHost && v.Kind != poddir.VolumeEmpty {
			refuse(fmt.Sprintf("volumes[%d].kind", i), "kind %q is unknown to this stage1", v.Kind)
		}
	}
	return ds
}
