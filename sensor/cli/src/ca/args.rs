//! Arguments of `mcp-sensor ca`.

use clap::builder::FalseyValueParser;
use clap::{Args, Subcommand, ValueHint};
use proxy::NewCa;
use std::path::PathBuf;

const INIT_HELP: &str = "\
Makes ca.key, which nobody but its owner can read, and ca.pem, and overwrites neither. Whoever has the key can be any
server to every client that trusts the certificate.

Examples:
  sudo -u mcp-sensor mcp-sensor ca init --dir /var/lib/mcp-sensor/ca
  mcp-sensor ca init --dir ca --days 365 --permit example.com --permit corp.example";

const EXPORT_HELP: &str = "\
Examples:
  mcp-sensor ca export > mcp-sensor-ca.pem
  mcp-sensor ca export -o /usr/local/share/ca-certificates/mcp-sensor.crt && update-ca-certificates
  mcp-sensor ca export --der -o mcp-sensor-ca.cer";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Ca {
    /// Make a CA of your own
    #[command(after_help = INIT_HELP)]
    Init(Init),
    /// Show what the CA's certificate says
    Show {
        #[command(flatten)]
        place: Place,
    },
    /// Write the certificate that clients have to trust, and never the key
    #[command(after_help = EXPORT_HELP)]
    Export {
        #[command(flatten)]
        place: Place,
        /// In binary form (DER) in place of PEM
        #[arg(long, env = "MCP_SENSOR_DER", hide_env_values = true, value_parser = FalseyValueParser::new())]
        der: bool,
        /// Where it goes; - is standard output
        #[arg(short, long, env = "MCP_SENSOR_OUTPUT", hide_env_values = true)]
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
}

/// Where the files of the CA are.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// Folder of ca.pem and ca.key [default: the files of the configuration, /etc/mcp-sensor/ca.pem and ca.key]
    #[arg(long = "dir", env = "MCP_SENSOR_CA_DIR", hide_env_values = true)]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) ca_dir: Option<PathBuf>,
}

/// Arguments of `init`.
#[derive(Args, Debug)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Name of the CA; eight random digits are put behind it
    #[arg(long, env = "MCP_SENSOR_NAME", hide_env_values = true, default_value = "mcp-sensor CA")]
    pub(crate) name: String,
    /// Days that it is valid for
    #[arg(long, env = "MCP_SENSOR_DAYS", hide_env_values = true, default_value_t = NewCa::default().days)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(NewCa::MAX_DAYS)))]
    pub(crate) days: u32,
    /// Domain that it may sign for, with all below it; then no other, and no address; may be repeated
    #[arg(long, env = "MCP_SENSOR_PERMIT", hide_env_values = true, value_name = "DOMAIN", value_delimiter = ',')]
    pub(crate) permit: Vec<String>,
    /// Encrypt the key with the passphrase in FILE, which nobody but its owner may be able to read
    #[arg(long, env = "MCP_SENSOR_PASSPHRASE_FILE", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) passphrase_file: Option<PathBuf>,
}
