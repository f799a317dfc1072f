//! Datagrams of one shard: questions to name servers, their answers, leases of addresses, and the first packets of QUIC.

use crate::app::Work;
use crate::tunnels;
use detect::{Contact, ContactKind, FlowFacts, HostSeen, NameSeen, Scope, What};
use net::{Direction, FlowKey, Packet, Place, Timestamp, Transport};
use proto::dhcp;
use proto::dns::{self, Message, Record, kind};
use proto::quic::{self, Observer, Version, Want};
use proto::tls::{ClientHello, ServerHello};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Most QUIC connections of one shard that are remembered; the oldest is forgotten beyond it.
const MAX_FLOWS: usize = 512;
/// Most bytes that they hold together for hellos that are not whole.
const MAX_HELD: usize = 1 << 20;
/// How long a connection is remembered, in packet time: far longer than a handshake.
const LIFE: i64 = 30 * Timestamp::SECOND;
/// What all shards take at most, in bytes.
pub(crate) const BYTES: usize = crate::worker::SHARDS as usize * (MAX_HELD + MAX_FLOWS * 1024);

/// Versions of QUIC with a long header that are read: of version negotiation, 1 and 2.
const VERSIONS: [[u8; 4]; 3] = [[0; 4], [0, 0, 0, 1], [0x6b, 0x33, 0x43, 0xcf]];

/// Whether a datagram is worth a look: it is to or from a name server, speaks of leases, or begins like one of QUIC that
/// is not yet encrypted (RFC 8999 §5.1: a long header of a known version, or of none).
pub(crate) fn is_worth_a_look(packet: &Packet, payload: &[u8]) -> bool {
    if is_dns(packet) || dhcp::is_port(packet.tuple.dst.port()) {
        return true;
    }
    matches!(payload, [first, a, b, c, d, _, ..] if first & 0x80 != 0 && VERSIONS.contains(&[*a, *b, *c, *d]))
}

fn is_dns(packet: &Packet) -> bool {
    packet.tuple.src.port() == dns::PORT || packet.tuple.dst.port() == dns::PORT
}

/// Whether a datagram that is not worth a look is one of QUIC, by its port and the bit that is always set
/// (RFC 9000 §17).
pub(crate) fn is_quic(packet: &Packet, payload: &[u8]) -> bool {
    let port = packet.tuple.src.port() == 443 || packet.tuple.dst.port() == 443;
    port && payload.first().is_some_and(|first| first & 0x40 != 0)
}

/// Totals.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) dns_questions: u64,
    pub(crate) dns_answers: u64,
    pub(crate) dhcp_messages: u64,
    /// Names in them that no host can have.
    pub(crate) dhcp_names_refused: u64,
    /// Addresses of one message that were not taken.
    pub(crate) dhcp_addresses_left_out: u64,
    pub(crate) quic: quic::Stats,
    /// Connections forgotten because the shard had no room.
    pub(crate) let_go: u64,
    /// Bytes not looked into, by reason.
    pub(crate) uninspected: BTreeMap<&'static str, u64>,
}

/// One QUIC connection.
#[derive(Debug)]
struct Connection {
    observer: Observer,
    contact: Option<Box<Contact>>,
    /// Who sent the first datagram that was seen is the client, unless the hello shows otherwise.
    first: Packet,
    flipped: bool,
}

/// The datagrams of one shard.
#[derive(Debug, Default)]
pub(crate) struct Datagrams {
    limits: quic::Limits,
    connections: HashMap<FlowKey, Connection>,
    /// By when they began.
    age: VecDeque<(Timestamp, FlowKey)>,
    /// Bytes that all hold.
    held: usize,
    scratch: quic::Scratch,
    pub(crate) stats: Stats,
}

impl Datagrams {
    /// Takes in a datagram that [`is_worth_a_look`].
    pub(crate) fn packet(&mut self, packet: &Packet, payload: &[u8], cx: &mut Work) {
        let done = catch_unwind(AssertUnwindSafe(|| {
            if is_dns(packet) {
                match Message::read(payload) {
                    Some(message) => self.dns(packet, &message, cx),
                    None => self.unread("dns", packet),
                }
            } else if dhcp::is_port(packet.tuple.dst.port()) {
                match dhcp::read(packet.tuple.dst.port(), payload) {
                    Some(message) => self.dhcp(packet, message, cx),
                    None => self.unread("dhcp", packet),
                }
            } else {
                self.quic(packet, payload, cx);
            }
        }));
        if done.is_err() {
            // A fault in our own code costs this datagram, and what is known of its connection.
            cx.faults += 1;
            let key = packet.tuple.key().0;
            if self.connections.remove(&key).is_some() {
                self.age.retain(|(_, aged)| *aged != key);
                self.held = self.connections.values().map(|connection| connection.observer.held()).sum();
            }
            tell(cx, packet, false, packet.place, What::Fault);
        }
    }

