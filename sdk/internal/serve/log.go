package serve

import (
	"io"
	"log/slog"
	"strings"
	"time"
)

// timeFormat is hclog's.
const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

// newHandler writes JSON lines with hclog's keys, which is the log contract of proto/launch. Every level is
// written: core decides what to show, and keeps the rest for a crash report.
func newHandler(w io.Writer, name string) slog.Handler {
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.TimeKey:
				if a.Value.Kind() == slog.KindTime {
					return slog.String("@timestamp", a.Value.Time().Format(timeFormat))
				}
				if t, ok := a.Value.Any().(time.Time); ok {
					return slog.String("@timestamp", t.Format(timeFormat))
				}
			case slog.LevelKey:
				return slog.String("@level", strings.ToLower(a.Value.String()))
			case slog.MessageKey:
				a.Key = "@message"
			}
			return a
		},
	})
	return h.WithAttrs([]slog.Attr{slog.String("@module", name)})
}
