//! Contacts: what a TLS or QUIC handshake or a question to a name server says of a server, though nothing that is said
//! to it can be read.

use crate::hosts::{HostMatch, normal_host};
use crate::rules::{Field, Listed, RuleSet, Signature};
use crate::{Generation, Scratch, Signal, SignalKind, Weight};
use net::{Place, Timestamp};
use proto::tls::{Certificate, ClientHello, ServerHello};
use std::net::IpAddr;

/// The pack whose hosts come from lists that say themselves how sure they are.
const HOST_PACK: &str = "mcp.hosts";
/// Most protocol names kept of a hello.
const MAX_PROTOCOLS: usize = 16;
/// Longest protocol name kept, in bytes.
const MAX_PROTOCOL: usize = 32;
/// Most names kept of a certificate.
const MAX_NAMES: usize = 100;
/// Most signals kept of a contact.
const MAX_SIGNALS: usize = 64;

/// What carried a contact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContactKind {
    /// A TLS handshake.
    #[default]
    Tls,
    /// The first packets of QUIC.
    Quic,
    /// A question to a name server.
    Dns,
}

/// What a handshake tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSeen {
    /// The name that the client claims to call, as far as it can be shown; empty where it is hidden or not sent.
    pub sni: String,
    /// The application protocol chosen, else those offered.
    pub alpn: Vec<String>,
    /// The version chosen, else the highest offered.
    pub version: &'static str,
    /// The fingerprint of the client; empty where its hello was not seen.
    pub ja4: String,
    /// Encrypted Client Hello was offered, or made up so that all clients look alike.
    pub ech: bool,
}

/// What is told of a contact: all that is known so far.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for alone")]
pub struct ContactSeen {
    /// When it began.
    pub ts: Timestamp,
    /// The packet it began in.
    pub place: Place,
    /// What carried it.
    pub kind: ContactKind,
    /// The name asked for: lower case, without port; empty where none can be read.
    pub host: String,
    /// The name asked for may be another: it is encrypted.
    pub hidden: bool,
    /// Authority of the CONNECT tunnel it went through.
    pub via_connect: Option<String>,
    /// What the handshake told; nothing of a question to a name server.
    pub tls: TlsSeen,
    /// Names of the certificate of the server, where it can be seen.
    pub certificate: Vec<String>,
    /// How many names it has beside those.
    pub certificate_left_out: usize,
    /// It is a provider of models, and a gateway is configured that calls are to pass.
    pub model_call: bool,
    /// Signals by signatures.
    pub signals: Vec<Signal>,
    /// No more will come of it.
    pub over: bool,
    /// Keys opened it: what was said inside is told by itself.
    pub opened: bool,
}

/// One contact under way.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for alone")]
pub struct Contact {
    seen: ContactSeen,
    /// A client hello came.
    hello: bool,
    /// It names a known server, or a signature hit.
    known: bool,
    /// There is news since the last update.
    news: bool,
    /// Somebody may need to know who it was, known or not: there may be keys.
    pub keep: bool,
}

impl Contact {
    /// A contact of which nothing is known.
    pub fn new(kind: ContactKind, ts: Timestamp, place: Place, via_connect: Option<&str>) -> Self {
        let via_connect = via_connect.map(|via| cut(via).to_owned());
        Self { seen: ContactSeen { ts, place, kind, via_connect, ..ContactSeen::default() }, ..Self::default() }
    }

