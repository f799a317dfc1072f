#!/bin/sh
# The sensor as a contestant of the proxy race: proxy-sensor.sh PORT CA.crt CA.key ORIGIN-CA.crt
# It opens TLS with the CA and looks into everything, and stops what may be MCP, as the other contestants do.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sensor=${SENSOR:-${CARGO_TARGET_DIR:-$here/../../target}/release/mcp-sensor}
# The key must be ours alone, in a folder that is ours.
dir=$(mktemp -d)
install -m 600 "$3" "$dir/ca.key"
cat >"$dir/sensor.toml" <<END
[[source]]
kind = "proxy"
listen = "127.0.0.1:$1"

[[sink]]
kind = "jsonl"
path = "/dev/null"

[proxy.ca]
certificate = "$2"
key = "$dir/ca.key"

# One client asks for thousands of names nobody asked for before: the race is about their price, not their limit.
[proxy.limits]
certificates_burst = 1000000
certificates_per_second = 1000000

# The origin of the race is on this machine.
[proxy.destinations]
allow = ["127.0.0.0/8"]

[proxy.upstream]
roots = ["$4"]

# A name or a path is enough, as for the others.
[actions]
shadow = "block"
denied = "block"
unknown = "block"
confidence = "possible"
END
# In place of this shell, so that the signal and the processor time are the sensor's.
exec "$sensor" -c "$dir/sensor.toml" ${SENSOR_OPTIONS:-} run
