//! Application protocols (RFC 7301 §3.1).

use super::read::{Reader, whole16};

/// Protocol names in the order of the hello, as far as they fit into [`Alpn::MAX_BYTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alpn {
    /// INVARIANT: whole names, each with its length in front.
    list: Box<[u8]>,
    cut: bool,
}

impl Alpn {
    /// Most bytes of names that are kept, a length byte for each included.
    pub const MAX_BYTES: usize = 512;

    /// Reads the content of the extension; the flag says that it is not well formed, and that only the names before
    /// the fault were taken.
    pub(super) fn parse(data: &[u8]) -> (Self, bool) {
        let Some(list) = whole16(data) else { return (Self::default(), true) };
        let mut reader = Reader::new(list);
        let (mut kept, mut bad) = (0, list.is_empty());
        while !reader.is_empty() {
            let Some(name) = reader.vec8() else {
                bad = true;
                break;
            };
            bad |= name.is_empty();
            let end = list.len() - reader.len();
            if end > Self::MAX_BYTES {
                let list = list.get(..kept).unwrap_or_default().into();
                return (Self { list, cut: true }, bad);
            }
            kept = end;
        }
        (Self { list: list.get(..kept).unwrap_or_default().into(), cut: false }, bad)
    }

    /// The names. Any bytes, though mostly text such as `h2` or `http/1.1`; GREASE values included.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let mut reader = Reader::new(&self.list);
        std::iter::from_fn(move || reader.vec8())
    }

    /// Whether `name` is among those kept.
    pub fn has(&self, name: &[u8]) -> bool {
        self.names().any(|n| n == name)
    }

    /// Whether there is no name.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether names were left out for want of room.
    pub const fn is_cut(&self) -> bool {
        self.cut
    }
}