    /// Forgets what is old.
    pub(crate) fn tick(&mut self, now: Timestamp, cx: &mut Work) {
        while let Some((began, _)) = self.age.front()
            && now.since(*began) > LIFE
        {
            self.forget_oldest(cx);
        }
    }

    /// The input is over.
    pub(crate) fn finish(&mut self, cx: &mut Work) {
        while !self.age.is_empty() {
            self.forget_oldest(cx);
        }
    }

    fn dns(&mut self, packet: &Packet, message: &Message<'_>, cx: &mut Work) {
        let answers = message.is_response();
        *(if answers { &mut self.stats.dns_answers } else { &mut self.stats.dns_questions }) += 1;
        for what in heard(message, (packet.ts, packet.place), cx).into_iter().flatten() {
            tell(cx, packet, answers, packet.place, what);
        }
    }

    fn dhcp(&mut self, packet: &Packet, message: dhcp::Message, cx: &mut Work) {
        self.stats.dhcp_messages += 1;
        self.stats.dhcp_names_refused += u64::from(message.name_refused);
        self.stats.dhcp_addresses_left_out += u64::from(message.left_out);
        if message.step != dhcp::Step::Other {
            let from_server = message.step == dhcp::Step::Grants;
            tell(cx, packet, from_server, packet.place, What::Lease(Box::new(message)));
        }
    }

    fn quic(&mut self, packet: &Packet, payload: &[u8], cx: &mut Work) {
        let key = packet.tuple.key().0;
        if !self.connections.contains_key(&key) {
            if !quic::looks_like_initial(payload) {
                return self.unread("quic", packet);
            }
            while !self.age.is_empty() && (self.age.len() >= MAX_FLOWS || self.held > MAX_HELD) {
                self.stats.let_go += 1;
                self.forget_oldest(cx);
            }
            self.age.push_back((packet.ts, key));
            let observer = Observer::new();
            let fresh = Connection { observer, contact: None, first: packet.clone(), flipped: false };
            self.connections.insert(key, fresh);
        }
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if connection.observer.end().is_some() {
            let (mut contact, mut flipped) = (None, false);
            let mut sink = Hellos { contact: &mut contact, flipped: &mut flipped, cx, first: packet };
            let (limits, stats, dir) = (&self.limits, &mut self.stats.quic, Direction::ToServer);
            let next = connection.observer.next(limits, stats, &mut self.scratch, dir, payload, &mut sink);
            let Some(observer) = next else { return self.unread("quic", packet) };
            self.held += observer.held();
            *connection = Connection { observer, contact, first: packet.clone(), flipped };
            return connection.news(packet.ts, packet.place, cx);
        }
        let to_server = packet.tuple.src == connection.first.tuple.src;
        let dir = if to_server { Direction::ToServer } else { Direction::ToClient };
        let before = connection.observer.held();
        let Connection { observer, contact, first, flipped } = connection;
        let mut sink = Hellos { contact, flipped, cx, first };
        let want = observer.feed(&self.limits, &mut self.stats.quic, &mut self.scratch, dir, payload, &mut sink);
        self.held = self.held.saturating_sub(before) + observer.held();
        if let (Want::Nothing(_), Some(contact)) = (want, contact.as_deref_mut()) {
            contact.over();
        }
        connection.news(packet.ts, packet.place, cx);
    }

    fn unread(&mut self, why: &'static str, packet: &Packet) {
        *self.stats.uninspected.entry(why).or_default() += u64::from(packet.wire_payload);
    }

    fn forget_oldest(&mut self, cx: &mut Work) {
        let Some((_, key)) = self.age.pop_front() else { return };
        let Some(mut connection) = self.connections.remove(&key) else { return };
        self.held = self.held.saturating_sub(connection.observer.held());
        connection.observer.finish(&mut self.stats.quic);
        if let Some(contact) = &mut connection.contact {
            contact.over();
        }
        let (ts, place) = (connection.first.ts, connection.first.place);
        connection.news(ts, place, cx);
    }
}

