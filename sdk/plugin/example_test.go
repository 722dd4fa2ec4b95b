package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/rkt/rkt/v2/proto/reason"
	"github.com/rkt/rkt/v2/sdk/plugin"
)

type mirrors struct{ list []string }

// Configure gets /etc/rkt/plugins/NAME.json byte for byte.
func (m *mirrors) Configure(_ context.Context, c plugin.Config) ([]plugin.Diagnostic, error) {
	var conf struct{ Mirrors []string }
	if err := json.Unmarshal(c.JSON, &conf); err != nil {
		return nil, plugin.ConfigInvalid("read configuration: %w", err)
	}
	m.list = conf.Mirrors
	if len(m.list) == 0 {
		return []plugin.Diagnostic{{Severity: plugin.SeverityWarning, Field: "mirrors", Summary: "empty; the origin is asked"}}, nil
	}
	return nil, nil
}

var _ plugin.Configurer = (*mirrors)(nil)

func Example_configurer() {
	var m mirrors
	said, err := m.Configure(context.Background(), plugin.Config{JSON: []byte(`{"mirrors": []}`)})
	fmt.Println(said, err)
	_, err = m.Configure(context.Background(), plugin.Config{JSON: []byte(`{`)})
	fmt.Println(err)
	// Output:
	// [{2 empty; the origin is asked  mirrors}] <nil>
	// read configuration: unexpected end of JSON input
}

// An error's reason is what rkt goes by; its text is for people, and the cause stays for errors.Is.
func ExampleErrorf() {
	err := plugin.Errorf(reason.ImageNotFound, "open image: %w", fs.ErrNotExist)
	fmt.Println(err.Reason, err, errors.Is(err, fs.ErrNotExist))
	// Output: IMAGE_NOT_FOUND open image: file does not exist true
}

// A server that is busy says when to come back.
func ExampleError_RetryAfter() {
	err := plugin.Busy("the lease file is locked").RetryAfter(2 * time.Second)
	fmt.Println(err.Reason, err.Metadata[plugin.RetryAfterKey])
	// Output: BUSY 2s
}
