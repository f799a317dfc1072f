//! Messages as parts of an exchange, whatever carried the frames.

use super::{Anomaly as BadFrame, Kind, Sink};
use crate::conn::Context;
use crate::{Anomaly, ExchangeId, Part, PartSink};
use net::Direction;

/// Opcode of a close frame (RFC 6455 §5.5.1).
const CLOSE: u8 = 8;

/// Turns what the decoder finds into parts.
pub(crate) struct Messages<'m, 'c, S> {
    pub(crate) cx: &'m mut Context<'c, S>,
    pub(crate) id: ExchangeId,
    pub(crate) dir: Direction,
    /// Set once the peer said that it closes.
    pub(crate) closed: &'m mut bool,
}

impl<S: PartSink> Sink for Messages<'_, '_, S> {
    fn payload(&mut self, bytes: &[u8]) {
        self.cx.part(self.id, self.dir, Part::Body(bytes));
    }

    fn lost(&mut self, n: u64) {
        self.cx.part(self.id, self.dir, Part::Gap(n));
    }

    fn message_end(&mut self, _: Kind) {
        self.cx.stats.websocket_messages += 1;
        self.cx.part(self.id, self.dir, Part::MessageEnd);
    }

    fn control(&mut self, opcode: u8, _: &[u8]) {
        *self.closed |= opcode == CLOSE;
    }

    fn anomaly(&mut self, _: BadFrame) {
        self.cx.anomaly(Some(self.id), self.dir, Anomaly::BadWebSocket);
    }
}
