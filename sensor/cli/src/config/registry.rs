//! `[sanctioned]`: the servers of the file, and those of MCP registries as JSON: one `server.json`, or the list that the
//! registry's API gives (`{"servers":[{"server":{…}}]}`; also without the inner `server`, or a plain list).

use super::live::Fault;
use crate::files;
use crate::words::plural;
use detect::{HostPattern, RawServer, RawServerTable, RawServers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Most servers of all registries together.
const MAX_SERVERS: usize = 50_000;
/// Most addresses that the variables of one URL give.
const MAX_CHOICES: usize = 64;
/// Where the registry itself says what became of an entry.
const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";

/// `[sanctioned]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSanctioned {
    /// One entry a server.
    servers: Vec<RawServer>,
    /// Files of MCP registries, as JSON: all remote servers in them are approved. Relative to the configuration file.
    registry: Vec<PathBuf>,
}

/// What the registries gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Imported {
    /// Servers approved: each host, port and path once.
    pub(crate) servers: usize,
    /// Addresses that are no server's, for their host is a variable.
    pub(crate) left_out: usize,
}

impl Imported {
    /// What came of so many files, to follow other words; nothing where there are none.
    pub(super) fn in_short(self, files: usize) -> String {
        if files == 0 {
            return String::new();
        }
        let servers = plural(self.servers as u64, "server");
        let left_out = match self.left_out {
            0 => String::new(),
            n => format!(", {n} left out for want of a fixed host"),
        };
        format!("; {servers} of {}{left_out}", plural(files as u64, "registry file"))
    }
}

impl RawSanctioned {
    /// Makes paths relative to `folder`.
    pub(super) fn lie_in(&mut self, folder: &Path) {
        self.registry.iter_mut().for_each(|path| *path = folder.join(&*path));
    }

    /// The files that are read with it.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.registry
    }

    /// All approved servers: those of the configuration file first.
    ///
    /// # Errors
    ///
    /// The first registry that cannot be read, and the place in it.
    pub(super) fn all(&self) -> Result<(RawServers, Imported), Fault> {
        let mut found = Found::default();
        for (i, path) in self.registry.iter().enumerate() {
            let fault = |message: String| Fault { key: format!("sanctioned.registry[{i}]"), fault: message };
            let text = files::read(path).map_err(fault)?;
            found.file(&text).map_err(|why| fault(format!("{}: {why}", path.display())))?;
        }
        let Found { servers, left_out } = found;
        let imported = Imported { servers: servers.len(), left_out };
        let registered = servers.into_iter().map(|Address { host, port, path }| {
            RawServer::Table(RawServerTable { host, port, path, ..RawServerTable::default() })
        });
        Ok((RawServers { servers: self.servers.iter().cloned().chain(registered).collect() }, imported))
    }
}

/// Where a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    host: String,
    /// Only where the URL names one.
    port: Option<u16>,
    path: Option<String>,
}

/// The addresses of all files so far.
#[derive(Debug, Default)]
struct Found {
    servers: BTreeSet<Address>,
    left_out: usize,
}

impl Found {
    /// Takes up a file.
    fn file(&mut self, text: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))?;
        match &value {
            Value::Array(entries) => self.list("", entries),
            Value::Object(object) => match object.get("servers") {
                Some(Value::Array(entries)) => self.list("servers", entries),
                Some(_) => Err("`servers` is no list".to_owned()),
                None if ["server", "remotes", "packages"].iter().any(|key| object.contains_key(*key)) => {
                    self.entry("", object)
                }
                None => Err(NO_REGISTRY.to_owned()),
            },
            _ => Err(NO_REGISTRY.to_owned()),
        }
    }

    fn list(&mut self, place: &str, entries: &[Value]) -> Result<(), String> {
        for (i, entry) in entries.iter().enumerate() {
            let place = format!("{place}[{i}]");
            self.entry(&place, entry.as_object().ok_or_else(|| format!("`{place}` is no object"))?)?;
        }
        Ok(())
    }

    fn entry(&mut self, place: &str, entry: &Map<String, Value>) -> Result<(), String> {
        let (server, place) = match entry.get("server") {
            Some(Value::Object(server)) => (server, join(place, "server")),
            Some(_) => return Err(format!("`{}` is no object", join(place, "server"))),
            None => (entry, place.to_owned()),
        };
        let official =
            |of: &Map<String, Value>| of.get("_meta")?.get(OFFICIAL)?.get("status")?.as_str().map(str::to_owned);
        let status = official(entry).or_else(|| official(server));
        let status = status.as_deref().or_else(|| server.get("status").and_then(Value::as_str));
        if status == Some("deleted") {
            return Ok(());
        }
        let remotes = match server.get("remotes") {
            // A program to install.
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(remotes)) => remotes,
            Some(_) => return Err(format!("`{}` is no list", join(&place, "remotes"))),
        };
        for (i, remote) in remotes.iter().enumerate() {
            let place = join(&place, &format!("remotes[{i}]"));
            let Some(url) = remote.get("url").and_then(Value::as_str) else {
                return Err(format!("`{place}` has no `url`"));
            };
            let fault = |why: String| format!("`{place}.url`: {why}");
            for url in choices(url, remote.get("variables")) {
                match address(&url).map_err(fault)? {
                    Some(address) => {
                        self.servers.insert(address);
                    }
                    None => self.left_out += 1,
                }
            }
            if self.servers.len() > MAX_SERVERS {
                return Err(format!("`{place}`: there are more than {MAX_SERVERS} servers; keep those that are meant"));
            }
        }
        Ok(())
    }
}

