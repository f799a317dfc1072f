//! One flow, both directions.

use super::assembly::{Added, Assembly};
use super::frame::{Frame, Frames};
use super::header::{Id, Kind, Packet, looks_like_initial};
use super::keys::{Keys, is_genuine_retry};
use super::{End, Limits, Stats, Version, VersionClass, Want};
use crate::tls::{ClientHello, ServerHello, Transport};
use net::Direction;

/// Most times that a client begins anew with another connection id (after a Retry, after Version Negotiation).
const MAX_RESTARTS: usize = 4;

/// Most ids that are remembered of connections that ended.
const MAX_PAST: usize = 8;
/// How often it is tried whether another connection begins, until one does.
const MAX_TRIES: u8 = 64;

/// Types of handshake messages (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// Where facts go. `dir` is the direction of the datagram; the side that sends the client hello is the client, whatever
/// the flow table took it for. `version` is that of the packet which made the hello whole.
pub trait Sink {
    /// A client hello, once per flow: what a client sends again after a Retry is the same, and the second hello after
    /// a hello retry request names the same server.
    fn client_hello(&mut self, dir: Direction, version: Version, hello: ClientHello);
    /// A server hello or hello retry request.
    fn server_hello(&mut self, dir: Direction, version: Version, hello: ServerHello);
}

/// Room in which packets are decrypted; one for all flows of a worker. Grows to the longest packet.
#[derive(Clone, Debug, Default)]
pub struct Scratch(Vec<u8>);

/// The observer of one flow. How the hello is cut into frames, packets and datagrams, and in which order they come,
/// changes nothing. Small, until an Initial packet was decrypted and after the end.
#[derive(Debug, Default)]
pub struct Observer {
    seen: [u32; 2],
    /// How often keys were derived.
    keys: u32,
    end: Option<End>,
    connection: Option<Box<Connection>>,
    /// Ids that clients began connections with which ended here; the oldest first.
    past: Vec<Id>,
    /// How often [`Observer::next`] was asked in vain.
    tries: u8,
}

/// What is known once an Initial packet of the client was decrypted.
struct Connection {
    client: Direction,
    /// From this the keys follow.
    id: Id,
    /// Ids that were `id` before; a packet that comes late does not lead back to them.
    old: Vec<Id>,
    keys: [Option<Keys>; 2],
    /// Of the client and of the server.
    lanes: [Lane; 2],
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("client", &self.client).field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

/// What one side sends.
#[derive(Debug, Default)]
struct Lane {
    /// The packet number expected next.
    number: u64,
    assembly: Assembly,
    done: bool,
}

/// What the reading of a packet needs beside the flow.
struct Context<'c, S> {
    limits: &'c Limits,
    stats: &'c mut Stats,
    sink: &'c mut S,
    dir: Direction,
}

impl Observer {
    /// A flow of which nothing was seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next datagram of `dir`.
    pub fn feed(
        &mut self,
        limits: &Limits,
        stats: &mut Stats,
        scratch: &mut Scratch,
        dir: Direction,
        datagram: &[u8],
        sink: &mut impl Sink,
    ) -> Want {
        if let Some(end) = self.end {
            return Want::Nothing(end);
        }
        let first = self.seen == [0; 2];
        let over = self.seen.get_mut(dir.index()).is_none_or(|seen| {
            *seen = seen.saturating_add(1);
            *seen > limits.datagrams
        });
        if over {
            return self.close(stats, End::Datagrams);
        }
        stats.datagrams += 1;
        let mut cx = Context { limits, stats, sink, dir };
        let end = match Packet::read(datagram) {
            Packet::Short | Packet::Bad | Packet::Version(VersionClass::Unknown) if first => Some(End::NotQuic),
            _ => self.datagram(&mut cx, scratch, datagram).err(),
        };
        match end {
            Some(end) => self.close(stats, end),
            None => Want::More,
        }
    }

    /// The observer of another connection on the same ports, behind the [`end`](Self::end) of this one: where the
    /// datagram opens with keys of an id that none began with before (RFC 9000 §5.2). It has read the datagram.
    pub fn next(
        &mut self,
        limits: &Limits,
        stats: &mut Stats,
        scratch: &mut Scratch,
        dir: Direction,
        datagram: &[u8],
        sink: &mut impl Sink,
    ) -> Option<Self> {
        let Packet::Long { to, .. } = Packet::read(datagram) else { return None };
        if self.end.is_none() || self.tries >= MAX_TRIES || self.past.contains(&to) || !looks_like_initial(datagram) {
            return None;
        }
        let mut next = Self { past: self.past.clone(), ..Self::default() };
        next.feed(limits, stats, scratch, dir, datagram, sink);
        let opened = next.connection.is_some() || next.end.is_some();
        self.tries += u8::from(!opened);
        opened.then_some(next)
    }

