//! Calls whose answers come elsewhere: on the event stream of HTTP+SSE, or on a stream that is taken up again.

use super::super::conversations::{Conversations, Spot};
use mcp::Id;
use net::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Most calls that wait, of all servers; each takes some 200 bytes. Beyond, the one that waits for the longest is forgotten.
const MAX_CALLS: usize = 16_384;
/// How long a call waits, in nanoseconds.
const LIFE: i64 = 3600 * Timestamp::SECOND;

/// What was called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) method: Option<Box<str>>,
    /// Tool, prompt, or URI of a resource.
    pub(super) name: Option<Box<str>>,
}

impl Call {
    pub(super) fn of(message: &mcp::Message) -> Self {
        let name = message.params.as_ref().and_then(|params| params.name.as_deref().or(params.uri.as_deref()));
        Self { method: message.method.as_deref().map(Box::from), name: name.map(Box::from) }
    }

    pub(super) fn parts(&self) -> (Option<&str>, Option<&str>) {
        (self.method.as_deref(), self.name.as_deref())
    }
}

/// Calls that wait, by a hash under secret keys of where they were made and their id.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashMap<u128, (Timestamp, Call)>>);

impl Conversations {
    /// A call was made in a conversation, and its answer may come on another connection.
    pub(super) fn called(&self, spot: &Spot<'_>, id: &Id, call: Call, now: Timestamp) {
        let key = self.key(&Spot::Call(self.key(spot), id));
        let mut calls = self.calls.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= MAX_CALLS {
            calls.retain(|_, (until, _)| *until > now);
        }
        if calls.len() >= MAX_CALLS
            && let Some((_, first)) = calls.iter().map(|(key, (until, _))| (*until, *key)).min()
        {
            calls.remove(&first);
        }
        calls.insert(key, (now.plus(LIFE), call));
    }

    /// What the answer of that id in a conversation answers.
    pub(super) fn answered(&self, spot: &Spot<'_>, id: &Id) -> Option<Call> {
        let key = self.key(&Spot::Call(self.key(spot), id));
        let mut calls = self.calls.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.remove(&key).map(|(_, call)| call)
    }
}
