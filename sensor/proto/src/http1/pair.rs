//! Which response answers which request (RFC 9112 §9.3.2): the oldest that waits, as long as nothing was lost.
//! Where something was, a message stays alone until the two directions are seen to take turns again: a wrong
//! pair accuses somebody, a missing one does not.

use crate::ExchangeId;
use std::collections::VecDeque;

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
    /// A response that came with no request waiting, though none was lost: directions can overtake each other
    /// on their way to a mirror. The next request is its own.
    early: Option<ExchangeId>,
}

impl Pairs {
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
        if let Some(id) = self.early.take() {
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

    /// Requests may have been lost here.
    pub(crate) fn requests_lost(&mut self) {
        self.unsure = true;
        self.responses = 0;
    }

    /// A final response began: the request it answers, if that can be told. `lost`: others before it may have
    /// been lost; then the only request that waits must be meant, unless others were lost as well. Waiting ones that
    /// are in doubt are given up through `given_up`.
    pub(crate) fn response(&mut self, lost: bool, mut given_up: impl FnMut(ExchangeId)) -> Option<Waiting> {
        self.responses = self.responses.saturating_add(1);
        if lost && (self.unsure || self.waiting.len() > 1) {
            self.waiting.drain(..).for_each(|waiting| given_up(waiting.id));
            self.unsure = true;
        }
        self.waiting.pop_front()
    }

    /// Notes that the response `id` came before its request. Returns the one noted before, whose request never
    /// came.
    pub(crate) fn note_early(&mut self, id: ExchangeId) -> Option<ExchangeId> {
        self.early.replace(id)
    }

    /// Takes back [`Self::note_early`].
    pub(crate) fn take_early(&mut self) -> Option<ExchangeId> {
        self.early.take()
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
    use super::{Ask, Paired, Pairs};
    use crate::ExchangeId;

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
                    pairs.requests_lost();
                    continue;
                }
                _ => match pairs.response(step == 'A', |_| ()) {
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

    #[test]
    fn an_early_answer_gives_its_id_to_the_next_request() {
        let mut pairs = Pairs::default();
        assert_eq!(pairs.response(false, |_| ()), None);
        let id = pairs.next_id();
        assert_eq!(pairs.note_early(id), None);
        assert_eq!(pairs.request(Ask::Plain, false, true, 3), (id, Paired::Answered));
        assert_eq!(pairs.request(Ask::Plain, false, true, 3), (ExchangeId(1), Paired::Waits));
    }
}
