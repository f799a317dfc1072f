//! Server-sent events, WHATWG HTML §9.2 ("event stream interpretation"), read as the bytes come.
//!
//! Data is handed on as it comes and never kept: `event:` may follow `data:`, so the name of an event is known only
//! when it is dispatched. Bytes need not be UTF-8. How the input is cut changes nothing.

mod fuzz;
mod parse;
#[cfg(test)]
mod tests;

#[doc(hidden)]
pub use fuzz::fuzz_sse;
pub use parse::Parser;

/// Longest event name that is kept, in bytes.
pub const MAX_NAME: usize = 128;
/// Longest event id that is kept, in bytes.
pub const MAX_ID: usize = 256;

/// Where events go.
pub trait Sink {
    /// A piece of the data of the current event. Two data lines are joined by `b"\n"`.
    fn data(&mut self, bytes: &[u8]);
    /// The current event is over; data that comes later belongs to the next.
    fn event(&mut self, event: Event<'_>);
}

/// An event at its end. Its data has gone to [`Sink::data`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The last `event:` line, `message` if there is none or it is empty. At most [`MAX_NAME`] bytes.
    pub name: &'a [u8],
    /// The last `id:` line of this event, without those that hold a NUL. At most [`MAX_ID`] bytes.
    pub id: Option<&'a [u8]>,
    /// The last `retry:` line that is a number, in milliseconds.
    pub retry: Option<u64>,
    /// There was a `data:` line, be it empty. Receivers ignore events without one but for their id and retry.
    pub has_data: bool,
    /// The blank line that dispatches it never came: receivers drop such an event, and its data may be incomplete.
    pub cut: bool,
    /// Name or id was longer than the limit and is cut to it.
    pub clipped: bool,
}

/// What a parser has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events dispatched by a blank line.
    pub events: u64,
    /// Events cut by a gap or the end.
    pub cut: u64,
    /// Comment lines.
    pub comments: u64,
    /// Names and ids that met their limit.
    pub clipped: u64,
}
