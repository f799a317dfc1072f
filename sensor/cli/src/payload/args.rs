//! Arguments of `mcp-sensor payload`.

use clap::{Subcommand, ValueHint};
use std::path::PathBuf;

const KEYGEN_HELP: &str = "\
Whoever has the file can read all payloads that are encrypted to its public key. It belongs to the people who may do so,
and not to the sensor: there only the public key is needed, in [payload] of the configuration.

Examples:
  mcp-sensor payload keygen -o payload.key
  mcp-sensor payload keygen -o payload.key >> /etc/mcp-sensor/recipients.txt";

const DECRYPT_HELP: &str = "\
Prints a line of JSON for each encrypted payload: id, ts, sensor, flow and user of its event, and of the message what the
event says of it with its text as `payload` (as `payload_base64` where that is no UTF-8). All else is passed over. Status 1
says that some of it could not be read, which is told on standard error.

Examples:
  mcp-sensor payload decrypt --identity payload.key events.jsonl
  jq -c 'select(.id == \"ID\")' events.jsonl | mcp-sensor payload decrypt --identity payload.key | jq -r .payload";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Payload {
    /// Make a pair of keys: one to encrypt to, and one to read with
    #[command(after_help = KEYGEN_HELP)]
    Keygen {
        /// Where the private key goes: a new file that nobody but its owner can read; then the public key is printed. -
        /// is standard output, and both are printed [default: -]
        #[arg(short, long, env = "MCP_SENSOR_OUTPUT", hide_env_values = true)]
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
    /// Print the payloads of events that policies had encrypted
    #[command(after_help = DECRYPT_HELP)]
    Decrypt {
        /// File of private keys, as `payload keygen` makes it, which nobody but its owner may be able to read
        #[arg(short, long, required = true, env = "MCP_SENSOR_IDENTITY", hide_env_values = true)]
        #[arg(value_name = "KEYFILE", value_hint = ValueHint::FilePath)]
        identity: PathBuf,
        /// File of events; - is standard input
        #[arg(value_name = "EVENTS", default_value = "-", value_hint = ValueHint::FilePath)]
        events: PathBuf,
    },
}