    /// The flow is forgotten.
    pub fn finish(&mut self, stats: &mut Stats) {
        if self.end.is_none() {
            self.close(stats, End::Finished);
        }
    }

    /// Why no more is read, once that is so.
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// The direction in which the client sends, where an Initial packet of its was decrypted and the flow has not
    /// ended since.
    pub fn client(&self) -> Option<Direction> {
        self.connection.as_ref().map(|connection| connection.client)
    }

    /// Bytes held on the heap, less what the crypto library holds for at most four keys.
    pub fn held(&self) -> usize {
        self.connection.as_ref().map_or(0, |connection| {
            let lanes: usize = connection.lanes.iter().map(|lane| lane.assembly.held()).sum();
            size_of::<Connection>() + connection.old.capacity() * size_of::<Id>() + lanes
        })
    }

    fn close(&mut self, stats: &mut Stats, end: End) -> Want {
        stats.count_end(end);
        self.end = Some(end);
        if let Some(connection) = self.connection.take() {
            self.past.extend(connection.old.iter().chain([&connection.id]));
            self.past.drain(..self.past.len().saturating_sub(MAX_PAST));
        }
        Want::Nothing(end)
    }

    /// The packets of a datagram (RFC 9000 §12.2).
    fn datagram<S: Sink>(
        &mut self,
        cx: &mut Context<'_, S>,
        scratch: &mut Scratch,
        datagram: &[u8],
    ) -> Result<(), End> {
        let (mut rest, mut first, mut left) = (datagram, None, cx.limits.packets);
        while !rest.is_empty() {
            if left == 0 {
                cx.stats.ignored += 1;
                break;
            }
            left -= 1;
            let (version, to, kind, bytes) = match Packet::read(rest) {
                Packet::Long { version, to, kind, bytes } => (version, to, kind, bytes),
                other => {
                    match other {
                        Packet::Version(class) => cx.stats.count_version(class),
                        Packet::Short => cx.stats.short += 1,
                        Packet::Cut(_) => cx.stats.cut += 1,
                        _ => cx.stats.malformed += 1,
                    }
                    break;
                }
            };
            rest = rest.get(bytes.len()..).unwrap_or_default();
            cx.stats.count_version(match version {
                Version::V1 => VersionClass::V1,
                Version::V2 => VersionClass::V2,
            });
            if *first.get_or_insert(to) != to {
                cx.stats.ignored += 1;
                continue;
            }
            match kind {
                Kind::Initial(at) => self.initial(cx, scratch, version, to, bytes, at)?,
                Kind::Retry => self.retry(cx, scratch, version, bytes),
                Kind::Other => cx.stats.protected += 1,
            }
        }
        Ok(())
    }

    /// A server wants the client to begin anew. Which keys then hold is seen from what the client sends, so that a
    /// Retry which the client does not heed misleads nobody.
    fn retry<S>(&self, cx: &mut Context<'_, S>, scratch: &mut Scratch, version: Version, bytes: &[u8]) {
        let genuine = self
            .connection
            .as_ref()
            .filter(|connection| connection.client != cx.dir)
            .is_some_and(|connection| is_genuine_retry(version, &connection.id, &mut scratch.0, bytes));
        if genuine {
            cx.stats.retries += 1;
        } else {
            cx.stats.bad_retries += 1;
        }
    }

    fn initial<S: Sink>(
        &mut self,
        cx: &mut Context<'_, S>,
        scratch: &mut Scratch,
        version: Version,
        to: Id,
        bytes: &[u8],
        at: usize,
    ) -> Result<(), End> {
        if let Some(connection) = &mut self.connection {
            let Connection { client, id, keys, lanes, .. } = &mut **connection;
            let [client_lane, server_lane] = lanes;
            let from_client = *client == cx.dir;
            let lane = if from_client { client_lane } else { server_lane };
            // A server may answer in another version, with the keys that has for the same id (RFC 9369 §4.1).
            let keys = keys.get_mut(version as usize).and_then(|keys| match keys {
                Some(keys) => Some(keys),
                None => derive(&mut self.keys, cx, version, id).map(|new| keys.insert(new)),
            });
            let side = keys.map(|keys| if from_client { &keys.client } else { &keys.server });
            if let Some((number, payload)) = side.and_then(|side| side.open(&mut scratch.0, bytes, at, lane.number)) {
                lane.number = lane.number.max(number.saturating_add(1));
                return connection.payload(cx, from_client, version, payload);
            }
            if !from_client || *id == to || connection.old.contains(&to) || connection.old.len() >= MAX_RESTARTS {
                cx.stats.undecrypted += 1;
                return Ok(());
            }
        }
        // What a client sends first is protected by keys of the id that it sends it to.
        let opened = derive(&mut self.keys, cx, version, &to).and_then(|keys| {
            let (number, payload) = keys.client.open(&mut scratch.0, bytes, at, 0)?;
            Some((keys, number, payload))
        });
        let Some((keys, number, payload)) = opened else {
            cx.stats.undecrypted += 1;
            return Ok(());
        };
        let mut connection = Connection {
            client: cx.dir,
            id: to,
            old: Vec::new(),
            keys: [None, None],
            lanes: [Lane::default(), Lane::default()],
        };
        if let Some(place) = connection.keys.get_mut(version as usize) {
            *place = Some(keys);
        }
        if let Some(before) = self.connection.take() {
            connection.old = before.old;
            connection.old.push(before.id);
            for (lane, before) in connection.lanes.iter_mut().zip(before.lanes) {
                lane.done = before.done;
            }
        }
        let [client, _] = &mut connection.lanes;
        client.number = number.saturating_add(1);
        self.connection.insert(Box::new(connection)).payload(cx, true, version, payload)
    }
}

