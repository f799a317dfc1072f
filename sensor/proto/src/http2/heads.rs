//! What a list of fields means: a request, a response, or trailers (RFC 9113 §8.1 to §8.5).

use super::Flow;
use super::blocks::Block;
use super::hpack::FieldList;
use super::tunnel::Tunnel;
use crate::conn::Context;
use crate::{Anomaly, EndKind, Field, Headers, Part, PartSink, RequestHead, ResponseHead};
use net::Direction;
use net::Direction::{ToClient, ToServer};

/// Fields of a head that is reported without allocation.
const FIELDS: usize = 64;
const NO_FIELD: Field<'static> = Field { name: "", value: b"" };
/// What makes an extended CONNECT look like the upgrade it stands for.
const UPGRADE: Field<'static> = Field { name: "upgrade", value: b"websocket" };

/// The pseudo-header fields (§8.3), the first of each name.
#[derive(Clone, Copy, Debug, Default)]
struct Pseudo<'f> {
    method: Option<&'f [u8]>,
    scheme: Option<&'f [u8]>,
    authority: Option<&'f [u8]>,
    path: Option<&'f [u8]>,
    /// RFC 8441.
    protocol: Option<&'f [u8]>,
    status: Option<&'f [u8]>,
    /// One comes twice, behind a regular field, or is none of these.
    odd: bool,
}

impl<'f> Pseudo<'f> {
    fn of(fields: &'f FieldList) -> Self {
        let mut found = Self::default();
        let mut regular = false;
        for (name, value) in fields.iter() {
            if !name.starts_with(':') {
                regular |= !name.is_empty();
                continue;
            }
            let slot = match name {
                ":method" => &mut found.method,
                ":scheme" => &mut found.scheme,
                ":authority" => &mut found.authority,
                ":path" => &mut found.path,
                ":protocol" => &mut found.protocol,
                ":status" => &mut found.status,
                _ => {
                    found.odd = true;
                    continue;
                }
            };
            found.odd |= regular || slot.is_some();
            slot.get_or_insert(value);
        }
        found
    }

    fn is_request(&self) -> bool {
        self.method.is_some() || self.scheme.is_some() || self.authority.is_some() || self.path.is_some()
    }

    /// Names a WebSocket (RFC 8441 §4).
    fn is_websocket(&self) -> bool {
        self.is_connect() && self.protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
    }

    fn is_connect(&self) -> bool {
        self.method == Some(b"CONNECT")
    }

    /// The three digits, 0 where it is unknown or none.
    fn status(&self) -> u16 {
        self.status
            .filter(|status| status.len() == 3 && status.iter().all(u8::is_ascii_digit))
            .and_then(|status| str::from_utf8(status).ok()?.parse().ok())
            .unwrap_or(0)
    }
}

