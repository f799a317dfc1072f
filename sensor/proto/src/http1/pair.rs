//! Which response answers which request (RFC 9112 §9.3.2): the oldest that waits, as long as nothing was lost.
//! Where something was, a message stays alone until the two directions are seen to take turns again: a wrong
//! pair accuses somebody, a missing one does not.

use crate::ExchangeId;
use net::Direction;
use net::Direction::{ToClient, ToServer};
use std::collections::VecDeque;
use std::mem;

/// Most responses of one flow that wait for their requests (4 bytes each). With more, the requests are not late:
/// they are not seen at all, and responses stay alone, as [`crate::Stats::unpaired`] counts. A loss is told
/// before so many exchanges went by.
const EARLY_MAX: usize = 16;

/// What a request asked for, as far as its answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Plain,
    /// The answer has no body.
    Head,
    /// A 2xx answer makes a tunnel.
    Connect,
    /// A 101 answer makes a WebSocket.
    WebSocket,
    /// Asked without a version: the answer is a bare body.
    Old,
}

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: ExchangeId,
    pub(crate) ask: Ask,
}

/// What the pairing says of a new request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paired {
    /// Its answer is to come.
    Waits,
    /// Its answer was seen before it.
    Answered,
    /// Its answer could not be told from others.
    Alone,
    /// As `Alone`, because too many wait.
    TooDeep,
}

/// Requests and responses of one flow, in order.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    next: u32,
    waiting: VecDeque<Waiting>,
    /// Requests were lost or left out, so the place of the next ones in the order is unknown.
    unsure: bool,
    /// Responses begun since the last request began or was lost.
    responses: u32,
    /// Responses that came with no request waiting, though none is known to be lost: directions can overtake each
    /// other on their way to a mirror, and what follows a hole waits until that is told. The next requests are
    /// theirs, in order, unless it turns out that some were lost. Empty while requests wait.
    early: VecDeque<ExchangeId>,
}

/// [`Pairs`] while nobody waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    next: u32,
    responses: u32,
    unsure: bool,
}

/// Most memory of each list that [`Pairs::resume`] hands on, in entries.
const USUAL: usize = 32;

impl Pairs {
    /// All there is to know, where nobody waits.
    pub(crate) fn order(&self) -> Option<Order> {
        let Self { next, waiting, unsure, responses, early } = self;
        let nobody = waiting.is_empty() && early.is_empty();
        nobody.then_some(Order { next: *next, responses: *responses, unsure: *unsure })
    }

    /// As it was then. The memory of the lists goes on to be used.
    pub(crate) fn resume(&mut self, order: Order) {
        self.waiting.clear();
        if self.waiting.capacity() > USUAL {
            self.waiting = VecDeque::new();
        }
        self.early.clear();
        (self.next, self.responses, self.unsure) = (order.next, order.responses, order.unsure);
    }

    /// Numbers exchanges from `first`.
    pub(crate) fn from(first: ExchangeId) -> Self {
        Self { next: first.0, ..Self::default() }
    }

