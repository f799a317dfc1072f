//! The command line. Parsing has no side effects.

use crate::config::{MAX_THREADS, is_interface_name};
use crate::log::{Format, Level};
use crate::time;
use capture::MAX_SNAPLEN;
use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use detect::{Classification, RawAction, RawActions};
use net::Timestamp;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const EXIT_CODES: &str = "\
Exit status:
  0  done
  1  failed while running, or a file of a directory was skipped
  2  wrong usage, configuration, rules or input
  3  a detection that --fail-on names was made";

/// Finds MCP (Model Context Protocol) servers in network traffic.
#[derive(Debug, Parser)]
#[command(name = "mcp-sensor", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Configuration file [default: /etc/mcp-sensor/sensor.toml where it exists]
    #[arg(short, long, global = true, env = "MCP_SENSOR_CONFIG", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Directory of rule files to add to the built-in pack; may be repeated
    #[arg(long, global = true, env = "MCP_SENSOR_RULES", hide_env_values = true)]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) rules: Vec<PathBuf>,
    /// Leave out the built-in pack of rules
    #[arg(long, global = true, env = "MCP_SENSOR_NO_BUILTIN_RULES", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) no_builtin_rules: bool,
    /// Least grave messages to print
    #[arg(long, global = true, env = "MCP_SENSOR_LOG_LEVEL", hide_env_values = true)]
    #[arg(value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: Level,
    /// Form of the messages on standard error
    #[arg(long, global = true, env = "MCP_SENSOR_LOG_FORMAT", hide_env_values = true)]
    #[arg(value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: Format,
    /// No progress bar, no messages but errors, no table beside a file of events
    #[arg(short, long, global = true, env = "MCP_SENSOR_QUIET", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            config: None,
            rules: Vec::new(),
            no_builtin_rules: false,
            log_level: Level::Info,
            log_format: Format::Text,
            quiet: false,
        }
    }
}

/// Options that lie over the configuration file.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// Busy packet threads, from 1 to 64 [default: one a core; live, one fewer]
    #[arg(long, env = "MCP_SENSOR_THREADS", hide_env_values = true, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_THREADS)))]
    pub(crate) threads: Option<u16>,
    /// Also write look-alikes, which resemble MCP and are something else
    #[arg(long, env = "MCP_SENSOR_LOOK_ALIKES", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) look_alikes: bool,
    /// Where counters can be read; given by [`Serving`], which only live commands have.
    #[arg(skip)]
    pub(crate) metrics: Option<String>,
    /// Given by the command that has them, which is [`Proxy`].
    #[arg(skip)]
    pub(crate) proxy: ProxyFlags,
}

/// Options of every command that listens to live traffic.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Serving {
    /// Serve /metrics for Prometheus, /healthz and /readyz at this address, such as 127.0.0.1:9464
    #[arg(long, env = "MCP_SENSOR_METRICS", hide_env_values = true, value_name = "ADDR")]
    pub(crate) metrics: Option<String>,
    /// Decrypt TLS with the secrets in FILE, in the NSS format (SSLKEYLOGFILE); it may grow while it is read
    #[arg(long, env = "MCP_SENSOR_KEYLOG", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) keylog: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

impl Serving {
    /// What lies over the configuration file.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides { metrics: self.metrics.clone(), ..self.overrides.clone() }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read captures and tell what MCP is in them
    Replay(Replay),
    /// Listen to span ports or taps and tell what MCP passes by
    Capture(Capture),
    /// Be the proxy through which clients reach the web, and tell or stop what MCP passes
    Proxy(Proxy),
    /// Listen to every source of the configuration, as a service does
    Run(Run),
    /// Tell whether interfaces show what the sensor needs, and what would help
    Doctor(crate::doctor::args::Doctor),
    /// Make, show and hand out the CA that signs for servers
    #[command(subcommand)]
    Ca(crate::ca::args::Ca),
    /// Make keys for what policies log encrypted, and read that
    #[command(subcommand)]
    Payload(crate::payload::args::Payload),
    /// Check, test and look up rules
    #[command(subcommand)]
    Rules(Rules),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man {
        /// Write a page for each command into this directory instead
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        #[arg(env = "MCP_SENSOR_DIR", hide_env_values = true)]
        dir: Option<PathBuf>,
    },
}

