//! The decoder of one direction.

use super::frame::{BINARY, CLOSE, Header, MAX_CONTROL, MAX_HEADER, PONG, TEXT, unmask};
use super::{Anomaly, Deflate, Fault, Kind, Sink, Stats};
use crate::EndKind;
use crate::coding::{Budget, Inflater, Limits, Meter, Stop, inflate};
use net::Direction;

/// Bytes that are unmasked at a time, on the stack.
const CHUNK: usize = 4 * 1024;
/// What the sender took off the end of each compressed message (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Reads one direction of a WebSocket, from after the handshake on.
///
/// Holds a frame header, 125 bytes of control payload and, where compressed messages come, one inflater (48 KiB),
/// between messages only with context takeover. [`Limits`] hold per message as for a body.
#[derive(Debug)]
pub struct Decoder {
    from: Direction,
    deflate: Option<Deflate>,
    budget: Budget,
    at: At,
    message: Option<Message>,
    inflater: Option<Inflater>,
    /// The window of the sender is no longer known: no compressed message can be read.
    window_lost: bool,
    control: Control,
    closed: bool,
    stats: Stats,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Header { bytes: [u8; MAX_HEADER], have: usize },
    Payload(Payload),
    Fault(Fault),
}

const BOUNDARY: At = At::Header { bytes: [0; MAX_HEADER], have: 0 };

/// Where in a payload.
#[derive(Clone, Copy, Debug)]
struct Payload {
    header: Header,
    left: u64,
    /// Goes to no message and no control frame.
    skipped: bool,
}

/// A message that has begun.
#[derive(Clone, Copy, Debug)]
struct Message {
    kind: Kind,
    content: Content,
    meter: Meter,
    incomplete: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Plain,
    Deflated,
    /// Compressed and not to be read.
    Unreadable,
    /// Compressed and corrupt or over a limit. That was said; the rest is passed over.
    Broken,
}

/// The payload of the current control frame.
#[derive(Clone, Copy, Debug)]
struct Control {
    bytes: [u8; MAX_CONTROL],
    len: usize,
    /// Bytes were lost: what follows would not join what is kept.
    broken: bool,
}

impl Decoder {
    /// A decoder for the direction `from`, with `deflate` as negotiated for it. Its inflater has an account of its
    /// own; see [`Decoder::with_budget`].
    pub fn new(from: Direction, deflate: Option<Deflate>) -> Self {
        Self::with_budget(from, deflate, Budget::default())
    }

    /// As [`Decoder::new`], with the inflater on `budget`. Compressed messages are not read where that refuses.
    pub fn with_budget(from: Direction, deflate: Option<Deflate>, budget: Budget) -> Self {
        Self {
            from,
            deflate,
            budget,
            at: BOUNDARY,
            message: None,
            inflater: None,
            window_lost: false,
            control: Control { bytes: [0; MAX_CONTROL], len: 0, broken: false },
            closed: false,
            stats: Stats::default(),
        }
    }

    /// What was seen so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// [`Fault`]: nothing that follows can be read, and every later call says the same.
    pub fn feed(&mut self, limits: &Limits, mut input: &[u8], sink: &mut impl Sink) -> Result<(), Fault> {
        loop {
            match self.at {
                At::Fault(fault) => return Err(fault),
                At::Header { .. } if input.is_empty() => return Ok(()),
                At::Header { bytes, have } => input = self.header(bytes, have, input, sink),
                At::Payload(payload) if payload.left == 0 => {
                    self.tail(payload.header, limits, sink);
                    self.frame_end(payload.header, sink);
                }
                At::Payload(_) if input.is_empty() => return Ok(()),
                At::Payload(payload) => {
                    let n = usize::try_from(payload.left).map_or(input.len(), |left| left.min(input.len()));
                    let (head, rest) = input.split_at(n);
                    self.payload(payload, head, limits, sink);
                    self.at = At::Payload(payload.past(len(n)));
                    input = rest;
                }
            }
        }
    }

