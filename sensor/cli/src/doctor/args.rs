//! The command line of `doctor`.

use crate::config::is_interface_name;
use clap::Args;
use clap::builder::FalseyValueParser;

const HELP: &str = "\
Looks at the machine, opens the interfaces as `run` would, listens, and says of each thing whether it is well (ok), costs
something (warn) or makes the sensor blind (fail), and what would help. Status 1 if anything fails.

Examples:
  mcp-sensor doctor -i eth1
  mcp-sensor doctor -i eth1 -i eth2 --seconds 60
  mcp-sensor doctor --json | jq '.findings[] | select(.level != \"ok\")'";

/// Options of `doctor`.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub(crate) struct Doctor {
    /// Interface to look at; may be repeated [default: those of the configuration]
    #[arg(short, long, env = "MCP_SENSOR_INTERFACE", hide_env_values = true)]
    #[arg(value_name = "IFACE", value_delimiter = ',', value_parser = interface)]
    pub(crate) interface: Vec<String>,
    /// Time to listen
    #[arg(long, env = "MCP_SENSOR_SECONDS", hide_env_values = true, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// One JSON object in place of text
    #[arg(long, env = "MCP_SENSOR_JSON", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
}

fn interface(name: &str) -> Result<String, String> {
    if is_interface_name(name) {
        return Ok(name.to_owned());
    }
    Err("no name of an interface; `ip link` lists them".to_owned())
}