const REPLAY_HELP: &str = "\
Output:
  on a terminal      a progress bar, then a table of the servers found and what could not be seen
  in a pipe          events as JSON, one a line (JSONL), and nothing else
  -o FILE            events to the file, and the table unless -q is given
  -o -               events to standard output and nothing else
  --table            the table in place of events, also in a pipe
  --timeline[=WHAT]  every call in the order of time in place of events; the table only with --table

What a timeline is of:
  HOST[:PORT][/PATH] a server by name or address, and what is below the path
  ADDRESS            a client
  HASH               a session, by mcp.session of the events or 6 characters or more of its hash

Examples:
  mcp-sensor replay case.pcap
  mcp-sensor replay captures/ -o events.jsonl --fail-on shadow --fail-on denied
  mcp-sensor replay case.pcap --timeline=mcp.example.com/mcp
  zcat huge.pcap.gz | mcp-sensor replay --bpf 'tcp port 8080' - | jq -c 'select(.type == \"server\")'";

#[derive(Args, Debug)]
#[command(after_help = REPLAY_HELP)]
pub(crate) struct Replay {
    /// Capture files (pcap or pcapng, also .gz and .zst), directories of them, or - for standard input
    #[arg(required = true, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// Where events go; - is standard output
    #[arg(short, long, env = "MCP_SENSOR_OUTPUT", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Print the table of servers, also where standard output is no terminal
    #[arg(long, env = "MCP_SENSOR_TABLE", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) table: bool,
    /// Print every call in the order of time, of all or of one server, client or session
    #[arg(long, env = "MCP_SENSOR_TIMELINE", hide_env_values = true, value_name = "WHAT")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) timeline: Option<String>,
    /// Only packets that this expression matches, as pcap-filter(7) describes it
    #[arg(long, env = "MCP_SENSOR_BPF", hide_env_values = true, value_name = "EXPR")]
    pub(crate) bpf: Option<String>,
    /// Only packets from this time on: RFC 3339 or seconds since 1970
    #[arg(long, env = "MCP_SENSOR_FROM", hide_env_values = true, value_name = "TIME", value_parser = time::parse)]
    pub(crate) from: Option<Timestamp>,
    /// Only packets before this time
    #[arg(long, env = "MCP_SENSOR_TO", hide_env_values = true, value_name = "TIME", value_parser = time::parse)]
    pub(crate) to: Option<Timestamp>,
    /// Write the packets of each detection to DIR/ID.pcapng, in a second pass over the input
    #[arg(long, env = "MCP_SENSOR_CARVE", hide_env_values = true)]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) carve: Option<PathBuf>,
    /// Decrypt TLS with the secrets in FILE, in the NSS format (SSLKEYLOGFILE); it may grow while it is read
    #[arg(long, env = "MCP_SENSOR_KEYLOG", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) keylog: Option<PathBuf>,
    /// Put the SHA-256 of each input into the first event
    #[arg(long, env = "MCP_SENSOR_HASH_INPUTS", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) hash_inputs: bool,
    /// End with status 3 if there is a detection of this classification; may be repeated
    #[arg(long, env = "MCP_SENSOR_FAIL_ON", hide_env_values = true, value_name = "CLASS", value_delimiter = ',')]
    pub(crate) fail_on: Vec<Class>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

const CAPTURE_HELP: &str = "\
Output:
  on a terminal  a table of the servers found so far, drawn anew as it changes
  in a pipe      events as JSON, one a line (JSONL), and nothing else
  -o FILE        events behind those that the file holds, and the table if on a terminal, unless -q is given
  -o -           events to standard output and nothing else

An interface that the configuration has as a [[source]] is opened as it says there; options lie over that.
Its [[sink]] and [metrics] sections are for `run`.

Signals:
  INT, TERM      read what was captured, write it, and end with status 0; a second one ends at once
  HUP            read the configuration and rules anew, and open the file of events anew

Examples:
  mcp-sensor capture -i eth1
  mcp-sensor capture -i eth1 -i eth2 --bpf 'not port 22' -o events.jsonl
  mcp-sensor capture -i eth1 -o - | jq -c 'select(.type == \"server\")'";

#[derive(Args, Debug)]
#[command(after_help = CAPTURE_HELP)]
pub(crate) struct Capture {
    /// Interface to listen to; may be repeated
    #[arg(short, long, required = true, env = "MCP_SENSOR_INTERFACE", hide_env_values = true)]
    #[arg(value_name = "IFACE", value_delimiter = ',', value_parser = interface)]
    pub(crate) interface: Vec<String>,
    /// Where events go; - is standard output
    #[arg(short, long, env = "MCP_SENSOR_OUTPUT", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Only packets that this expression matches, as pcap-filter(7) describes it
    #[arg(long, env = "MCP_SENSOR_BPF", hide_env_values = true, value_name = "EXPR")]
    pub(crate) bpf: Option<String>,
    /// Longest part taken of a packet, in bytes
    #[arg(long, env = "MCP_SENSOR_SNAPLEN", hide_env_values = true, value_name = "BYTES")]
    #[arg(value_parser = clap::value_parser!(u32).range(64..=i64::from(MAX_SNAPLEN)))]
    pub(crate) snaplen: Option<u32>,
    /// Memory of each ring that the kernel fills, in MiB
    #[arg(long, env = "MCP_SENSOR_BUFFER", hide_env_values = true, value_name = "MIB")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=2047))]
    pub(crate) buffer: Option<u32>,
    /// Rings of each interface, each with a thread of its own
    #[arg(long, env = "MCP_SENSOR_RINGS", hide_env_values = true, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) rings: Option<u16>,
    /// Do not ask the interface for packets that are for other machines
    #[arg(long, env = "MCP_SENSOR_NO_PROMISCUOUS", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) no_promiscuous: bool,
    /// End after this many seconds
    #[arg(long, env = "MCP_SENSOR_DURATION", hide_env_values = true, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) duration: Option<u64>,
    #[command(flatten)]
    pub(crate) serving: Serving,
}

fn interface(name: &str) -> Result<String, String> {
    if is_interface_name(name) {
        return Ok(name.to_owned());
    }
    Err("no name of an interface; `ip link` lists them".to_owned())
}

const PROXY_HELP: &str = "\
Output:
  on a terminal  a table of the servers found so far, drawn anew as it changes
  in a pipe      events as JSON, one a line (JSONL), and nothing else
  -o FILE        events behind those that the file holds, and the table if on a terminal, unless -q is given
  -o -           events to standard output and nothing else

The sections [proxy] and [actions] of the configuration hold here, too; options lie over them.
Its [[sink]] and [metrics] sections are for `run`.

Signals:
  INT, TERM      take no more connections, let those at work end for some seconds, and end with status 0; a second one
                 ends at once
  HUP            read configuration and rules anew, and open the file of events anew. Where they cannot be read, the old
                 ones stay in force, and a notice says why

Examples:
  mcp-sensor ca init --dir ca
  mcp-sensor proxy --ca-cert ca/ca.pem --ca-key ca/ca.key
  HTTPS_PROXY=http://127.0.0.1:8080 curl --cacert ca/ca.pem https://www.example.com/
  mcp-sensor proxy --action shadow=block --action denied=block -o events.jsonl
  mcp-sensor proxy --action shadow=redirect --redirect-to https://mcp.corp.example/mcp";

#[derive(Args, Debug)]
#[command(after_help = PROXY_HELP)]
pub(crate) struct Proxy {
    #[command(flatten)]
    pub(crate) flags: ProxyFlags,
    /// Where events go; - is standard output
    #[arg(short, long, env = "MCP_SENSOR_OUTPUT", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Serve /metrics for Prometheus, /healthz and /readyz at this address, such as 127.0.0.1:9464
    #[arg(long, env = "MCP_SENSOR_METRICS", hide_env_values = true, value_name = "ADDR")]
    pub(crate) metrics: Option<String>,
    /// Threads that serve clients, from 1 to 64 [default: one a core]
    #[arg(long, env = "MCP_SENSOR_THREADS", hide_env_values = true, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_THREADS)))]
    pub(crate) threads: Option<u16>,
    /// Also write look-alikes, which resemble MCP and are something else
    #[arg(long, env = "MCP_SENSOR_LOOK_ALIKES", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) look_alikes: bool,
}

impl Proxy {
    /// What lies over the configuration file.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            threads: self.threads,
            look_alikes: self.look_alikes,
            metrics: self.metrics.clone(),
            proxy: self.flags.clone(),
        }
    }
}