    /// What it holds on the heap, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<Waiting>() + self.early.capacity() * size_of::<ExchangeId>()
    }

    /// The next exchange.
    pub(crate) fn next_id(&mut self) -> ExchangeId {
        let id = ExchangeId(self.next);
        self.next = self.next.wrapping_add(1);
        id
    }

    /// A request began. `lost`: others before it may have been lost; `idle`: no response is under way.
    pub(crate) fn request(&mut self, ask: Ask, lost: bool, idle: bool, limit: usize) -> (ExchangeId, Paired) {
        let turns = idle && self.waiting.is_empty() && self.responses == 1;
        self.unsure = (self.unsure || lost) && !turns;
        self.responses = 0;
        if !lost && let Some(id) = self.early.pop_front() {
            return (id, Paired::Answered);
        }
        let id = self.next_id();
        if self.unsure {
            return (id, Paired::Alone);
        }
        if self.waiting.len() >= limit {
            self.unsure = true;
            return (id, Paired::TooDeep);
        }
        self.waiting.push_back(Waiting { id, ask });
        (id, Paired::Waits)
    }

    /// Requests may have been lost here, so early responses may be theirs: those are given up through `given_up`,
    /// each with the direction in which it lacks a message.
    pub(crate) fn requests_lost(&mut self, given_up: impl FnMut(ExchangeId, Direction)) {
        self.responses = 0;
        self.doubt(given_up);
    }

    /// The place of what comes next is unknown, and that of all that waits as well.
    fn doubt_all(&mut self, mut given_up: impl FnMut(ExchangeId, Direction)) {
        self.waiting.drain(..).for_each(|waiting| given_up(waiting.id, ToClient));
        self.doubt(given_up);
    }

    /// The place of the next request is unknown.
    fn doubt(&mut self, mut given_up: impl FnMut(ExchangeId, Direction)) {
        self.unsure = true;
        for id in mem::take(&mut self.early) {
            given_up(id, ToServer);
        }
    }

    /// A final response began: the request it answers, if that can be told. `lost`: others before it may have
    /// been lost; then the only request that waits must be meant, unless others were lost as well. Messages that
    /// are in doubt are given up through `given_up`, each with the direction in which it lacks one.
    pub(crate) fn response(&mut self, lost: bool, given_up: impl FnMut(ExchangeId, Direction)) -> Option<Waiting> {
        self.responses = self.responses.saturating_add(1);
        if lost && (self.unsure || self.waiting.len() != 1) {
            self.doubt_all(given_up);
        }
        self.waiting.pop_front()
    }

    /// Notes that the response `id` came before its request. Where too many did, all are given up through
    /// `given_up`.
    pub(crate) fn note_early(&mut self, id: ExchangeId, given_up: impl FnMut(ExchangeId, Direction)) {
        self.early.push_back(id);
        if self.early.len() > EARLY_MAX {
            self.doubt(given_up);
        }
    }

    /// Gives up the oldest response that came before its request.
    pub(crate) fn give_up_early(&mut self) -> Option<ExchangeId> {
        self.early.pop_front()
    }

    /// Whether the order of requests is known.
    pub(crate) fn sure(&self) -> bool {
        !self.unsure
    }

    /// The request whose answer comes next.
    pub(crate) fn front(&self) -> Option<Waiting> {
        self.waiting.front().copied()
    }

    /// Gives up the oldest waiting request.
    pub(crate) fn give_up(&mut self) -> Option<ExchangeId> {
        self.waiting.pop_front().map(|waiting| waiting.id)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ask, EARLY_MAX, Paired, Pairs};
    use net::Direction::ToServer;

    /// Plays `q` (request), `a` (answer), `A` (answer after a loss of answers), `x` (requests may be lost); gives
    /// the id of each message, with `-` behind one that stays alone.
    #[track_caller]
    fn check(script: &str, want: &str) {
        let mut pairs = Pairs::default();
        let mut got = Vec::new();
        for step in script.chars() {
            got.push(match step {
                'q' => match pairs.request(Ask::Plain, false, true, 3) {
                    (id, Paired::Waits | Paired::Answered) => id.0.to_string(),
                    (id, Paired::Alone | Paired::TooDeep) => format!("{}-", id.0),
                },
                'x' => {
                    pairs.requests_lost(|_, _| ());
                    continue;
                }
                _ => match pairs.response(step == 'A', |_, _| ()) {
                    Some(waiting) => waiting.id.0.to_string(),
                    None => format!("{}-", pairs.next_id().0),
                },
            });
        }
        assert_eq!(got.join(" "), want, "{script}");
    }

    #[test]
    fn answers_come_in_the_order_of_requests() {
        check("qaqa", "0 0 1 1");
        check("qqqaaa", "0 1 2 0 1 2");
        check("qqaqaa", "0 1 0 2 1 2");
    }

    #[test]
    fn a_lost_request_spoils_no_later_pair() {
        // The lost one was answered before the next came: they take turns, all is well.
        check("qaxaqa", "0 0 1- 2 2");
        // Only the end of a request was lost.
        check("qxaqa", "0 0 1 1");
        // No answer between: it may be under way, or have overtaken the news of the loss.
        check("qaxqaqa", "0 0 1- 2- 3 3");
        check("qaxqaaqaqa", "0 0 1- 2- 3- 4- 5- 6 6");
        check("qqxqaaaqa", "0 1 2- 0 1 3- 4- 5-");
    }

    #[test]
    fn a_lost_answer_spoils_no_later_pair() {
        check("qA", "0 0");
        check("qqAqa", "0 1 2- 3 3");
        check("qqAaqaqa", "0 1 2- 3- 4- 5- 6 6");
        // An answer and the next request were lost: this may be the answer to either.
        check("qxAqa", "0 1- 2 2");
        check("qxqAqa", "0 1- 2- 3 3");
    }

    #[test]
    fn requests_over_the_limit_stay_alone_until_turns_are_taken() {
        check("qqqqaaaaqaqa", "0 1 2 3- 0 1 2 4- 5- 6- 7 7");
    }

    /// As many answers without a request; what was given up at that.
    fn early(pairs: &mut Pairs, n: usize) -> Vec<u32> {
        let mut gone = Vec::new();
        for _ in 0..n {
            assert_eq!(pairs.response(false, |_, _| ()), None);
            let id = pairs.next_id();
            pairs.note_early(id, |id, _| gone.push(id.0));
        }
        gone
    }

    fn ask(pairs: &mut Pairs, lost: bool) -> (u32, Paired) {
        let (id, paired) = pairs.request(Ask::Plain, lost, true, 3);
        (id.0, paired)
    }

    #[test]
    fn early_answers_give_their_ids_to_the_next_requests_in_order() {
        let mut pairs = Pairs::default();
        assert!(early(&mut pairs, 2).is_empty());
        assert_eq!(ask(&mut pairs, false), (0, Paired::Answered));
        assert_eq!(ask(&mut pairs, false), (1, Paired::Answered));
        assert_eq!(ask(&mut pairs, false), (2, Paired::Waits));
    }

    #[test]
    fn an_early_answer_stays_alone_once_requests_were_lost() {
        let mut pairs = Pairs::default();
        early(&mut pairs, 2);
        let mut gone = Vec::new();
        pairs.requests_lost(|id, dir| gone.push((id.0, dir)));
        assert_eq!(gone, [(0, ToServer), (1, ToServer)]);
        assert_eq!(ask(&mut pairs, true), (2, Paired::Alone));
        assert_eq!(pairs.give_up_early(), None);
        // Turns are taken: all is well again.
        assert_eq!(pairs.response(false, |_, _| ()), None);
        assert_eq!(ask(&mut pairs, false), (3, Paired::Waits));

        let mut pairs = Pairs::default();
        early(&mut pairs, 1);
        assert_ne!(ask(&mut pairs, true), (0, Paired::Answered));
    }

    #[test]
    fn an_early_answer_stays_alone_once_answers_were_lost() {
        let mut pairs = Pairs::default();
        early(&mut pairs, 1);
        let mut gone = Vec::new();
        assert_eq!(pairs.response(true, |id, dir| gone.push((id.0, dir))), None);
        assert_eq!(gone, [(0, ToServer)]);
        assert_eq!(ask(&mut pairs, false), (1, Paired::Alone));
    }

    #[test]
    fn early_answers_over_the_limit_all_stay_alone() {
        let mut pairs = Pairs::default();
        assert!(early(&mut pairs, EARLY_MAX).is_empty());
        assert_eq!(early(&mut pairs, 1).len(), EARLY_MAX + 1);
        assert!(!pairs.sure());
        assert_eq!(ask(&mut pairs, false).1, Paired::Alone);
    }
}
