// Package config merges files, environment and flags into plain structs.
//
// It owns rkt's own settings (rkt.toml), registry credentials (auth.d) and the meaning of
// --insecure-options. It does not own a plugin's configuration: those bytes are handed over raw. It is the
// only importer of viper, and knows nothing of what the settings are for.
//
// Order, low to high: built-in default, <system-config>/rkt.toml, <local-config>/rkt.toml, environment, flag.
package config