/// What lies over `[proxy]` and `[actions]`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ProxyFlags {
    /// Address and port for clients; may be repeated [default: those of the configuration, else 127.0.0.1:8080]
    #[arg(short, long, env = "MCP_SENSOR_LISTEN", hide_env_values = true, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) listen: Vec<SocketAddr>,
    /// Certificate of the CA that signs for servers, as `ca init` makes it [default: /etc/mcp-sensor/ca.pem]
    #[arg(long, env = "MCP_SENSOR_CA_CERT", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_cert: Option<PathBuf>,
    /// Its private key [default: /etc/mcp-sensor/ca.key]
    #[arg(long, env = "MCP_SENSOR_CA_KEY", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_key: Option<PathBuf>,
    /// Open no TLS: only names of servers are seen, and what is said in the clear
    #[arg(long, env = "MCP_SENSOR_NO_INTERCEPT", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) no_intercept: bool,
    /// What is done about servers of a class: allow, log, block or redirect; may be repeated
    #[arg(long, env = "MCP_SENSOR_ACTION", hide_env_values = true, value_name = "CLASS=ACTION", value_delimiter = ',')]
    #[arg(value_parser = action)]
    pub(crate) action: Vec<(Acted, RawAction)>,
    /// Where `redirect` sends clients: URL of the company's portal
    #[arg(long, env = "MCP_SENSOR_REDIRECT_TO", hide_env_values = true, value_name = "URL")]
    pub(crate) redirect_to: Option<String>,
    /// Stop nothing; only write down what would be done
    #[arg(long, env = "MCP_SENSOR_DRY_RUN", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) dry_run: bool,
    /// Network of clients that may use the proxy; may be repeated
    #[arg(long, env = "MCP_SENSOR_CLIENT", hide_env_values = true, value_name = "CIDR", value_delimiter = ',')]
    pub(crate) client: Vec<String>,
    /// File of users that may use it, as `htpasswd -B` writes it
    #[arg(long, env = "MCP_SENSOR_CREDENTIALS", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) credentials: Option<PathBuf>,
    /// Network that may be connected to although it is refused by default, such as 127.0.0.0/8; may be repeated
    #[arg(long, env = "MCP_SENSOR_ALLOW_DESTINATION", hide_env_values = true)]
    #[arg(value_name = "CIDR", value_delimiter = ',')]
    pub(crate) allow_destination: Vec<String>,
    /// Further CAs that servers are trusted by, beside those of the system; may be repeated
    #[arg(long, env = "MCP_SENSOR_UPSTREAM_CA", hide_env_values = true)]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) upstream_ca: Vec<PathBuf>,
}