    /// Whether a hello is of interest: it names a known server or hides whom it is for. Of others nothing is kept.
    pub fn client_hello(&mut self, rules: &Generation, scratch: &mut Scratch, hello: &ClientHello) -> bool {
        if self.hello {
            // The second one, after a retry, names nobody else.
            return self.is_wanted();
        }
        self.hello = true;
        let mut name = hello.sni.as_ref().and_then(|sni| sni.host()).unwrap_or_default();
        let mut signals = Signals::new(rules, scratch);
        signals.host(name, "tls.sni");
        if name.is_empty() {
            let front = hello.sni.as_ref().map_or("", |sni| sni.front());
            signals.host(front, "tls.sni");
            name = if signals.telling { front } else { name };
        }
        let nobody = is_nobody(name);
        if let Some(via) = self.seen.via_connect.as_deref().map(normal_host).filter(|via| *via != name) {
            signals.host(&via, "host");
        }
        signals.field(&Field::TlsSni, hello.sni.as_ref().map_or("", |sni| sni.text()).as_bytes());
        signals.field(&Field::TlsJa4, hello.ja4.as_str().as_bytes());
        hello.alpn.names().for_each(|name| signals.field(&Field::TlsAlpn, name));
        self.known = signals.tell();
        self.seen.signals = signals.all;
        self.seen.hidden = hello.ech.is_some() || hello.encrypted_sni;
        self.seen.model_call = rules.scope.llm_gateway.is_provider(&normal_host(name));
        if !self.known && !self.keep && !self.seen.hidden && !nobody && !self.seen.model_call {
            return false;
        }
        cut(name).clone_into(&mut self.seen.host);
        self.seen.tls = TlsSeen {
            sni: hello.sni.as_ref().map(|sni| sni.text().to_owned()).unwrap_or_default(),
            alpn: hello.alpn.names().take(MAX_PROTOCOLS).filter_map(protocol).collect(),
            version: hello.version.name(),
            ja4: hello.ja4.as_str().to_owned(),
            ech: self.seen.hidden,
        };
        // Of one that only hides its name, no more can be learnt from the handshake.
        self.seen.over = !self.known && !self.keep && !nobody;
        self.news = self.known || self.seen.over;
        self.is_wanted()
    }

    /// The answer of the server.
    pub fn server_hello(&mut self, hello: &ServerHello) {
        self.seen.tls.version = hello.version.name();
        if let Some(chosen) = hello.alpn.names().find_map(protocol) {
            self.seen.tls.alpn = vec![chosen];
        }
    }

    /// The certificate of the server. Its names are looked up where the client named none.
    pub fn certificate(&mut self, rules: &Generation, scratch: &mut Scratch, leaf: &Certificate) {
        self.seen.certificate = leaf.names().take(MAX_NAMES).map(|name| cut(name).to_owned()).collect();
        self.seen.certificate_left_out =
            leaf.names().skip(MAX_NAMES).count().saturating_add(usize::try_from(leaf.left_out).unwrap_or(usize::MAX));
        if is_nobody(&self.seen.host) || self.seen.hidden {
            let mut signals = Signals::new(rules, scratch);
            for name in leaf.names().take(MAX_NAMES).filter(|name| !name.starts_with('*')) {
                signals.host(name, "host");
                if is_nobody(&self.seen.host) && signals.telling {
                    cut(name).clone_into(&mut self.seen.host);
                }
            }
            self.known |= signals.tell();
            self.seen.signals.append(&mut signals.all);
        }
    }

    /// The chosen protocol, which the server encrypted.
    pub fn chosen(&mut self, name: &[u8]) {
        self.seen.tls.alpn = protocol(name).into_iter().collect();
    }

    /// A question to a name server: whether the name is of interest.
    pub fn question(&mut self, rules: &Generation, scratch: &mut Scratch, name: &str) -> bool {
        let mut signals = Signals::new(rules, scratch);
        signals.host(name, "dns.query");
        signals.field(&Field::DnsQuery, name.as_bytes());
        self.known = signals.tell();
        self.seen.signals = signals.all;
        if self.known {
            cut(name).clone_into(&mut self.seen.host);
            (self.news, self.seen.over) = (true, true);
        }
        self.known
    }

    /// Keys opened it.
    pub fn opened(&mut self) {
        self.news |= self.known;
        self.seen.opened = true;
    }

    /// No more of the handshake will come.
    pub fn over(&mut self) {
        self.news |= !self.seen.over;
        self.seen.over = true;
    }

    /// Whether anything that may still come would be told or kept.
    pub fn is_wanted(&self) -> bool {
        self.keep || self.known || !self.seen.over
    }

