package conflist

// The networks that need no file. "default" reaches everything, "default-restricted" the host and its own network.
const (
	defaultNetwork = `{
  "cniVersion": "1.0.0",
  "name": "default",
  "plugins": [
    {"type": "rkt-ptp", "ipMasq": true, "isDefaultGateway": true, "capabilities": {"portMappings": true}}
  ]
}`
	restrictedNetwork = `{
  "cniVersion": "1.0.0",
  "name": "default-restricted",
  "plugins": [
    {"type": "rkt-ptp", "capabilities": {"portMappings": true}}
  ]
}`
)

func builtins() []string { return []string{defaultNetwork, restrictedNetwork} }
