// Package plugin holds what every kind of rkt plugin shares: errors with a reason that rkt understands,
// configuration, findings about the host, diagnostics about a document.
//
// A plugin's main is one call of sdk/fetcher, sdk/verifier, sdk/network or sdk/stage1. That call serves the
// plugin, and gives the binary the subcommands `manifest` (prints plugin.json; run it at build time) and
// `version`. Log with log/slog: Main has set the default logger to write to rkt. Do not write to the terminal,
// and never keep anything in memory that the next verb needs: rkt starts a fresh process for each.
package plugin