    /// What it holds, in bytes: an estimate.
    pub fn weight(&self) -> usize {
        let names = self.seen.certificate.iter().map(|name| size_of::<String>() + name.capacity()).sum::<usize>();
        // A signal has four short texts; the rest of the hello is kept in some hundred bytes.
        size_of::<Self>() + 512 + names + self.seen.signals.len() * 2 * size_of::<Signal>()
    }

    /// Whether nothing more will come.
    pub const fn is_over(&self) -> bool {
        self.seen.over
    }

    /// What the handshake told so far.
    pub const fn tls(&self) -> &TlsSeen {
        &self.seen.tls
    }

    /// All that is known, where there is news since the last call that somebody may want to know: a known server, or
    /// one whose name is hidden and may be known from elsewhere.
    pub fn take_update(&mut self) -> Option<Box<ContactSeen>> {
        let nameless = self.seen.over && !self.seen.opened && (self.seen.hidden || is_nobody(&self.seen.host));
        let news = std::mem::take(&mut self.news);
        let told = self.known || nameless || self.seen.model_call && self.seen.over;
        (news && told).then(|| Box::new(self.seen.clone()))
    }
}

/// Whether the name that was asked for says nothing of who it is: it is empty, or an address.
pub fn is_nobody(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.is_empty() || bare.parse::<IpAddr>().is_ok()
}

/// Whether a name alone, lower case and without port, makes a server possible.
pub fn is_known_host(rules: &RuleSet, name: &str) -> bool {
    let mut known = false;
    rules.scan_host(name, None, &mut |found| {
        let weight = rules.signature(found.signature).map_or(Weight::Info, |known| weight_of(known, &found));
        known |= weight >= Weight::Medium;
    });
    known
}

/// Collects what signatures say of names and short fields.
struct Signals<'r> {
    generation: &'r Generation,
    scratch: &'r mut Scratch,
    all: Vec<Signal>,
    telling: bool,
    weak: u8,
}

impl<'r> Signals<'r> {
    fn new(generation: &'r Generation, scratch: &'r mut Scratch) -> Self {
        Self { generation, scratch, all: Vec::new(), telling: false, weak: 0 }
    }

    fn host(&mut self, name: &str, on: &str) {
        if name.is_empty() {
            return;
        }
        let Self { generation, scratch, all, telling, .. } = self;
        let rules = &generation.rules;
        rules.scan_host(name, None, &mut |found| {
            scratch.stats.signals.count(rules, found.signature);
            let Some(known) = rules.signature(found.signature) else { return };
            let weight = weight_of(known, &found);
            *telling |= weight >= Weight::Medium;
            // Of a question nothing else says which name it was.
            let shown = if on == "dns.query" { name } else { found.label };
            push(all, known, on, weight, cut(shown), 0);
        });
        if on != "dns.query" {
            self.field(&Field::Host, name.as_bytes());
        }
    }

    fn field(&mut self, on: &Field, value: &[u8]) {
        let Self { generation, scratch, all, telling, weak, .. } = self;
        let Scratch { rules: engine, stats, .. } = &mut **scratch;
        let rules = &generation.rules;
        rules.scan_field(on, value, engine, &mut |signature, end| {
            let Some(known) = rules.signature(signature) else { return };
            stats.signals.count(rules, signature);
            *weak += u8::from(known.weight == Weight::Weak && *weak < 2);
            *telling |= known.weight >= Weight::Medium || *weak >= 2;
            let shown = value.escape_ascii().to_string();
            push(all, known, &on.to_string(), known.weight, cut(&shown), end as u64);
        });
    }

    /// Whether it is worth telling.
    fn tell(&self) -> bool {
        self.telling
    }
}

fn push(all: &mut Vec<Signal>, known: &Signature, on: &str, weight: Weight, excerpt: &str, offset: u64) {
    if all.len() < MAX_SIGNALS {
        let (id, on, excerpt) = (known.id.clone(), on.to_owned(), excerpt.to_owned());
        all.push(Signal { id, kind: SignalKind::Signature, on, weight, excerpt, offset });
    }
}

