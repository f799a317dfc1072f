//! Request heads that wait: of most nobody will ever want to know more, so they are kept as they came, in one piece
//! of memory that is used again, and read only once there is something to tell.

use net::{Place, Timestamp};
use proto::coding::{Budget, Charge};
use proto::{Field, Headers, RequestHead};

/// Longest value kept of one field, in bytes; longer ones are left out. Nothing that is ever told is longer.
const MAX_VALUE: usize = 8 << 10;
/// Most bytes kept of a target where memory is used up.
const SHORT_TARGET: usize = 256;
/// Buffers kept for use again by one shard.
const MAX_IDLE: usize = 32;
/// Buffers larger than this are not kept for use again, in bytes.
const USUAL: usize = 2 << 10;

/// The request heads of one shard: an account of their memory, and buffers to use again.
#[derive(Debug)]
pub(crate) struct Heads {
    budget: Budget,
    idle: Vec<Vec<u8>>,
}

impl Heads {
    /// Heads that together may take `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self { budget: Budget::new(limit), idle: Vec::new() }
    }

    /// Heads that were kept without their fields, because memory was used up.
    pub(crate) fn cut(&self) -> u64 {
        self.budget.refused()
    }

    /// Keeps a head. Where memory is used up, only the method, the beginning of the target and the host.
    pub(crate) fn keep(&mut self, ts: Timestamp, place: Place, head: &RequestHead<'_>) -> KeptHead {
        let mut bytes = self.idle.pop().unwrap_or_default();
        let wanted = |f: &&Field<'_>| f.value.len() <= MAX_VALUE && !f.name.eq_ignore_ascii_case("cookie");
        let size: usize = head.headers.0.iter().filter(wanted).map(|f| f.name.len() + f.value.len() + 8).sum();
        let lines = head.method.len() + head.target.len() + head.via_connect.map_or(0, str::len) + 16;
        // Never grown behind the back of the account.
        bytes.reserve_exact(size + lines);
        let charge = self.budget.charge(u64::try_from(bytes.capacity()).unwrap_or(u64::MAX));
        if charge.is_some() {
            put(&mut bytes, head.method.as_bytes());
            put(&mut bytes, head.target.as_bytes());
            put(&mut bytes, head.via_connect.unwrap_or_default().as_bytes());
            for field in head.headers.0.iter().filter(wanted) {
                put(&mut bytes, field.name.as_bytes());
                put(&mut bytes, field.value);
            }
        } else {
            bytes = Vec::new();
            let target = head.target.get(..head.target.floor_char_boundary(SHORT_TARGET)).unwrap_or_default();
            put(&mut bytes, head.method.get(..head.method.floor_char_boundary(16)).unwrap_or_default().as_bytes());
            put(&mut bytes, target.as_bytes());
            put(&mut bytes, b"");
            if let Some(host) = head.headers.get("host") {
                put(&mut bytes, b"host");
                put(&mut bytes, host.get(..SHORT_TARGET.min(host.len())).unwrap_or_default());
            }
        }
        KeptHead { ts, place, version: head.version, tunnelled: head.via_connect.is_some(), bytes, charge }
    }

    /// Takes back the memory of a head that nobody will ask for again.
    pub(crate) fn give_back(&mut self, kept: KeptHead) {
        let mut bytes = kept.bytes;
        if self.idle.len() < MAX_IDLE && bytes.capacity() <= USUAL && kept.charge.is_some() {
            bytes.clear();
            self.idle.push(bytes);
        }
    }
}

/// One request head.
#[derive(Debug)]
pub(crate) struct KeptHead {
    /// When it began.
    pub(crate) ts: Timestamp,
    /// The packet it began in.
    pub(crate) place: Place,
    version: &'static str,
    tunnelled: bool,
    /// Method, target, tunnel, then names and values: each with its length before it.
    bytes: Vec<u8>,
    charge: Option<Charge>,
}

impl KeptHead {
    /// Reads it as it was, but for fields that are never told.
    pub(crate) fn read<R>(&self, then: impl FnOnce(&RequestHead<'_>) -> R) -> R {
        let mut rest = self.bytes.as_slice();
        let mut next = || take(&mut rest);
        let text = |bytes| str::from_utf8(bytes).unwrap_or_default();
        let [method, target, via] = [next(), next(), next()].map(|part| text(part.unwrap_or_default()));
        let mut fields = Vec::new();
        while let (Some(name), Some(value)) = (next(), next()) {
            fields.push(Field { name: text(name), value });
        }
        let via_connect = self.tunnelled.then_some(via);
        then(&RequestHead { method, target, version: self.version, headers: Headers(&fields), via_connect })
    }
}

fn put(to: &mut Vec<u8>, part: &[u8]) {
    to.extend_from_slice(&u32::try_from(part.len()).unwrap_or(0).to_ne_bytes());
    to.extend_from_slice(part);
}

fn take<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (len, after) = rest.split_first_chunk()?;
    let (part, after) = after.split_at_checked(usize::try_from(u32::from_ne_bytes(*len)).ok()?)?;
    *rest = after;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: RequestHead<'_> = RequestHead {
        method: "POST",
        target: "/mcp?session_id=17",
        version: "1.1",
        headers: Headers(&[
            Field { name: "Host", value: b"notes.example:8443" },
            Field { name: "Cookie", value: b"a=b" },
            Field { name: "Mcp-Session-Id", value: b"\xffraw" },
        ]),
        via_connect: Some("notes.example:8443"),
    };

    #[test]
    fn a_kept_head_reads_as_it_was_but_for_cookies() {
        let mut heads = Heads::new(1 << 20);
        for _ in 0..3 {
            let kept = heads.keep(Timestamp(1), Place::default(), &HEAD);
            kept.read(|head| {
                assert_eq!((head.method, head.target, head.via_connect), (HEAD.method, HEAD.target, HEAD.via_connect));
                assert_eq!(head.headers.get("mcp-session-id"), Some(&b"\xffraw"[..]));
                assert_eq!(head.headers.get("cookie"), None);
            });
            heads.give_back(kept);
        }
        assert_eq!((heads.idle.len(), heads.cut(), heads.budget.live_bytes()), (1, 0, 0));
    }

    #[test]
    fn a_buffer_that_is_used_again_is_charged_for_all_that_it_grows_to() {
        let mut heads = Heads::new(1 << 20);
        let small = heads.keep(Timestamp(1), Place::default(), &HEAD);
        heads.give_back(small);
        for len in [100, 3000] {
            let target = format!("/{}", "x".repeat(len));
            let kept = heads.keep(Timestamp(1), Place::default(), &RequestHead { target: &target, ..HEAD });
            assert_eq!(heads.budget.live_bytes(), kept.bytes.capacity() as u64, "{len}");
            heads.give_back(kept);
        }
    }

    #[test]
    fn without_memory_the_request_line_and_the_host_are_kept_and_it_is_counted() {
        let mut heads = Heads::new(300);
        let first = heads.keep(Timestamp(1), Place::default(), &HEAD);
        let second = heads.keep(Timestamp(1), Place::default(), &HEAD);
        let third = heads.keep(Timestamp(1), Place::default(), &HEAD);
        assert_eq!(heads.cut(), 1);
        third.read(|head| {
            assert_eq!((head.method, head.target), (HEAD.method, HEAD.target));
            assert_eq!(head.headers.get("host"), HEAD.headers.get("host"));
            assert_eq!(head.headers.0.len(), 1);
        });
        drop((first, second));
        assert!(heads.keep(Timestamp(1), Place::default(), &HEAD).charge.is_some());
    }
}
