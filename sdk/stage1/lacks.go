package stage1

import (
	"fmt"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Lacks is what a flavor has not got, for Validate: a pod that asks for it is refused before anything starts, field by
// field, where it would else run without.
type Lacks struct {
	Mounts    bool // volumes, those that an image declares as well (VOLUME)
	Resources bool // limits of memory, CPU and the like
	Terminal  bool // --interactive on a terminal
	Handlers  bool // pre-start and post-stop commands of appc images
	ReadOnly  bool // --readonly-rootfs
}

// Validate reads pod.json and returns a diagnostic for each thing that the pod asks for and flavor lacks, and for each user
// that is no number (Credential).
func (l Lacks) Validate(podDir, flavor string) ([]plugin.Diagnostic, error) {
	var pod poddir.Pod
	if err := poddir.ReadJSON(podDir, poddir.PodFile, &pod); err != nil {
		return nil, err
	}
	var out []plugin.Diagnostic
	for i := range pod.Apps {
		app := &pod.Apps[i]
		refuse := func(field, format string, args ...any) {
			out = append(out, plugin.Diagnostic{
				Severity: plugin.SeverityError, Field: fmt.Sprintf("apps[%d].%s", i, field),
				Summary: fmt.Sprintf("app %q: ", app.Name) + fmt.Sprintf(format, args...),
			})
		}
		if _, err := Credential(app); err != nil {
			out = append(out, plugin.Diagnostic{Severity: plugin.SeverityError, Field: fmt.Sprintf("apps[%d].user", i), Summary: err.Error()})
		}
		if l.Mounts && len(app.Mounts) > 0 {
			refuse("mounts", "%s has no volumes, and %s wants to be one", flavor, app.Mounts[0].Target)
		}
		if l.Resources && app.Resources != (poddir.Resources{}) {
			refuse("resources", "%s has no limits", flavor)
		}
		if l.Terminal && app.Stdin == poddir.StdinTTY {
			refuse("stdin", "%s has no terminal for its apps", flavor)
		}
		if l.Handlers && len(app.Handlers) > 0 {
			refuse("handlers", "%s runs no event handlers, and the image has %s", flavor, app.Handlers[0].Name)
		}
		if l.ReadOnly && app.ReadOnlyRoot {
			refuse("readOnlyRoot", "%s has no read-only root", flavor)
		}
	}
	return out, nil
}