/// What a host of a rule weighs where only its name was seen, or its path agrees. What a host of the list weighs is in
/// the list; a host of another pack weighs what its signature says.
pub(crate) fn weight_of(known: &Signature, found: &HostMatch<'_>) -> Weight {
    match () {
        () if known.pack != HOST_PACK => known.weight,
        () if !found.category.is_server() => Weight::Info,
        () if found.dedicated || (!found.has_path && found.listed >= Listed::Medium) => Weight::Medium,
        () => Weight::Info,
    }
}

/// A protocol name to be shown; `None` for one that clients make up to keep servers tolerant (RFC 8701).
fn protocol(name: &[u8]) -> Option<String> {
    let made_up = matches!(name, [a, b] if a == b && a & 0x0f == 0x0a);
    let shown = name.get(..MAX_PROTOCOL.min(name.len())).unwrap_or_default();
    (!made_up).then(|| shown.escape_ascii().to_string())
}

/// At most 255 bytes, cut between characters.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(255)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::tls::Transport;
    use testkit::tls::Hello;

    fn generation() -> Generation {
        let rules = crate::rules::compile(&crate::rules::builtin()).unwrap();
        Generation { rules, scope: crate::Scope::default(), policy: crate::Policy::default() }
    }

    /// The last update of a contact whose hello is this.
    fn told(generation: &Generation, hello: &Hello) -> Option<Box<ContactSeen>> {
        let mut scratch = Scratch::new(crate::Limits::default());
        let mut contact = Contact::new(ContactKind::Tls, Timestamp(0), Place::default(), None);
        let hello = ClientHello::parse(&hello.client_body(), Transport::Tcp).unwrap();
        let wanted = contact.client_hello(generation, &mut scratch, &hello);
        let first = contact.take_update();
        if !wanted {
            return first;
        }
        contact.over();
        contact.take_update()
    }

    #[test]
    fn known_and_hidden_names_are_told_and_others_are_not() {
        let generation = generation();
        let hello = Hello::client;
        for (name, hello, want) in [
            ("a pattern of medium confidence", hello("mcp.vendor.example"), Some("mcp.vendor.example")),
            ("in upper case", hello("MCP.Vendor.Example"), Some("mcp.vendor.example")),
            ("a pattern of low confidence alone", hello("notes-mcp.vendor.example"), None),
            ("a host that serves much else", hello("github.com"), None),
            ("unknown", hello("www.vendor.example"), None),
            ("no name", hello("x").without(0), Some("")),
            (
                "a name that may stand for another",
                hello("www.vendor.example").with(0xfe0d, vec![0; 40]),
                Some("www.vendor.example"),
            ),
        ] {
            let seen = told(&generation, &hello);
            assert_eq!(seen.as_ref().map(|seen| seen.host.as_str()), want, "{name}");
        }
        let seen = told(&generation, &hello("mcp.vendor.example")).unwrap();
        assert!(seen.over && !seen.hidden);
        assert_eq!(
            (seen.tls.alpn.as_slice(), seen.tls.version),
            (&["h2".to_owned(), "http/1.1".to_owned()][..], "1.3")
        );
        assert!(seen.signals.iter().all(|s| s.on == "tls.sni"));
        assert!(seen.signals.iter().any(|s| s.weight == Weight::Medium));
    }

    #[test]
    fn what_keys_opened_is_taken_back() {
        let generation = generation();
        let mut scratch = Scratch::new(crate::Limits::default());
        let mut contact = Contact::new(ContactKind::Tls, Timestamp(0), Place::default(), None);
        contact.keep = true;
        let hello = ClientHello::parse(&Hello::client("mcp.a.example").client_body(), Transport::Tcp).unwrap();
        assert!(contact.client_hello(&generation, &mut scratch, &hello));
        assert!(!contact.take_update().unwrap().opened);
        contact.opened();
        assert!(contact.take_update().unwrap().opened);
        let boring = ClientHello::parse(&Hello::client("www.a.example").client_body(), Transport::Tcp).unwrap();
        let mut contact =
            Contact { keep: true, ..Contact::new(ContactKind::Tls, Timestamp(0), Place::default(), None) };
        assert!(contact.client_hello(&generation, &mut scratch, &boring), "who it was may be asked for later");
        contact.over();
        assert_eq!(contact.take_update().map(|seen| seen.host.clone()), None);
    }
}