/// Keys, within [`Limits::keys`].
fn derive<S>(done: &mut u32, cx: &mut Context<'_, S>, version: Version, id: &Id) -> Option<Keys> {
    if *done >= cx.limits.keys {
        cx.stats.keys_refused += 1;
        return None;
    }
    *done += 1;
    Keys::new(version, id).ok()
}

impl Connection {
    /// The frames of a packet.
    fn payload<S: Sink>(
        &mut self,
        cx: &mut Context<'_, S>,
        from_client: bool,
        version: Version,
        payload: &[u8],
    ) -> Result<(), End> {
        cx.stats.initials += 1;
        let [client, server] = &mut self.lanes;
        let lane = if from_client { &mut *client } else { &mut *server };
        lane.payload(cx, from_client, version, payload)?;
        if client.done && server.done { Err(End::Hellos) } else { Ok(()) }
    }
}

impl Lane {
    fn payload<S: Sink>(
        &mut self,
        cx: &mut Context<'_, S>,
        from_client: bool,
        version: Version,
        payload: &[u8],
    ) -> Result<(), End> {
        for frame in Frames::new(payload) {
            match frame {
                Frame::Crypto(mut offset, mut data) if !self.done => {
                    while let Some(message) = self.assembly.in_place(cx.limits, offset, data) {
                        self.message(cx, from_client, version, message)?;
                        offset = offset.saturating_add(message.len() as u64);
                        data = data.get(message.len()..).unwrap_or_default();
                    }
                    if self.done {
                        continue;
                    }
                    match self.assembly.add(cx.limits, offset, data) {
                        Added::Kept => {}
                        Added::Conflict => cx.stats.conflicts += 1,
                        Added::Over => cx.stats.pieces_refused += 1,
                    }
                }
                Frame::Crypto(..) | Frame::Other => {}
                Frame::Close => cx.stats.closes += 1,
                Frame::Bad => cx.stats.bad_frames += 1,
            }
        }
        while !self.done {
            match self.assembly.take(cx.limits) {
                Ok(Some(message)) => self.message(cx, from_client, version, &message)?,
                Ok(None) => break,
                Err(_) if from_client => return Err(End::TooLong),
                Err(_) => self.close(cx, true),
            }
        }
        Ok(())
    }

    /// Reads a message. One of the server that cannot be read ends its side only, since the client hello may still be
    /// on its way.
    fn message<S: Sink>(
        &mut self,
        cx: &mut Context<'_, S>,
        from_client: bool,
        version: Version,
        message: &[u8],
    ) -> Result<(), End> {
        let Some((&[kind, ..], body)) = message.split_first_chunk::<4>() else { return Ok(()) };
        let read = match (from_client, kind) {
            (true, CLIENT_HELLO) => ClientHello::parse(body, Transport::Quic).ok().map(|hello| {
                cx.stats.client_hellos += 1;
                cx.sink.client_hello(cx.dir, version, hello);
                true
            }),
            (false, SERVER_HELLO) => ServerHello::parse_alone(body).ok().map(|hello| {
                let last = !hello.retry;
                cx.stats.server_hellos += 1;
                cx.sink.server_hello(cx.dir, version, hello);
                last
            }),
            _ => None,
        };
        if read == Some(false) {
            return Ok(());
        }
        self.close(cx, read.is_none());
        if from_client && read.is_none() { Err(End::BadHello) } else { Ok(()) }
    }

    /// No more of this side is read.
    fn close<S>(&mut self, cx: &mut Context<'_, S>, bad: bool) {
        cx.stats.bad_hellos += u64::from(bad);
        (self.done, self.assembly) = (true, Assembly::default());
    }
}
