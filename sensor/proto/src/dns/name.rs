//! Names (RFC 1035 §3.1, §4.1.4).

/// Longest name in its text form, in bytes.
pub const MAX_NAME: usize = 253;
/// Longest name as labels with their lengths, in bytes.
const MAX_LABELS: usize = 255;
/// Most compression pointers followed in one name.
const MAX_POINTERS: usize = 16;

/// A name in its text form: lower case, labels with dots between, no dot at the end; empty for the root. Printable
/// ASCII without spaces.
#[derive(Clone, Copy)]
pub struct Name {
    /// INVARIANT: zero behind `len`.
    bytes: [u8; MAX_NAME],
    len: u8,
}

impl Name {
    /// Room for a name.
    pub(super) const EMPTY: Self = Self { bytes: [0; MAX_NAME], len: 0 };

    /// Reads the name at `at` into an empty one; where the message goes on behind it. `None` where it reaches beyond the
    /// message, is too long, points in a circle, or has other characters.
    pub(super) fn read(&mut self, message: &[u8], at: usize) -> Option<usize> {
        let (end, pointer) = extent(message, at)?;
        // Nearly always there is no pointer: then the text stands there as it is, but for the dots.
        let dots = match message.get(at..end)? {
            [_, text @ .., _] if !pointer => self.copy(text, message.get(at..)?)?,
            [_] => 0,
            _ => self.join(message, at)?,
        };
        let text = self.bytes.get_mut(..usize::from(self.len))?;
        let mut plain = true;
        let mut all_dots = 0;
        for byte in &*text {
            plain &= byte.is_ascii_graphic();
            all_dots += usize::from(*byte == b'.');
        }
        text.make_ascii_lowercase();
        (plain && dots == all_dots).then_some(end)
    }

    /// Takes a name without pointers, of which `wire` is the beginning with its first length; how many dots it has.
    fn copy(&mut self, text: &[u8], wire: &[u8]) -> Option<usize> {
        let room = self.bytes.get_mut(..text.len())?;
        room.copy_from_slice(text);
        self.len = u8::try_from(text.len()).ok()?;
        let mut dots = 0;
        let mut next = usize::from(*wire.first()?);
        while let Some(byte) = room.get_mut(next) {
            next += 1 + usize::from(*byte);
            *byte = b'.';
            dots += 1;
        }
        Some(dots)
    }

    /// Takes a name label by label; how many dots it has.
    fn join(&mut self, message: &[u8], at: usize) -> Option<usize> {
        let mut labels = Labels::new(message, at);
        let (mut dots, mut end) = (0, 0);
        loop {
            let label = labels.next()?;
            if label.is_empty() {
                break;
            }
            if end > 0 {
                *self.bytes.get_mut(end)? = b'.';
                end += 1;
                dots += 1;
            }
            self.bytes.get_mut(end..end + label.len())?.copy_from_slice(label);
            end += label.len();
        }
        self.len = u8::try_from(end).ok()?;
        Some(dots)
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Whether this is the root.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// The labels of a name, pointers followed.
struct Labels<'m> {
    message: &'m [u8],
    at: usize,
    pointers: usize,
    /// Bytes of labels still allowed.
    left: usize,
}

impl<'m> Labels<'m> {
    const fn new(message: &'m [u8], at: usize) -> Self {
        Self { message, at, pointers: 0, left: MAX_LABELS }
    }

    /// Follows pointers; where the next label, or the end of the name, stands. They may only point to what stands
    /// before them.
    fn settle(&mut self) -> Option<usize> {
        loop {
            let &length = self.message.get(self.at)?;
            if length < 0xc0 {
                return Some(self.at);
            }
            let target = usize::from(length & 0x3f) << 8 | usize::from(*self.message.get(self.at + 1)?);
            self.pointers += 1;
            if self.pointers > MAX_POINTERS || target >= self.at {
                return None;
            }
            self.at = target;
        }
    }

    /// The next label; that of the root, which is empty, ends the name. `None` where it cannot be read.
    fn next(&mut self) -> Option<&'m [u8]> {
        let at = self.settle()?;
        let length = usize::from(*self.message.get(at)?);
        if length > 63 {
            return None;
        }
        self.at = at + 1 + length;
        self.left = self.left.checked_sub(self.at - at)?;
        self.message.get(at + 1..self.at)
    }
}

/// Where the message goes on behind the name at `at`, and whether the name ends in a pointer.
fn extent(message: &[u8], mut at: usize) -> Option<(usize, bool)> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some((at + 1, false)),
            length @ 1..=63 => at += 1 + length,
            192.. => return Some((at + 2, true)),
            _ => return None,
        }
    }
}

/// Where the message goes on behind the name at `at`.
pub(super) fn skip(message: &[u8], at: usize) -> Option<usize> {
    extent(message, at).map(|(end, _)| end)
}

/// Whether the names at two places are the same.
pub(super) fn same(message: &[u8], a: usize, b: usize) -> bool {
    let (mut a, mut b) = (Labels::new(message, a), Labels::new(message, b));
    loop {
        // Mostly a pointer to the other: then nothing needs to be compared.
        match (a.settle(), b.settle()) {
            (Some(one), Some(other)) if one == other => return true,
            (Some(_), Some(_)) => {}
            _ => return false,
        }
        match (a.next(), b.next()) {
            (Some([]), Some([])) => return true,
            (Some(one), Some(other)) if one.eq_ignore_ascii_case(other) => {}
            _ => return false,
        }
    }
}