impl ProxyFlags {
    /// Puts actions in the place of what the configuration says.
    pub(crate) fn act(&self, actions: &mut RawActions) {
        for (class, action) in &self.action {
            *class.of(actions) = *action;
        }
        actions.redirect_to = self.redirect_to.clone().or(actions.redirect_to.take());
        actions.dry_run |= self.dry_run;
    }
}

/// A class that something can be done about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Acted {
    Portal,
    Sanctioned,
    SanctionedDirect,
    Published,
    Denied,
    Shadow,
    Unknown,
}

impl Acted {
    fn of(self, actions: &mut RawActions) -> &mut RawAction {
        match self {
            Self::Portal => &mut actions.portal,
            Self::Sanctioned => &mut actions.sanctioned,
            Self::SanctionedDirect => &mut actions.sanctioned_direct,
            Self::Published => &mut actions.published,
            Self::Denied => &mut actions.denied,
            Self::Shadow => &mut actions.shadow,
            Self::Unknown => &mut actions.unknown,
        }
    }
}

/// Reads `shadow=block`.
fn action(text: &str) -> Result<(Acted, RawAction), String> {
    const ACTIONS: [(&str, RawAction); 4] = [
        ("allow", RawAction::Allow),
        ("log", RawAction::Log),
        ("block", RawAction::Block),
        ("redirect", RawAction::Redirect),
    ];
    let (class, action) = text.split_once('=').ok_or("write it like `shadow=block`")?;
    let class = Acted::from_str(class.trim(), true).map_err(|_| {
        let classes: Vec<_> = Acted::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
        let names: Vec<&str> = classes.iter().map(clap::builder::PossibleValue::get_name).collect();
        format!("`{class}` is no class; there are {}", names.join(", "))
    })?;
    let known = ACTIONS.into_iter().find(|(name, _)| *name == action.trim());
    let (_, action) = known.ok_or_else(|| format!("`{action}` is no action; there are allow, log, block, redirect"))?;
    Ok((class, action))
}

