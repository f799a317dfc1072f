//! The list that tshark prints. Of its formats PDML alone keeps the order of what is nested and has values as bytes.

use crate::Request;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether tshark can be run.
pub(crate) fn is_there() -> bool {
    Command::new("tshark")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

/// Reads a capture with tshark; servers at these ports speak HTTP/2 in the clear.
pub(crate) fn read(capture: &Path, keylog: Option<&Path>, http2: &BTreeSet<u16>) -> Vec<Request> {
    let mut tshark = Command::new("tshark");
    tshark.env("LC_ALL", "C").arg("-r").arg(capture).args(["-n", "-T", "pdml", "-Y", "http.request || http2.streamid"]);
    // As we do: what was reordered is put in order, bodies keep their content coding.
    tshark.args(["-o", "tcp.reassemble_out_of_order:TRUE", "-o", "http.decompress_body:FALSE"]);
    if let Some(keylog) = keylog {
        tshark.arg("-o").arg(format!("tls.keylog_file:{}", keylog.display()));
    }
    for port in http2 {
        tshark.arg("-d").arg(format!("tcp.port=={port},http2"));
    }
    let output = tshark.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    let mut list = List::default();
    let text = String::from_utf8_lossy(&output.stdout);
    for tag in text.split('<').skip(1) {
        list.tag(tag);
    }
    list.flush();
    list.requests
}

/// What an attribute of a tag says, with the escapes of XML taken off.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(escapes.iter().fold(value.to_owned(), |text, (from, to)| text.replace(from, to)))
}

/// The bytes of the field of this tag.
fn bytes(tag: &str) -> Vec<u8> {
    let hex = attribute(tag, "value").unwrap_or_default();
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn text(tag: &str) -> String {
    String::from_utf8_lossy(&bytes(tag)).into_owned()
}

/// A message of HTTP/1, or a frame of HTTP/2, under way.
#[derive(Debug, Default)]
struct Unit {
    http2: bool,
    method: Option<String>,
    host: String,
    path: String,
    data: Vec<u8>,
    /// The whole body, which the last frame of HTTP/2 repeats.
    whole: Option<Vec<u8>>,
    stream: String,
    /// RFC 8441 §4: a CONNECT that asks for this protocol.
    protocol: Option<String>,
    /// The name of the field of HTTP/2 that comes.
    field: String,
}

#[derive(Default)]
struct List {
    requests: Vec<Request>,
    /// Requests of HTTP/2 by connection and stream.
    streams: BTreeMap<([String; 2], String), usize>,
    /// Source and destination of the packet: addresses, ports. Those of the innermost.
    address: [String; 2],
    port: [String; 2],
    unit: Option<Unit>,
}

impl List {
    fn tag(&mut self, tag: &str) {
        let Some(name) = attribute(tag, "name") else { return };
        if tag.starts_with("proto ") {
            match name.as_str() {
                "http" | "http2" => {
                    self.flush();
                    self.unit = Some(Unit { http2: name == "http2", ..Unit::default() });
                }
                // Of a packet that a message only ends in, nothing may be added to the one before.
                "geninfo" => self.flush(),
                _ => {}
            }
            return;
        }
        let show = || attribute(tag, "show").unwrap_or_default();
        match name.as_str() {
            "ip.src" | "ipv6.src" => self.address[0] = show(),
            "ip.dst" | "ipv6.dst" => self.address[1] = show(),
            "tcp.srcport" => self.port[0] = show(),
            "tcp.dstport" => self.port[1] = show(),
            _ => {}
        }
        let Some(unit) = &mut self.unit else { return };
        match name.as_str() {
            "http.request.method" | "http2.headers.method" => unit.method = Some(text(tag)),
            "http.host" => unit.host = show(),
            "http.request.uri" | "http2.headers.path" => unit.path = text(tag),
            "http2.headers.authority" => unit.host = text(tag),
            "http2.header.name" => unit.field = text(tag),
            "http2.header.value" if unit.field == ":protocol" => unit.protocol = Some(text(tag)),
            "http2.streamid" => unit.stream = show(),
            "http.file_data" | "http2.data.data" => unit.data = bytes(tag),
            // A body in a content coding is not shown as file data.
            "data.data" if !unit.http2 && unit.data.is_empty() => unit.data = bytes(tag),
            "http2.body.reassembled.data" => unit.whole = Some(bytes(tag)),
            _ => {}
        }
    }

    /// The unit is whole.
    fn flush(&mut self) {
        let Some(unit) = self.unit.take() else { return };
        let end = |at: usize| format!("{} {}", self.address[at], self.port[at]);
        let ends = [end(0), end(1)];
        let stream = (ends.clone(), unit.stream);
        if let Some(mut method) = unit.method {
            // What goes through a tunnel is no body.
            if unit.http2 && method != "CONNECT" {
                self.streams.insert(stream, self.requests.len());
            }
            if unit.protocol.as_deref() == Some("websocket") {
                "GET".clone_into(&mut method);
            }
            let body = if unit.http2 { Vec::new() } else { unit.data };
            self.requests.push(Request { ends, method, host: unit.host, path: unit.path, body });
        } else if unit.http2
            && let Some(at) = self.streams.get(&stream)
        {
            let body = &mut self.requests[*at].body;
            match unit.whole {
                Some(whole) => *body = whole,
                None => body.extend(unit.data),
            }
        }
    }
}