/// Regular fields in order, `first` of all, those that `skip` is true for left out.
fn with_headers<R>(
    fields: &FieldList,
    first: &[Field<'_>],
    skip: impl Fn(&Field<'_>) -> bool,
    found: impl FnOnce(Headers<'_>) -> R,
) -> R {
    let regular = fields.iter().filter(|(name, _)| !name.starts_with(':'));
    let all = first
        .iter()
        .copied()
        .chain(regular.map(|(name, value)| Field { name, value: value.trim_ascii() }).filter(|field| !skip(field)));
    if first.len() + fields.len() > FIELDS {
        return found(Headers(&all.collect::<Vec<_>>()));
    }
    let mut room = [NO_FIELD; FIELDS];
    let mut len = 0;
    for (slot, field) in room.iter_mut().zip(all) {
        *slot = field;
        len += 1;
    }
    found(Headers(room.get(..len).unwrap_or_default()))
}

/// What receivers may read differently in the regular fields of a head.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for alone")]
struct Odd {
    /// CR, LF or NUL in a value, or a blank in a name (§8.2.1): two fields to whoever writes it as HTTP/1.
    lines: bool,
    /// A transfer coding, which HTTP/2 does not have (§8.2.2).
    coding: bool,
    /// Two lengths that differ.
    lengths: bool,
    /// A Host field other than `:authority`.
    hosts: bool,
}

impl Odd {
    fn of(headers: Headers<'_>) -> Self {
        let mut odd = Self::default();
        let (mut length, mut host): (Option<&[u8]>, Option<&[u8]>) = (None, None);
        for field in headers.0 {
            odd.lines |= field.value.iter().any(|c| matches!(c, b'\r' | b'\n' | 0))
                || field.name.bytes().any(|c| matches!(c, b'\r' | b'\n' | 0 | b' '));
            match field.name.len() {
                4 if field.name.eq_ignore_ascii_case("host") => {
                    odd.hosts |= !host.get_or_insert(field.value).eq_ignore_ascii_case(field.value);
                }
                14 if field.name.eq_ignore_ascii_case("content-length") => {
                    odd.lengths |= *length.get_or_insert(field.value) != field.value;
                }
                17 => odd.coding |= field.name.eq_ignore_ascii_case("transfer-encoding"),
                _ => {}
            }
        }
        odd
    }

    fn report<S: PartSink>(self, cx: &mut Context<'_, S>, id: crate::ExchangeId, dir: Direction) {
        for (met, what) in [
            (self.lines, Anomaly::OddLines),
            (self.coding, Anomaly::OddTransferEncoding),
            (self.lengths, Anomaly::AmbiguousLength),
            (self.hosts, Anomaly::DuplicateHost),
        ] {
            if met {
                cx.anomaly(Some(id), dir, what);
            }
        }
    }
}

impl Flow {
    /// A header block came, as far as it can be read.
    pub(super) fn head<S: PartSink>(
        &mut self,
        cx: &mut Context<'_, S>,
        wire: Direction,
        block: Block,
        fields: &FieldList,
    ) {
        let pseudo = Pseudo::of(fields);
        if block.promise {
            return self.promise(cx, wire, block.stream, &pseudo, fields);
        }
        if !self.roles {
            if pseudo.method.is_some() {
                self.client_is(cx, wire);
            } else if pseudo.status.is_some() {
                self.client_is(cx, wire.reverse());
            }
        }
        let dir = self.role(wire);
        let id = block.stream;
        let seen = self.streams.get(id).is_some_and(|stream| stream.head_seen(dir));
        let (request, response) = (pseudo.is_request(), pseudo.status.is_some());
        if seen && !request && !response {
            cx.stats.http2.trailers += 1;
            if !block.ends_stream {
                self.malformed(cx, id, dir);
            }
            return;
        }
        if !request && self.streams.is_closed(id) {
            // Under way when the stream was reset, or let go.
            return;
        }
        let wrong = match dir {
            ToServer => response || id.is_multiple_of(2),
            ToClient => request,
        };
        // Without any pseudo-header field, it is a head only if one may be among what is unknown.
        let unknown = fields.unknown > 0 || block.broken || block.told || wire.of(&self.lanes).lossy;
        if wrong || seen || !(request || response || unknown) {
            self.malformed(cx, id, dir);
        } else if dir == ToServer {
            self.request(cx, id, &pseudo, fields);
        } else {
            self.response(cx, id, &pseudo, fields);
        }
    }

    fn malformed<S: PartSink>(&mut self, cx: &mut Context<'_, S>, id: u32, dir: Direction) {
        let exchange = self.streams.get(id).map(|stream| stream.exchange);
        cx.anomaly(exchange, dir, Anomaly::BadHttp2);
    }

    /// A request the server makes up and is going to answer (§8.4).
    fn promise<S: PartSink>(
        &mut self,
        cx: &mut Context<'_, S>,
        wire: Direction,
        id: u32,
        pseudo: &Pseudo<'_>,
        fields: &FieldList,
    ) {
        let bad = self.roles && self.role(wire) == ToServer;
        if bad || id == 0 || !id.is_multiple_of(2) || self.streams.is_closed(id) || self.streams.get(id).is_some() {
            return self.malformed(cx, id, self.role(wire));
        }
        cx.stats.http2.pushes += 1;
        self.request(cx, id, pseudo, fields);
        self.finish(cx, id, ToServer, EndKind::Complete);
    }

    fn request<S: PartSink>(&mut self, cx: &mut Context<'_, S>, id: u32, pseudo: &Pseudo<'_>, fields: &FieldList) {
        if self.streams.is_closed(id) {
            return self.malformed(cx, id, ToServer);
        }
        self.streams.pass(id);
        if self.streams.get(id).is_none() {
            self.make_room(cx);
            self.streams.open(id);
        }
        let Some(stream) = self.streams.touch(id) else { return };
        if stream.is_ended(ToServer) {
            return;
        }
        let exchange = stream.exchange;
        stream.see_head(ToServer);
        let websocket = pseudo.is_websocket();
        if pseudo.is_connect() && !stream.head_seen(ToClient) {
            let deflate = |(name, value): (&str, &[u8])| {
                name == "sec-websocket-extensions" && memchr::memmem::find(value, b"permessage-deflate").is_some()
            };
            let offered = fields.iter().any(deflate);
            stream.tunnel = Some(if websocket { Tunnel::websocket(offered) } else { Tunnel::opaque() });
            self.streams.tunnels += 1;
        }
        let authority = pseudo.authority.filter(|authority| !authority.is_empty());
        let host = Field { name: "host", value: authority.unwrap_or_default() };
        let first = match (authority.is_some(), websocket) {
            (true, true) => &[host, UPGRADE][..],
            (true, false) => &[host],
            (false, true) => &[UPGRADE],
            (false, false) => &[],
        };
        let same = |field: &Field<'_>| {
            authority.is_some()
                && field.name.eq_ignore_ascii_case("host")
                && field.value.eq_ignore_ascii_case(host.value)
        };
        let target = if pseudo.is_connect() && pseudo.protocol.is_none() { authority } else { pseudo.path };
        let method = if websocket { b"GET" } else { pseudo.method.unwrap_or_default() };
        let (method, target) = (String::from_utf8_lossy(method), String::from_utf8_lossy(target.unwrap_or_default()));
        cx.stats.http2.requests += 1;
        cx.stats.http2.grpc_requests += u64::from(fields.iter().any(is_grpc));
        with_headers(fields, first, same, |headers| {
            let via_connect = self.via.as_deref();
            let head = RequestHead { method: &method, target: &target, version: "2", headers, via_connect };
            cx.part(exchange, ToServer, Part::Request(&head));
            Odd::of(headers).report(cx, exchange, ToServer);
        });
        if pseudo.odd {
            cx.anomaly(Some(exchange), ToServer, Anomaly::BadHttp2);
        }
    }

    fn response<S: PartSink>(&mut self, cx: &mut Context<'_, S>, id: u32, pseudo: &Pseudo<'_>, fields: &FieldList) {
        let status = pseudo.status();
        if (100..200).contains(&status) {
            cx.stats.http2.interim += 1;
            return;
        }
        if self.streams.is_closed(id) {
            return;
        }
        if self.streams.get(id).is_none() {
            self.make_room(cx);
            self.streams.open(id);
            if id.is_multiple_of(2) || self.streams.request_may_be_lost(id) {
                cx.stats.unpaired += 1;
                self.finish(cx, id, ToServer, EndKind::Cut);
            }
        }
        let Some(stream) = self.streams.touch(id) else { return };
        if stream.is_ended(ToClient) {
            return;
        }
        let exchange = stream.exchange;
        stream.see_head(ToClient);
        let granted = (200..300).contains(&status);
        let mut upgraded = false;
        if !granted {
            stream.tunnel = None;
        } else if let Some(tunnel) = &mut stream.tunnel {
            upgraded = tunnel.is_websocket();
            let extensions = fields.iter().find(|(name, _)| *name == "sec-websocket-extensions");
            tunnel.grant(extensions.and_then(|(_, value)| str::from_utf8(value).ok()));
        }
        let (status, first) = if upgraded { (101, &[UPGRADE][..]) } else { (status, &[][..]) };
        cx.stats.http2.responses += 1;
        with_headers(
            fields,
            first,
            |_| false,
            |headers| {
                let head = ResponseHead { status, version: "2", headers };
                cx.part(exchange, ToClient, Part::Response(&head));
                Odd { hosts: false, ..Odd::of(headers) }.report(cx, exchange, ToClient);
            },
        );
        if pseudo.odd || (status == 0 && pseudo.status.is_some()) {
            cx.anomaly(Some(exchange), ToClient, Anomaly::BadHttp2);
        }
    }
}

/// `application/grpc`, alone or with a format behind it (gRPC over HTTP/2, "Requests").
fn is_grpc((name, value): (&str, &[u8])) -> bool {
    let Some((start, rest)) = value.split_at_checked(b"application/grpc".len()) else { return false };
    name == "content-type" && start.eq_ignore_ascii_case(b"application/grpc") && matches!(rest, [] | [b'+' | b';', ..])
}