    /// `n` bytes will never be seen; 0 where the number is unknown.
    ///
    /// # Errors
    ///
    /// [`Fault::FramingLost`] unless the gap ends inside the payload in which it began.
    pub fn gap(&mut self, n: u64, sink: &mut impl Sink) -> Result<(), Fault> {
        match self.at {
            At::Fault(fault) => Err(fault),
            At::Payload(payload) if n != 0 && n <= payload.left => {
                if payload.header.is_control() {
                    self.control.broken = true;
                    self.stats.lost_bytes = self.stats.lost_bytes.saturating_add(n);
                } else if payload.skipped {
                    self.stats.lost_bytes = self.stats.lost_bytes.saturating_add(n);
                } else {
                    self.lose(n, sink);
                }
                self.at = At::Payload(payload.past(n));
                if n == payload.left {
                    self.frame_end(payload.header, sink);
                }
                Ok(())
            }
            At::Payload(_) | At::Header { .. } => {
                if self.message.is_some() {
                    self.lose(0, sink);
                }
                self.inflater = None;
                self.at = At::Fault(Fault::FramingLost);
                Err(Fault::FramingLost)
            }
        }
    }

    /// The direction is over: whether that is at the end of a message.
    pub fn finish(&mut self) -> EndKind {
        self.inflater = None;
        let at_boundary = matches!(self.at, At::Header { have: 0, .. });
        if at_boundary && (self.message.is_none() || self.closed) { EndKind::Complete } else { EndKind::Cut }
    }