const NO_REGISTRY: &str =
    "neither a `server.json` nor a list of servers; write it like `{\"servers\": [{\"server\": {\"remotes\": […]}}]}`";

fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// The URLs that a template stands for: `{name}` by the value, default and choices of that variable. What is left to
/// the user stays as it is.
fn choices(url: &str, variables: Option<&Value>) -> Vec<String> {
    let mut urls = vec![url.to_owned()];
    for (name, variable) in variables.and_then(Value::as_object).into_iter().flatten() {
        let named = format!("{{{name}}}");
        let fixed = ["value", "default"].iter().filter_map(|key| variable.get(*key));
        let chosen = variable.get("choices").and_then(Value::as_array).into_iter().flatten();
        let values: BTreeSet<&str> = fixed.chain(chosen).filter_map(Value::as_str).collect();
        if values.is_empty() || !url.contains(&named) {
            continue;
        }
        let with = urls.iter().flat_map(|url| values.iter().map(|value| url.replace(&named, value)));
        urls = with.take(MAX_CHOICES).collect();
    }
    urls
}

/// Host, port and path of a URL; nothing where the host has a variable in it.
fn address(url: &str) -> Result<Option<Address>, String> {
    let wrong = |why: &str| format!("`{url}` {why}; write it like `https://mcp.example.com/mcp`");
    let (scheme, rest) = url.trim().split_once("://").ok_or_else(|| wrong("is no URL"))?;
    if !["https", "http", "wss", "ws"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(wrong("is not of the web"));
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if authority.contains(['{', '}']) {
        return Ok(None);
    }
    if authority.contains('@') {
        return Err(wrong("has a user in it"));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, Some(port.parse::<u16>().map_err(|_| wrong("has no port behind its colon"))?))
        }
        _ => (authority, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if HostPattern::parse(&host).is_err() || !(host.parse::<IpAddr>().is_ok() || host.bytes().all(plain)) {
        // A pattern would approve more than one server; a name in Unicode is punycode on the wire.
        return Err(wrong("has no host that could be called"));
    }
    // Of a path with a variable, what stands before that.
    let fixed = path.find('{').and_then(|at| path.get(..at)).and_then(|path| path.rsplit_once('/'));
    let path = mcp::normalise(fixed.map_or(path, |(path, _)| path));
    let path = Some(path).filter(|path| !path.is_empty() && path != "/");
    Ok(Some(Address { host, port, path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses of a file as `host[:port][/path]`, and how many were left out.
    fn read(text: &str) -> Result<(Vec<String>, usize), String> {
        let mut found = Found::default();
        found.file(text)?;
        let shown = found.servers.into_iter().map(|Address { host, port, path }| {
            format!("{host}{}{}", port.map(|p| format!(":{p}")).unwrap_or_default(), path.unwrap_or_default())
        });
        Ok((shown.collect(), found.left_out))
    }

    fn of(remotes: &str) -> Result<(Vec<String>, usize), String> {
        read(&format!(r#"{{"name":"a/b","remotes":[{remotes}]}}"#))
    }

    #[test]
    fn registries_of_all_forms_are_read() {
        let remote = r#"{"type":"streamable-http","url":"https://mcp.example.com/mcp"}"#;
        let old = r#"{"transport_type":"sse","url":"https://mcp.example.com/mcp"}"#;
        for text in [
            format!(r#"{{"name":"a/b","version":"1.0.0","remotes":[{remote}]}}"#),
            format!(r#"{{"server":{{"name":"a/b","remotes":[{remote}]}},"_meta":{{}}}}"#),
            format!(r#"{{"servers":[{{"server":{{"remotes":[{remote}]}}}}],"metadata":{{"count":1}}}}"#),
            format!(r#"{{"servers":[{{"id":"x","remotes":[{old}]}},{{"packages":[]}},{{"remotes":null}}]}}"#),
            format!(r#"[{{"remotes":[{remote},{old}]}}]"#),
            format!(
                r#"{{"servers":[{{"server":{{"remotes":[{remote}]}}}},
                    {{"server":{{"status":"deleted","remotes":[{{"url":"https://gone.example/"}}]}}}},
                    {{"server":{{"remotes":[{{"url":"https://gone.example/"}}]}},
                      "_meta":{{"{OFFICIAL}":{{"status":"deleted"}}}}}}]}}"#
            ),
        ] {
            assert_eq!(read(&text), Ok((vec!["mcp.example.com/mcp".to_owned()], 0)), "{text}");
        }
        assert_eq!(read(r#"{"servers":[]}"#), Ok((Vec::new(), 0)));
    }

    #[test]
    fn urls_become_host_port_and_path() {
        for (remote, want, left_out) in [
            (r#"{"url":"https://MCP.Example.com./"}"#, vec!["mcp.example.com"], 0),
            (r#"{"url":"https://mcp.example.com:8443/a/mcp/?x=1#y"}"#, vec!["mcp.example.com:8443/a/mcp"], 0),
            (r#"{"url":"http://127.0.0.1:8000?x"}"#, vec!["127.0.0.1:8000"], 0),
            (r#"{"url":"https://[2001:db8::7]:8443/mcp"}"#, vec!["2001:db8::7:8443/mcp"], 0),
            (r#"{"url":"https://[2001:db8::7]/mcp"}"#, vec!["2001:db8::7/mcp"], 0),
            (r#"{"url":"https://a.example/v1/{tenant}/mcp"}"#, vec!["a.example/v1"], 0),
            (r#"{"url":"https://a.example/{tenant}"}"#, vec!["a.example"], 0),
            (r#"{"url":"https://{tenant}.a.example/mcp"}"#, vec![], 1),
            (
                r#"{"url":"https://{r}.a.example/mcp","variables":{"r":{"default":"eu","choices":["eu","us"]}}}"#,
                vec!["eu.a.example/mcp", "us.a.example/mcp"],
                0,
            ),
            (r#"{"url":"https://{r}.a.example/mcp","variables":{"r":{"isRequired":true}}}"#, vec![], 1),
        ] {
            let want: Vec<String> = want.into_iter().map(str::to_owned).collect();
            assert_eq!(of(remote), Ok((want, left_out)), "{remote}");
        }
    }

    #[test]
    fn faults_name_their_place() {
        for (text, wants) in [
            ("{", &["not JSON", "line 1 column 1"][..]),
            ("7", &["neither a `server.json`"]),
            ("{}", &["write it like `{\"servers\""]),
            (r#"{"servers":{}}"#, &["`servers` is no list"]),
            (r#"{"servers":[{},7]}"#, &["`servers[1]` is no object"]),
            (r#"{"servers":[{"server":7}]}"#, &["`servers[0].server` is no object"]),
            (r#"{"servers":[{"server":{"remotes":7}}]}"#, &["`servers[0].server.remotes` is no list"]),
            (r#"[{"remotes":[{"type":"sse"}]}]"#, &["`[0].remotes[0]` has no `url`"]),
            (r#"{"remotes":[{"url":"mcp.example.com"}]}"#, &["`remotes[0].url`: `mcp.example.com` is no URL"]),
            (r#"{"remotes":[{"url":"ftp://a.example"}]}"#, &["is not of the web"]),
            (r#"{"remotes":[{"url":"https://*.example/"}]}"#, &["no host that could be called"]),
            (r#"{"remotes":[{"url":"https://münchen.example/"}]}"#, &["no host that could be called"]),
            (r#"{"remotes":[{"url":"https:///mcp"}]}"#, &["no host that could be called"]),
            (r#"{"remotes":[{"url":"https://u:p@a.example/"}]}"#, &["has a user in it"]),
            (r#"{"remotes":[{"url":"https://a.example:x/"}]}"#, &["has no port behind its colon"]),
        ] {
            let why = read(text).unwrap_err();
            assert!(wants.iter().all(|want| why.contains(want)), "{text}: {why}");
        }
    }

    #[test]
    fn there_is_a_limit() {
        let remotes: Vec<String> = (0..=MAX_SERVERS).map(|n| format!(r#"{{"url":"https://s{n}.example/"}}"#)).collect();
        assert!(of(&remotes.join(",")).unwrap_err().contains("more than 50000 servers"));
        let many: Vec<String> = (0..1000).map(|n| format!("\"c{n}\"")).collect();
        let variable = format!(r#"{{"choices":[{}]}}"#, many.join(","));
        let remote =
            format!(r#"{{"url":"https://{{a}}{{b}}.example/","variables":{{"a":{variable},"b":{variable}}}}}"#);
        assert_eq!(of(&remote).unwrap().0.len(), MAX_CHOICES);
    }
}
