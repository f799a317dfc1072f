//! Why a detection is what it is: each signal with what it means, and what they amount to.

use super::{RuleSet, meaning, policies};
use crate::failure::Failure;
use crate::files::MAX_BYTES;
use correlate::Record;
use detect::Generation;
use serde_json::Value;
use sinks::safe::safe;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// Longest line of events read, in bytes; the program writes none as long.
const MAX_LINE: u64 = 16 << 20;

/// Explains the detection `id` of a file of events.
pub(super) fn event(path: &Path, id: &str, generation: &Generation) -> Result<String, Failure> {
    let cannot = |e: io::Error| Failure::usage(format!("cannot read {}: {e}", path.display()));
    let mut lines = BufReader::new(open(path).map_err(cannot)?);
    let (mut line, mut detections, mut other) = (Vec::new(), 0_u64, 0_u64);
    loop {
        line.clear();
        if lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(cannot)? == 0 {
            break;
        }
        match serde_json::from_slice::<Value>(&line) {
            Ok(event) => match word(&event, "type") {
                "detection" if word(&event, "id") == id => {
                    return Ok(told(&event, &generation.rules) + &policies::explained(&event, generation));
                }
                "detection" => detections += 1,
                "" => other += 1,
                _ => {}
            },
            Err(_) => other += 1,
        }
    }
    let odd = if other > 0 { format!("; {other} lines are no events") } else { String::new() };
    Err(Failure::usage(format!("no detection {id} among the {detections} of {}{odd}", path.display())))
}

/// Explains what an HTTP message would give.
pub(super) fn http(path: &Path, generation: &Arc<Generation>) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::usage(format!("{} is larger than {} MiB", path.display(), MAX_BYTES >> 20)));
    }
    let mut out = String::new();
    for record in pipeline::explain(&bytes, generation) {
        if let Record::Detection(_) = record {
            let event = serde_json::to_value(&record).map_err(|e| Failure::run(e.to_string()))?;
            out += &told(&event, &generation.rules);
            out += &policies::explained(&event, generation);
            out.push('\n');
        }
    }
    if out.is_empty() {
        out = "Nothing: no signature hits, and the parser finds no MCP in it.\n".into();
    }
    Ok(out)
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    Ok(if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) })
}

/// The text of a key; empty where it is another thing or absent.
fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("")
}