const RUN_HELP: &str = "\
Signals:
  INT, TERM      read what was captured, write it, and end with status 0; a second one ends at once
  HUP            read the configuration and rules anew, and open files of events anew. Where they cannot be read, the
                 old ones stay in force, and a notice says why

Examples:
  mcp-sensor -c /etc/mcp-sensor/sensor.toml run
  mcp-sensor config show";

#[derive(Args, Debug)]
#[command(after_help = RUN_HELP)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) serving: Serving,
}

impl Replay {
    /// Every file and folder that is named.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().chain(&self.output).chain(&self.carve).chain(&self.keylog).map(PathBuf::as_path)
    }
}

/// A classification by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Class {
    Portal,
    Sanctioned,
    SanctionedDirect,
    Published,
    Denied,
    Shadow,
    LookAlike,
    Unknown,
}

impl From<Class> for Classification {
    fn from(class: Class) -> Self {
        match class {
            Class::Portal => Self::Portal,
            Class::Sanctioned => Self::Sanctioned,
            Class::SanctionedDirect => Self::SanctionedDirect,
            Class::Published => Self::Published,
            Class::Denied => Self::Denied,
            Class::Shadow => Self::Shadow,
            Class::LookAlike => Self::LookAlike,
            Class::Unknown => Self::Unknown,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rules {
    /// Compile rules and say all that is wrong with them
    ///
    /// Checks the files and directories named, alone; without any, the rules in force: the built-in pack, those of
    /// --rules and those of the configuration.
    Check {
        /// Rule files, or directories of them
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
        /// Also refuse signatures without examples
        #[arg(long, env = "MCP_SENSOR_STRICT", hide_env_values = true, value_parser = FalseyValueParser::new())]
        strict: bool,
        /// Print how each pattern is searched for and what it costs
        #[arg(long, env = "MCP_SENSOR_VERBOSE", hide_env_values = true, value_parser = FalseyValueParser::new())]
        verbose: bool,
    },
    /// Run the examples inside the rules
    Test {
        /// Rule files, or directories of them; without any, the rules in force
        #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
        paths: Vec<PathBuf>,
    },
    /// List the signatures in force
    List {
        /// One JSON object a line
        #[arg(long, env = "MCP_SENSOR_JSON", hide_env_values = true, value_parser = FalseyValueParser::new())]
        json: bool,
    },
    /// Show a signature with its examples
    Show {
        /// Id of the signature, such as mcp.body.tools
        id: String,
    },
    /// Say why a detection was made, or what an HTTP message would give
    #[command(group = clap::ArgGroup::new("what").required(true).args(["events", "http"]))]
    Explain {
        /// File of events as replay writes them; - is standard input
        #[arg(value_name = "EVENTS", requires = "id", value_hint = ValueHint::FilePath)]
        events: Option<PathBuf>,
        /// Id of the detection
        id: Option<String>,
        /// An HTTP/1 request, with or without its response behind it; - is standard input
        #[arg(long, env = "MCP_SENSOR_HTTP", hide_env_values = true)]
        #[arg(value_name = "FILE", conflicts_with = "id", value_hint = ValueHint::FilePath)]
        http: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration and the rules it names
    Check {
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Print the configuration in force, with all defaults
    Show {
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Print the JSON Schema of the configuration file
    Schema {
        /// The schema of events instead
        #[arg(long, env = "MCP_SENSOR_EVENTS", hide_env_values = true, value_parser = FalseyValueParser::new())]
        events: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert!(crate::config::DEFAULT_FILE.starts_with("/etc/mcp-sensor/"));
    }

    #[test]
    fn every_option_has_a_variable() {
        fn walk(command: &clap::Command) {
            for arg in command.get_arguments().filter(|a| !a.is_positional()) {
                let id = arg.get_id().as_str();
                if matches!(id, "help" | "version") {
                    continue;
                }
                let want = format!("MCP_SENSOR_{}", id.to_ascii_uppercase());
                assert_eq!(arg.get_env().and_then(|v| v.to_str()), Some(want.as_str()), "{} {id}", command.get_name());
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }
}