    /// Takes bytes of a header; returns the rest.
    fn header<'i>(
        &mut self,
        mut bytes: [u8; MAX_HEADER],
        mut have: usize,
        mut input: &'i [u8],
        sink: &mut impl Sink,
    ) -> &'i [u8] {
        loop {
            let want = match Header::parse(bytes.get(..have).unwrap_or_default()) {
                Ok((header, _)) => {
                    self.frame_start(header, sink);
                    return input;
                }
                Err(want) => want,
            };
            let free = bytes.get_mut(have..want).unwrap_or_default();
            let (head, rest) = input.split_at(free.len().min(input.len()));
            for (to, from) in free.iter_mut().zip(head) {
                *to = *from;
            }
            have += head.len();
            input = rest;
            if have < want {
                self.at = At::Header { bytes, have };
                return input;
            }
        }
    }

    fn frame_start(&mut self, header: Header, sink: &mut impl Sink) {
        self.stats.frames += 1;
        if !header.is_possible() {
            self.at = At::Fault(Fault::Length);
            return;
        }
        match (self.from, header.mask) {
            (Direction::ToServer, None) => sink.anomaly(Anomaly::Unmasked),
            (Direction::ToClient, Some(_)) => sink.anomaly(Anomaly::Masked),
            _ => {}
        }
        if !header.short {
            sink.anomaly(Anomaly::LongLength);
        }
        let starts = matches!(header.opcode, TEXT | BINARY);
        if header.rsv23 || (header.rsv1 && !(starts && self.deflate.is_some())) {
            sink.anomaly(Anomaly::ReservedBits);
        }
        if header.is_bad_control() {
            sink.anomaly(Anomaly::BadControl);
        }
        let mut skipped = false;
        if header.is_reserved() {
            sink.anomaly(Anomaly::ReservedOpcode);
            skipped = true;
        } else if header.is_control() {
            self.control.len = 0;
            self.control.broken = false;
        } else {
            if self.closed {
                sink.anomaly(Anomaly::AfterClose);
            }
            if starts {
                self.message_start(header, sink);
            } else if self.message.is_none() {
                sink.anomaly(Anomaly::Stray);
                skipped = true;
            }
        }
        self.at = At::Payload(Payload { header, left: header.len, skipped });
    }

    fn message_start(&mut self, header: Header, sink: &mut impl Sink) {
        if self.message.is_some() {
            sink.anomaly(Anomaly::Interrupted);
            self.lose(0, sink);
            self.message_end(sink);
        }
        let content = if !header.rsv1 {
            Content::Plain
        } else if self.deflate.is_none() || self.window_lost {
            Content::Unreadable
        } else {
            if self.inflater.is_none() {
                self.inflater = Inflater::new(&self.budget);
            }
            if self.inflater.is_some() {
                Content::Deflated
            } else {
                self.forget_window();
                Content::Unreadable
            }
        };
        if content == Content::Unreadable {
            sink.anomaly(Anomaly::Undecodable);
        }
        let kind = if header.opcode == TEXT { Kind::Text } else { Kind::Binary };
        self.message = Some(Message { kind, content, meter: Meter::default(), incomplete: false });
    }

    /// Takes payload bytes, all of one frame and not empty.
    fn payload(&mut self, payload: Payload, input: &[u8], limits: &Limits, sink: &mut impl Sink) {
        if payload.skipped {
            self.stats.lost_bytes = self.stats.lost_bytes.saturating_add(len(input.len()));
            return;
        }
        let mask = match payload.header.mask {
            None | Some([0, 0, 0, 0]) => return self.content(payload.header, input, limits, sink),
            Some(mask) => mask,
        };
        let done = payload.header.len - payload.left;
        let mut mask = u32::from_le_bytes(mask);
        // The bytes of the mask that are used up.
        mask = mask.rotate_right(match done % 4 {
            1 => 8,
            2 => 16,
            3 => 24,
            _ => 0,
        });
        let mut chunk = [0; CHUNK];
        // The chunk is a multiple of the mask, so the mask starts anew in each.
        for piece in input.chunks(CHUNK) {
            let plain = unmask(piece, mask.to_le_bytes(), &mut chunk);
            self.content(payload.header, plain, limits, sink);
        }
    }

    /// Takes payload bytes without their mask.
    fn content(&mut self, header: Header, bytes: &[u8], limits: &Limits, sink: &mut impl Sink) {
        if header.is_control() {
            self.control.push(bytes);
            return;
        }
        match self.message.map(|message| message.content) {
            Some(Content::Plain) => sink.payload(bytes),
            Some(Content::Deflated) => self.deflated(bytes, limits, sink),
            Some(Content::Unreadable) => self.lose(len(bytes.len()), sink),
            Some(Content::Broken) | None => {}
        }
    }

    fn deflated(&mut self, mut bytes: &[u8], limits: &Limits, sink: &mut impl Sink) {
        let (Some(message), Some(inflater)) = (&mut self.message, &mut self.inflater) else { return };
        while !bytes.is_empty() {
            let mut out = |plain: &[u8]| {
                sink.payload(plain);
                Ok::<(), Stop>(())
            };
            let Ok((used, over)) = inflate(inflater, &mut message.meter, limits, bytes, &mut out) else {
                sink.anomaly(Anomaly::Undecodable);
                // How far the inflater came depends on where the input was cut, so no number.
                self.lose(0, sink);
                if let Some(message) = &mut self.message {
                    message.content = Content::Broken;
                }
                return;
            };
            bytes = bytes.get(used..).unwrap_or_default();
            if over {
                // A block marked as the last; more may follow (RFC 7692 §7.2.3.4). The window goes with it: whoever
                // refers to it afterwards is found out as corrupt.
                inflater.state.reset(false);
            }
        }
    }

    /// `n` bytes of the current message are lost, and with them the rest of it if it is compressed.
    fn lose(&mut self, n: u64, sink: &mut impl Sink) {
        self.stats.lost_bytes = self.stats.lost_bytes.saturating_add(n);
        if let Some(message) = &mut self.message {
            message.incomplete = true;
            sink.lost(n);
            if message.content == Content::Deflated {
                message.content = Content::Unreadable;
                self.forget_window();
            }
        }
    }

    /// The inflater is out of step with the sender.
    fn forget_window(&mut self) {
        self.inflater = None;
        self.window_lost = self.deflate.is_some_and(|deflate| !deflate.no_context_takeover);
    }

    /// Gives the inflater what the sender took off, at the end of a message.
    fn tail(&mut self, header: Header, limits: &Limits, sink: &mut impl Sink) {
        let deflated = self.message.is_some_and(|message| message.content == Content::Deflated);
        if header.ends_message() && deflated {
            self.deflated(&TAIL, limits, sink);
        }
    }

    fn frame_end(&mut self, header: Header, sink: &mut impl Sink) {
        self.at = BOUNDARY;
        if matches!(header.opcode, CLOSE..=PONG) {
            self.closed |= header.opcode == CLOSE;
            sink.control(header.opcode, self.control.bytes.get(..self.control.len).unwrap_or_default());
        } else if header.ends_message() {
            self.message_end(sink);
        }
    }

    fn message_end(&mut self, sink: &mut impl Sink) {
        let Some(message) = self.message.take() else { return };
        self.stats.messages += 1;
        self.stats.compressed += u64::from(message.content != Content::Plain);
        self.stats.incomplete += u64::from(message.incomplete);
        if self.deflate.is_some_and(|deflate| deflate.no_context_takeover) {
            self.inflater = None;
        }
        sink.message_end(message.kind);
    }
}

impl Payload {
    fn past(self, n: u64) -> Self {
        Self { left: self.left.saturating_sub(n), ..self }
    }
}

impl Control {
    fn push(&mut self, bytes: &[u8]) {
        if self.broken {
            return;
        }
        let free = self.bytes.get_mut(self.len..).unwrap_or_default();
        for (to, from) in free.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.len = self.bytes.len().min(self.len.saturating_add(bytes.len()));
    }
}

/// A length as a counter.
fn len(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