/// The explanation of one detection, as it stands in the events.
fn told(event: &Value, rules: &RuleSet) -> String {
    let text = |pointer: &str| match event.pointer(pointer) {
        Some(Value::String(text)) => safe(text).into_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let names = |pointer: &str| {
        let items = event.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(|s| safe(s).into_owned()).collect::<Vec<_>>().join(", ")
    };
    let end = |of: &str| format!("{}:{}", text(&format!("/flow/{of}/ip")), text(&format!("/flow/{of}/port")));
    let mut out = format!("Detection {} at {}\n", text("/id"), text("/ts"));
    let mut field = |name: &str, value: String| {
        if !value.trim().is_empty() {
            let _ = writeln!(out, "  {name:<10}{}", value.trim());
        }
    };
    if !text("/source/name").is_empty() {
        let packets = format!("packets {} to {}", text("/source/packets/0"), text("/source/packets/1"));
        field("source", format!("{}, {packets}", text("/source/name")));
    }
    field("flow", format!("{} to {}", end("client"), end("server")));
    let status = text("/http/status");
    let answer = if status.is_empty() { String::new() } else { format!(", answered {status}") };
    field("request", format!("{} {}{}{answer}", text("/http/method"), text("/http/host"), text("/http/path")));
    field("methods", names("/mcp/methods"));
    field("tools", names("/mcp/tools"));
    field("outcome", text("/mcp/outcome"));
    field("limits", text("/limits/undecoded"));

    let signals = event.get("signals").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let _ = writeln!(out, "\nSignals, strongest first:");
    for signal in signals {
        told_signal(&mut out, signal, rules);
    }
    if signals.is_empty() {
        let _ = writeln!(out, "  none");
    }
    let (confidence, class) = (text("/confidence"), text("/classification"));
    let _ = writeln!(out, "\nConfidence {confidence}: {}.", why_confidence(&confidence, signals));
    let what = text("/look_alike");
    let _ = writeln!(out, "Classification {class}: {}.", why_class(&class, &what));
    let _ = writeln!(out, "Severity {}: {}.", text("/severity"), why_severity(&text("/severity"), &confidence, &class));
    out
}

fn told_signal(out: &mut String, signal: &Value, rules: &RuleSet) {
    let text = |key: &str| safe(word(signal, key));
    let id = word(signal, "id");
    let place = match signal.get("offset").and_then(Value::as_u64) {
        Some(offset) if offset > 0 => format!(" at byte {offset}"),
        _ => String::new(),
    };
    let _ = writeln!(out, "  {:<7} {}, on {}{place}", text("weight"), safe(id), text("on"));
    let signature = rules.signatures().iter().find(|s| s.id == id);
    if let Some(meaning) = meaning(rules, id) {
        let _ = writeln!(out, "          {meaning}");
    } else if signature.is_none() && word(signal, "kind") == "signature" {
        let _ = writeln!(out, "          (not among the rules in force now)");
    }
    if !text("excerpt").is_empty() {
        let _ = writeln!(out, "          seen: {}", text("excerpt"));
    }
    if let Some(signature) = signature {
        let _ = writeln!(out, "          from: {}:{}", signature.file, signature.line);
        for reference in &signature.references {
            let _ = writeln!(out, "          see:  {}", safe(reference));
        }
    }
}

/// Why the signals give this confidence and no more.
fn why_confidence(confidence: &str, signals: &[Value]) -> String {
    let of = |weight: &str| {
        let ids = signals.iter().filter(|s| word(s, "weight") == weight);
        ids.map(|s| safe(word(s, "id")).into_owned()).collect::<Vec<_>>().join(", ")
    };
    let (proof, strong, medium, weak) = (of("proof"), of("strong"), of("medium"), of("weak"));
    match confidence {
        "confirmed" => format!("the parser proved it ({proof})"),
        "likely" => format!("a strong sign ({strong}), and no proof"),
        _ if !medium.is_empty() => format!("a sign of medium weight ({medium}), and nothing stronger that counts"),
        _ => format!("weak signs that count together only ({weak})"),
    }
}

/// What a classification means.
fn why_class(class: &str, look_alike: &str) -> String {
    let fixed = match class {
        "portal" => "a configured portal, by name and by evidence",
        "sanctioned" => "an approved server, by name and by evidence",
        "sanctioned_direct" => "an approved server that is to be reached through the portal, reached directly",
        "published" => "a server of ours that others may call",
        "denied" => "a server somebody denied; it alerts at any confidence",
        "shadow" => "confirmed or likely MCP, and nobody approved this server",
        "unknown" => "only possible, so not a shadow server yet",
        "look_alike" => return format!("resembles MCP and is something else ({look_alike})"),
        _ => "not known to this version",
    };
    fixed.to_owned()
}

/// Where a severity comes from.
fn why_severity(severity: &str, confidence: &str, class: &str) -> String {
    let base = match (class, confidence) {
        ("denied", _) | ("shadow", "confirmed") => "high",
        ("shadow" | "sanctioned_direct", _) => "medium",
        ("unknown", _) => "low",
        _ => "info",
    };
    if severity == base {
        format!("as for any {} that is {confidence}", class.replace('_', " "))
    } else {
        format!("a signature, a policy or the name of the host raises it from {base}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> RuleSet {
        detect::rules::compile(&detect::rules::builtin()).unwrap()
    }

    #[test]
    fn an_explanation_names_signals_evidence_and_reasons() {
        let event = json!({
            "type": "detection", "id": "d1", "ts": "2026-11-23T09:12:01.000000Z",
            "source": {"name": "case.pcap", "packets": [4, 9]},
            "flow": {"client": {"ip": "10.1.2.3", "port": 5}, "server": {"ip": "203.0.113.9", "port": 80}},
            "http": {"method": "POST", "host": "mcp.example\u{1b}[2J", "path": "/mcp", "status": 200},
            "signals": [
                {"id": "mcp.proof.initialize", "kind": "structure", "on": "request.body", "weight": "proof", "excerpt": "\"method\"", "offset": 18},
                {"id": "gone.signature", "kind": "signature", "on": "url", "weight": "medium", "excerpt": "", "offset": 0},
            ],
            "confidence": "confirmed", "classification": "shadow", "severity": "critical",
        });
        let text = told(&event, &rules());
        for want in [
            "Detection d1 at 2026-11-23",
            "case.pcap, packets 4 to 9",
            "POST mcp.example\\x1b[2J/mcp, answered 200",
            "proof   mcp.proof.initialize, on request.body at byte 18",
            "an initialize request with protocolVersion",
            "seen: \"method\"",
            "not among the rules in force now",
            "the parser proved it (mcp.proof.initialize)",
            "nobody approved this server",
            "raises it from high",
        ] {
            assert!(text.contains(want), "{want}\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        assert!(told(&json!({}), &rules()).contains("none"), "an event with nothing in it is no reason to panic");
    }
}
