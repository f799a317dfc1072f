//! Where servers that run on somebody's own machine come from: packages, images, bundles, and links that install one.
//! Read from the head of a request alone. A name is only read out here; which names mean a server is in the rules.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use proto::RequestHead;

use crate::{
    mask,
    path::normal_target,
    tokenizer::{Token, Tokenizer},
};

/// Longest configuration of a link that is read, in bytes.
const MAX_CONFIG: usize = 8 << 10;
/// Most words of a command line that are looked at.
const MAX_WORDS: usize = 64;

/// What is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupplyKind {
    /// A package of an npm registry.
    Npm,
    /// A package of a Python index (PEP 503), or a file of one.
    PyPi,
    /// The manifest of a container image (OCI distribution).
    Image,
    /// An MCP bundle, `.mcpb` or formerly `.dxt`.
    Bundle,
    /// A link by which a client installs a server.
    Link,
}

impl SupplyKind {
    /// Stable word for records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::PyPi => "pypi",
            Self::Image => "image",
            Self::Bundle => "bundle",
            Self::Link => "install_link",
        }
    }
}

/// What a request fetches. All texts are masked and bounded like those of a [`crate::Message`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supply {
    /// What it is.
    pub kind: SupplyKind,
    /// Name of the package or image, of the bundle's file, or of the server in a link.
    pub name: Option<String>,
    /// Version or tag, where the request names one.
    pub version: Option<String>,
    /// `npx` or `uvx`: it is fetched to be run at once.
    pub runner: Option<&'static str>,
    /// For a link: the server's address, cleaned as [`crate::clean_uri`] does.
    pub url: Option<String>,
    /// For a link: the program that is to run, without its arguments, and the package it is told to fetch.
    pub command: Option<String>,
}

impl Supply {
    fn new(kind: SupplyKind) -> Self {
        Self { kind, name: None, version: None, runner: None, url: None, command: None }
    }

    /// A library to write servers and clients with: much software brings one along that never speaks MCP.
    pub fn is_library(&self) -> bool {
        matches!(self.kind, SupplyKind::Npm | SupplyKind::PyPi)
            && self.name.as_deref().is_some_and(|name| LIBRARIES.contains(&name))
    }

    /// What it weighs on the heap, in bytes.
    pub fn bytes(&self) -> usize {
        [&self.name, &self.version, &self.url, &self.command].into_iter().flatten().map(String::capacity).sum()
    }
}

/// Names that rules for servers would take along.
const LIBRARIES: [&str; 14] = [
    "@modelcontextprotocol/sdk",
    "@modelcontextprotocol/client",
    "@modelcontextprotocol/core",
    "@modelcontextprotocol/server",
    "@modelcontextprotocol/server-legacy",
    "@modelcontextprotocol/ext-apps",
    "fastmcp",
    "mcp",
    "mcp-agent",
    "mcp-framework",
    "mcp-handler",
    "mcp-types",
    "mcp-use",
    "mcpadapt",
];

/// Reads what a request fetches; `None` where its path has none of the known forms.
pub fn supply(head: &RequestHead<'_>) -> Option<Supply> {
    if let Some(link) = install_link(head.target) {
        return Some(link);
    }
    let path = normal_target(head.target);
    let path = path.trim_end_matches('/');
    let file = path.rsplit('/').next().unwrap_or_default();
    let mut found = image(path).or_else(|| python(path, file)).or_else(|| bundle(file)).or_else(|| npm(path))?;
    found.runner = runner(head);
    Some(found)
}

