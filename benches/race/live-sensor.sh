#!/bin/sh
# The sensor as a contestant of a race on a live interface: live-sensor.sh INTERFACE OUT-FOLDER
# Says "capturing" when it listens, and packets=N drops=N at the end, which SIGINT brings about.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sensor=${SENSOR:-${CARGO_TARGET_DIR:-$here/../../target}/release/mcp-sensor}
# An empty configuration: that of the machine is nothing to measure.
: >"$2/sensor.toml"
# In place of this shell, so that the signal and the processor time are the sensor's.
exec "$sensor" -c "$2/sensor.toml" capture -i "$1" -o "$2/events.jsonl" ${SENSOR_OPTIONS:-}