impl Connection {
    /// Tells what is news of the contact.
    fn news(&mut self, ts: Timestamp, place: Place, cx: &mut Work) {
        let Some(contact) = &mut self.contact else { return };
        let update = contact.take_update();
        if contact.is_over() {
            self.contact = None;
        }
        if let Some(update) = update {
            let packet = Packet { ts, ..self.first.clone() };
            tell(cx, &packet, self.flipped, place, What::Contact(0, update));
        }
    }
}

/// What a message to or from a name server tells of names that matter: the addresses it gives, which of our hosts they
/// belong to, and that it was asked. The number of a contact is given when it is told.
pub(crate) fn heard(message: &Message<'_>, (ts, place): (Timestamp, Place), cx: &mut Work) -> [Option<What>; 3] {
    let name = message.name().as_str();
    let host = host_of(message, &cx.generation.scope).map(What::Host);
    let generation = &cx.generation;
    let mut contact = Contact::new(ContactKind::Dns, ts, place, None);
    let known = contact.question(generation, &mut cx.scratch, name);
    let wanted = message.is_response() && (known || generation.scope.speaks_of(name));
    let seen = wanted.then(|| {
        let mut seen = NameSeen { name: name.to_owned(), ..NameSeen::default() };
        for record in message.records() {
            match record {
                Record::Address(address) => seen.add(address),
                Record::Service(service) => {
                    seen.ech |= service.ech;
                    service.addresses().for_each(|address| seen.add(address));
                }
                Record::Pointer(_) => {}
            }
        }
        seen
    });
    let contact = contact.take_update().map(|contact| What::Contact(0, contact));
    [seen.map(What::Name), host, contact]
}

/// Which host an address belongs to, as far as that concerns us: who is asked for the name of one of our addresses, or
/// for the address of a name in one of our domains. Of several answers the first one counts.
fn host_of(message: &Message<'_>, scope: &Scope) -> Option<HostSeen> {
    if !message.is_response() {
        return None;
    }
    let name = message.name().as_str();
    if message.kind() == kind::PTR {
        let address =
            dns::address_of(name).filter(|address| scope.internal.iter().any(|block| block.contains(*address)))?;
        let pointer = message.records().find_map(|record| match record {
            Record::Pointer(pointer) => pointer.name(),
            _ => None,
        })?;
        let name = Some(pointer.as_str()).filter(|name| !name.is_empty())?.to_owned();
        return Some(HostSeen { address, name, reverse: true });
    }
    if !scope.names.is_ours(name) {
        return None;
    }
    let address = message.records().find_map(|record| match record {
        Record::Address(address) => Some(address),
        _ => None,
    })?;
    Some(HostSeen { address, name: name.to_owned(), reverse: false })
}

/// Sends an observation of a datagram; `flipped` where its sender is the server.
fn tell(cx: &mut Work, packet: &Packet, flipped: bool, place: Place, what: What) {
    let (src, dst) = (packet.tuple.src, packet.tuple.dst);
    let (client, server) = if flipped { (dst, src) } else { (src, dst) };
    let tunnel = cx.tunnels.path(packet.tuple.tunnel);
    let facts = Arc::new(FlowFacts {
        client: client.into(),
        server: server.into(),
        sender: packet.sender().filter(|_| !flipped),
        vlan: packet.vlan.map(|id| id.map(NonZeroU16::get)),
        tunnel: tunnel.as_deref().map_or_else(Vec::new, tunnels::words),
        opened: packet.place,
        midstream: false,
        transport: Transport::Udp,
        inside: None,
        proxy: None,
    });
    cx.push(packet.ts, place, &facts, 0, what);
}

/// Takes hellos to the contact.
struct Hellos<'h> {
    contact: &'h mut Option<Box<Contact>>,
    flipped: &'h mut bool,
    cx: &'h mut Work,
    first: &'h Packet,
}

impl quic::Sink for Hellos<'_> {
    fn client_hello(&mut self, dir: Direction, _: Version, hello: ClientHello) {
        *self.flipped = dir == Direction::ToClient;
        let generation = Arc::clone(&self.cx.generation);
        let mut contact = Contact::new(ContactKind::Quic, self.first.ts, self.first.place, None);
        if contact.client_hello(&generation, &mut self.cx.scratch, &hello) || contact.is_over() {
            *self.contact = Some(Box::new(contact));
        }
    }

    fn server_hello(&mut self, _: Direction, _: Version, hello: ServerHello) {
        if let Some(contact) = self.contact {
            contact.server_hello(&hello);
        }
    }
}