/// `npx` says so in a header, `uvx` in its agent string.
fn runner(head: &RequestHead<'_>) -> Option<&'static str> {
    if head.headers.get("npm-command").is_some_and(|v| v.eq_ignore_ascii_case(b"exec")) {
        return Some("npx");
    }
    let agent = head.headers.text("user-agent").filter(|a| a.starts_with("uv/"))?;
    let runs = agent.contains(r#""subcommand":["uvx"]"#) || agent.contains(r#""subcommand":["tool","run"]"#);
    runs.then_some("uvx")
}

fn named(kind: SupplyKind, name: &str, version: Option<&str>) -> Option<Supply> {
    let version = version.filter(|v| !v.is_empty()).map(mask::version);
    (!name.is_empty()).then(|| Supply { name: Some(mask::name(name)), version, ..Supply::new(kind) })
}

/// `/v2/<name>/manifests/<tag or digest>`.
fn image(path: &str) -> Option<Supply> {
    let (name, reference) = path.strip_prefix("/v2/")?.split_once("/manifests/")?;
    named(SupplyKind::Image, name, Some(reference).filter(|r| !r.contains(':')))
}

/// `/simple/<name>` below any prefix, or a wheel or source archive.
fn python(path: &str, file: &str) -> Option<Supply> {
    if let Some((_, name)) = path.rsplit_once("/simple/").filter(|(_, name)| !name.contains('/')) {
        return named(SupplyKind::PyPi, name, None);
    }
    // A wheel is name-version-tags, an archive name-version; the name of an archive may have dashes.
    let (name, version) = match file.strip_suffix(".whl") {
        Some(stem) => {
            let mut parts = stem.split('-');
            (parts.next()?, parts.next()?)
        }
        None => file.strip_suffix(".tar.gz")?.rsplit_once('-')?,
    };
    named(SupplyKind::PyPi, &name.replace('_', "-"), Some(version))
}

fn bundle(file: &str) -> Option<Supply> {
    let name = file.strip_suffix(".mcpb").or_else(|| file.strip_suffix(".dxt"))?;
    named(SupplyKind::Bundle, name, None)
}

/// `/name`, `/@scope/name`, either followed by `/-/name-version.tgz` or a version, below any prefix where that is told.
fn npm(path: &str) -> Option<Supply> {
    let (package, archive) = match path.split_once("/-/") {
        Some((package, file)) => (package, Some(file.strip_suffix(".tgz")?)),
        None => (path, None),
    };
    let name = match package.rfind("/@") {
        Some(at) => package.get(at + 1..)?,
        None => package.rsplit('/').next()?,
    };
    let bare = name.rsplit('/').next().unwrap_or(name);
    let version = archive.and_then(|a| a.strip_prefix(bare)).and_then(|v| v.strip_prefix('-'));
    named(SupplyKind::Npm, name, version)
}

/// Schemes by which editors and other clients take a server, and pages that lead there.
const LINKS: [&str; 10] = [
    "vscode:mcp/install",
    "vscode-insiders:mcp/install",
    "cursor://anysphere.cursor-deeplink/mcp/install",
    "kiro://kiro.mcp/add",
    "lmstudio://add_mcp",
    "/redirect/mcp/install",
    "/install-mcp",
    "/launch/mcp/add",
    "/mcp/install",
    "/add_mcp",
];

/// Reads a link that installs a server: a URL of a client's own scheme as in a `Location` field, or the target of a
/// page that leads to one. The query has the name and the configuration as JSON, plain or in base64.
pub fn install_link(target: &str) -> Option<Supply> {
    let (place, query) = target.split_once('?')?;
    let known = LINKS
        .iter()
        .any(|link| if link.starts_with('/') { place.ends_with(link) } else { place.eq_ignore_ascii_case(link) });
    if !known {
        return None;
    }
    let query = mask::cut(query, MAX_CONFIG);
    let mut link = Supply::new(SupplyKind::Link);
    let mut configured = false;
    for pair in query.split('&').take(16) {
        // The whole query may be the configuration.
        let (key, value) = pair.split_once('=').filter(|(key, _)| !key.starts_with(['{', '%'])).unwrap_or(("", pair));
        let value = mask::percent_decode(value);
        match key {
            "name" => link.name = Some(mask::name(&value)),
            "url" => link.url = Some(mask::clean_uri(&value)),
            "config" | "" => configured |= link.configuration(&value),
            _ => {}
        }
    }
    (configured || link.url.is_some()).then_some(link)
}

impl Supply {
    /// Reads a server's configuration; false where it is none.
    fn configuration(&mut self, text: &str) -> bool {
        let text = text.trim();
        if text.starts_with('{') {
            return self.json(text.as_bytes());
        }
        let bare = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
        STANDARD_NO_PAD.decode(bare).is_ok_and(|json| self.json(&json))
    }

    /// The few members of a configuration that say what will run, at the top level.
    fn json(&mut self, json: &[u8]) -> bool {
        let (mut tokens, mut at, mut depth) = (Tokenizer::new(), 0, 0_u32);
        let (mut key, mut words, mut found) = (String::new(), Vec::new(), false);
        while let Some(token) = tokens.next(json, &mut at) {
            let text = |tokens: &Tokenizer| String::from_utf8_lossy(tokens.text()).into_owned();
            match token {
                Token::ObjectStart | Token::ArrayStart => {
                    depth += 1;
                    if depth > 1 && key != "args" {
                        tokens.skip_rest();
                    }
                }
                Token::ObjectEnd | Token::ArrayEnd => depth = depth.saturating_sub(1),
                Token::Key => key = text(&tokens),
                Token::TextStart => tokens.keep_text(),
                Token::Text => match (key.as_str(), depth) {
                    ("name", 1) => self.name = Some(mask::name(&text(&tokens))),
                    ("url" | "serverUrl", 1) => {
                        self.url = Some(mask::clean_uri(&text(&tokens)));
                        found = true;
                    }
                    ("command", 1) => {
                        words.insert(0, text(&tokens));
                        found = true;
                    }
                    ("args", 2) if words.len() < MAX_WORDS => words.push(text(&tokens)),
                    _ => {}
                },
                Token::Broken => return false,
                _ => {}
            }
        }
        if found && self.url.is_none() {
            self.command = command(&words);
        }
        found
    }
}

/// The program without its directory, and of those that fetch what they run the package: other arguments may be
/// secrets.
fn command(words: &[String]) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let mut parts = program.split(' ').filter(|part| !part.is_empty());
    let program = parts.next()?.rsplit(['/', '\\']).next().unwrap_or_default();
    let fetches = matches!(program.trim_end_matches(".cmd"), "npx" | "uvx" | "bunx" | "pnpx" | "pipx");
    let mut arguments = parts.chain(arguments.iter().map(String::as_str));
    let package = arguments.find(|a| !a.starts_with('-')).filter(|_| fetches);
    let named = package.map_or_else(|| program.to_owned(), |package| format!("{program} {}", mask::name(package)));
    Some(mask::name(&named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{Field, Headers};

    fn of(target: &str, fields: &[(&'static str, &str)]) -> Option<Supply> {
        let fields: Vec<Field<'_>> = fields.iter().map(|(name, v)| Field { name, value: v.as_bytes() }).collect();
        let headers = Headers(&fields);
        supply(&RequestHead { method: "GET", target, version: "1.1", headers, via_connect: None })
    }

    #[test]
    fn packages_images_and_bundles_are_named() {
        use SupplyKind::{Bundle, Image, Npm, PyPi};
        let uvx = r#"uv/0.13.9 {"installer":{"name":"uv","version":"0.13.9","subcommand":["uvx"]}}"#;
        for (target, fields, kind, name, version, runner) in [
            (
                "/@modelcontextprotocol%2fserver-filesystem",
                &[("npm-command", "exec")][..],
                Npm,
                "@modelcontextprotocol/server-filesystem",
                None,
                Some("npx"),
            ),
            ("/@a/mcp/-/mcp-1.2.0.tgz", &[("npm-command", "ci")], Npm, "@a/mcp", Some("1.2.0"), None),
            ("/npm/all/@a%2Fmcp", &[], Npm, "@a/mcp", None, None),
            ("/mcp-remote", &[], Npm, "mcp-remote", None, None),
            ("/simple/mcp-server-git/", &[("user-agent", uvx)], PyPi, "mcp-server-git", None, Some("uvx")),
            ("/x/mcp_server_git-2025.9.25-py3-none-any.whl", &[], PyPi, "mcp-server-git", Some("2025.9.25"), None),
            ("/x/mcp-server-git-2025.9.25.tar.gz", &[], PyPi, "mcp-server-git", Some("2025.9.25"), None),
            ("/v2/mcp/postgres/manifests/latest", &[], Image, "mcp/postgres", Some("latest"), None),
            ("/v2/a/b-mcp/manifests/sha256:00", &[], Image, "a/b-mcp", None, None),
            ("/acme/releases/download/v1/notes.mcpb?x=1", &[], Bundle, "notes", None, None),
        ] {
            let got = of(target, fields).unwrap();
            let version = version.map(str::to_owned);
            assert_eq!((got.kind, got.name.as_deref(), got.version, got.runner), (kind, Some(name), version, runner));
        }
        assert_eq!(of("/", &[]), None);
        assert!(of("/simple/mcp/", &[]).unwrap().is_library());
        assert!(of("/@modelcontextprotocol/sdk", &[]).unwrap().is_library());
        assert!(!of("/simple/mcp-server-git", &[]).unwrap().is_library());
    }

    #[test]
    fn links_tell_what_they_install_and_keep_its_secrets() {
        let plain = "/redirect/mcp/install?name=notes&config=%7B%22type%22%3A%22http%22%2C%22url%22%3A%22https%3A%2F%2Fnotes.example%2Fmcp%3Fkey%3Dhunter2%22%7D";
        let link = install_link(plain).unwrap();
        assert_eq!(
            (link.name.as_deref(), link.url.as_deref()),
            (Some("notes"), Some("https://notes.example/mcp?key=…"))
        );
        let json =
            r#"{"command":"/usr/bin/npx","args":["-y","@a/notes-mcp","--token","hunter2"],"env":{"KEY":"hunter2"}}"#;
        let config = base64::engine::general_purpose::URL_SAFE.encode(json);
        let link = install_link(&format!("cursor://anysphere.cursor-deeplink/mcp/install?name=n&config={config}"));
        assert_eq!(link.unwrap().command.as_deref(), Some("npx @a/notes-mcp"));
        let query = json.replace('"', "%22");
        let link = install_link(&format!("vscode:mcp/install?{query}")).unwrap();
        assert_eq!(link.command.as_deref(), Some("npx @a/notes-mcp"));
        assert!(!format!("{link:?}").contains("hunter2"));
        for other in ["vscode:mcp/install", "/install-mcp?x=1", "/mcp/install?config=%7B", "vscode:extension/x?{}", "/"]
        {
            assert_eq!(install_link(other), None, "{other}");
        }
    }
}
