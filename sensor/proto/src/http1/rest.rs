//! A flow between messages, put away in a few bytes: of a million connections, most wait for their next request.

use super::Flow;
use super::pair::Order;
use super::state::{Lane, State};
use net::Direction;

/// What is left of a [`Flow`] that is between messages in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "those of the flow")]
pub(crate) struct Rest {
    /// To the server, to the client.
    lanes: [LaneAtRest; 2],
    order: Order,
    flipped: bool,
    roles: bool,
    recognised: bool,
    midstream: bool,
}

/// One direction of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "those of the lane")]
struct LaneAtRest {
    passed: u32,
    pieces: u32,
    lost: bool,
    piece_start: bool,
    candidate: bool,
    guessing: bool,
    resync: bool,
    tls_seen: bool,
    http2_seen: bool,
    state: At,
}

/// The states in which nothing is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Head,
    Lost,
    Done,
}

impl Rest {
    /// [`Flow::new`], put away at once.
    pub(crate) fn new(midstream: bool) -> Self {
        let lane = LaneAtRest {
            passed: 0,
            pieces: 0,
            lost: false,
            piece_start: true,
            candidate: false,
            guessing: midstream,
            resync: false,
            tls_seen: false,
            http2_seen: false,
            state: At::Start,
        };
        let order = Order::default();
        Self { lanes: [lane; 2], order, flipped: false, roles: false, recognised: false, midstream }
    }

    /// Whether the true roles are the reverse of those `net` knows.
    pub(crate) fn flipped(&self) -> bool {
        self.flipped
    }

    /// [`Flow::fin`] where nothing is under way.
    pub(crate) fn fin(&mut self, wire: Direction) {
        let dir = if self.flipped { wire.reverse() } else { wire };
        dir.of_mut(&mut self.lanes).state = At::Done;
    }
}

impl Flow {
    /// What is left of the flow where nothing is under way: nothing kept, nothing open, nobody waits.
    pub(crate) fn rest(&self) -> Option<Rest> {
        let &Self { ref client, ref server, ref pairs, flipped, roles, recognised, midstream, ref connect, ref via } =
            self;
        let lanes = [client.rest()?, server.rest()?];
        if connect.is_some() || via.is_some() {
            return None;
        }
        Some(Rest { lanes, order: pairs.order()?, flipped, roles, recognised, midstream })
    }

    /// Becomes the flow that was put away; its memory is used again.
    pub(crate) fn resume(&mut self, rest: Rest) {
        let [client, server] = rest.lanes;
        self.client.resume(client);
        self.server.resume(server);
        self.pairs.resume(rest.order);
        (self.flipped, self.roles) = (rest.flipped, rest.roles);
        (self.recognised, self.midstream) = (rest.recognised, rest.midstream);
        (self.connect, self.via) = (None, None);
    }
}

impl Lane {
    fn rest(&self) -> Option<LaneAtRest> {
        let state = match self.state {
            State::Head => At::Head,
            State::Start => At::Start,
            State::Lost => At::Lost,
            State::Done => At::Done,
            _ => return None,
        };
        if !self.carry.is_empty() || self.open.is_some() || self.line_ok || self.finished {
            return None;
        }
        Some(LaneAtRest {
            passed: u32::try_from(self.passed).ok()?,
            pieces: self.pieces,
            lost: self.lost,
            piece_start: self.piece_start,
            candidate: self.candidate,
            guessing: self.guessing,
            resync: self.resync,
            tls_seen: self.tls_seen,
            http2_seen: self.http2_seen,
            state,
        })
    }

    fn resume(&mut self, rest: LaneAtRest) {
        self.state = match rest.state {
            At::Start => State::Start,
            At::Head => State::Head,
            At::Lost => State::Lost,
            At::Done => State::Done,
        };
        self.carry = Vec::new();
        self.open = None;
        (self.line_ok, self.finished) = (false, false);
        (self.passed, self.pieces) = (u64::from(rest.passed), rest.pieces);
        (self.lost, self.piece_start, self.candidate) = (rest.lost, rest.piece_start, rest.candidate);
        (self.guessing, self.resync) = (rest.guessing, rest.resync);
        (self.tls_seen, self.http2_seen) = (rest.tls_seen, rest.http2_seen);
    }
}
