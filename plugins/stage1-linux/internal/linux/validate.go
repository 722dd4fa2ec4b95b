package linux

import (
	"context"

	"github.com/rkt/rkt/v2/proto/poddir"
	"github.com/rkt/rkt/v2/sdk/linuxpod"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

// Validate looks at what only this flavor knows; core has checked the document itself.
func (s *Stage1) Validate(_ context.Context, podDir string) ([]plugin.Diagnostic, error) {
	pod := new(poddir.Pod)
	if err := poddir.ReadJSON(podDir, poddir.PodFile, pod); err != nil {
		return nil, err
	}
	return linuxpod.Check(pod), nil
}
