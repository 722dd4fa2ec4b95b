package vmhost

import _ "embed" // of the schema

//go:embed config.schema.json
var configSchema string

// ConfigSchema is the JSON schema of Config.
func ConfigSchema() string { return configSchema }
