//! `mcp-sensor payload`: keys for payloads of events, and reading these.

pub(crate) mod args;

use crate::failure::{Failure, Outcome};
use crate::files;
use crate::log::Log;
use crate::words::plural;
use args::Payload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use serde::Serialize;
use serde_json::Value;
use sinks::jsonl;
use sinks::payload::Identities;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use zeroize::{Zeroize as _, Zeroizing};

/// Longest line of events that is read, in bytes.
const MAX_LINE: u64 = 64 << 20;

/// Does what was asked for.
pub(crate) fn run(command: &Payload, log: &Log) -> Outcome {
    // Keys pass through our memory: neither a core dump nor a debugger of the same user is to have them.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = prctl::set_dumpable(false);
    match command {
        Payload::Keygen { output } => keygen(output.as_deref().filter(|path| *path != Path::new("-"))),
        Payload::Decrypt { identity, events } => decrypt(identity, events, log),
    }
}

fn keygen(output: Option<&Path>) -> Outcome {
    let keys = Identities::generate();
    let mut out = io::stdout().lock();
    let Some(path) = output else {
        out.write_all(keys.to_text().as_bytes())?;
        out.flush()?;
        return Ok(0);
    };
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("{} exists, and may hold a key; name another file", path.display()))
        }
        _ => Failure::run(format!("cannot write {}: {error}", path.display())),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(cannot)?;
    let written = file.write_all(keys.to_text().as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a key is of no use, and would be in the way of the next attempt.
        let _ = std::fs::remove_file(path);
        cannot(error)
    })?;
    for key in keys.recipients().texts() {
        writeln!(out, "{key}")?;
    }
    out.flush()?;
    Ok(0)
}

/// What is printed of one payload.
#[derive(Serialize)]
struct Opened<'e> {
    #[serde(flatten)]
    event: serde_json::Map<String, Value>,
    #[serde(flatten)]
    message: serde_json::Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

/// Those of `keys` that are there.
fn picked(from: &Value, keys: &[&str]) -> serde_json::Map<String, Value> {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), from.get(*key)?.clone()))).collect()
}

/// What came of a file of events.
#[derive(Default)]
struct Counts {
    opened: u64,
    unreadable: u64,
    no_events: u64,
}

fn decrypt(identity: &Path, events: &Path, log: &Log) -> Outcome {
    let text = files::read_private(identity).map_err(Failure::usage)?;
    let keys = Identities::parse(&text).map_err(|e| Failure::usage(format!("{}: {e}", identity.display())))?;
    let input: Box<dyn BufRead> = if events == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(Failure::usage("standard input is a terminal; pipe events into it, or name a file"));
        }
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(events).and_then(|file| {
            if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
        });
        Box::new(BufReader::new(file.map_err(|e| Failure::usage(format!("cannot read {}: {e}", events.display())))?))
    };
    let counts = each(input, &keys, log)?;
    for (n, what) in [(counts.unreadable, "payload"), (counts.no_events, "line")] {
        if n > 0 {
            log.error(&format!("{} could not be read", plural(n, what)));
        }
    }
    if counts.opened + counts.unreadable == 0 {
        log.warn("there is no encrypted payload in these events");
    }
    Ok(u8::from(counts.unreadable + counts.no_events > 0))
}

fn each(mut input: Box<dyn BufRead>, keys: &Identities, log: &Log) -> Result<Counts, Failure> {
    let mut out = io::stdout().lock();
    let (mut counts, mut line, mut shown) = (Counts::default(), Vec::new(), Zeroizing::new(Vec::new()));
    for number in 1_u64.. {
        line.clear();
        let read = (&mut input).take(MAX_LINE + 1).read_until(b'\n', &mut line);
        let read = read.map_err(|e| Failure::run(format!("cannot read events: {e}")))?;
        if read == 0 {
            break;
        }
        if read as u64 > MAX_LINE {
            return Err(Failure::usage(format!("line {number} is over {} MiB, and no event", MAX_LINE >> 20)));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let Ok(event) = serde_json::from_slice::<Value>(&line) else {
            log.debug(&format!("line {number} is no event"));
            counts.no_events += 1;
            continue;
        };
        let payloads = event.get("payload").and_then(Value::as_array).into_iter().flatten();
        for payload in payloads.filter(|payload| payload.get("form").is_some_and(|form| form == "encrypted")) {
            let opened = match payload.get("data").and_then(Value::as_str) {
                Some(data) => keys.open(data).map_err(|error| error.to_string()),
                None => Err("it was not written".to_owned()),
            };
            let text = match opened {
                Ok(text) => text,
                Err(why) => {
                    let id = event.get("id").and_then(Value::as_str).unwrap_or_default();
                    log.warn(&format!("line {number}, event {}: {why}", sinks::safe::safe(id)));
                    counts.unreadable += 1;
                    continue;
                }
            };
            counts.opened += 1;
            let utf8 = str::from_utf8(&text).ok();
            let opened = Opened {
                event: picked(&event, &["id", "ts", "sensor", "flow", "user"]),
                message: picked(payload, &["message", "rpc_id", "policy", "bytes", "truncated"]),
                payload: utf8,
                payload_base64: utf8.is_none().then(|| STANDARD.encode(&text)),
            };
            shown.zeroize();
            jsonl::json(&opened, &mut shown).map_err(|e| Failure::Run(e.into()))?;
            out.write_all(&shown)?;
        }
    }
    out.flush()?;
    Ok(counts)
}
