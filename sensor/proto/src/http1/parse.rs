//! Bytes → heads. `httparse` reads what follows the grammar; what it refuses is split by lines, because some
//! receiver will accept it.

use crate::{Field, Headers, RequestHead, ResponseHead};
use memchr::{memchr, memchr_iter};
use std::borrow::Cow;
use std::mem::MaybeUninit;

/// Fields of a head that is read without allocation.
const FIELDS: usize = 32;

/// Where the head that continues `before` ends in `data`: the index after its empty line (RFC 9112 §2.1; a bare
/// LF ends a line, §2.2).
pub(crate) fn head_end(before: &[u8], data: &[u8]) -> Option<usize> {
    match (before, data) {
        ([.., b'\n', b'\r'] | [.., b'\n'], [b'\n', ..]) => return Some(1),
        ([.., b'\n'], [b'\r', b'\n', ..]) => return Some(2),
        _ => {}
    }
    memchr_iter(b'\n', data).find_map(|i| match data.get(i + 1..) {
        Some([b'\n', ..]) => Some(i + 2),
        Some([b'\r', b'\n', ..]) => Some(i + 3),
        _ => None,
    })
}

/// Reads a request head, its empty line included or cut off. `found` gets the head, and whether receivers may
/// read its lines differently.
pub(crate) fn request<R>(head: &[u8], via: Option<&str>, found: impl FnOnce(&RequestHead<'_>, bool) -> R) -> R {
    let mut room = Room::for_head(head);
    let (headers, fields) = room.split();
    let mut parsed = httparse::Request::new(&mut []);
    let done = httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, head, headers);
    if let (Ok(httparse::Status::Complete(_)), Some(method), Some(target), Some(minor)) =
        (done, parsed.method, parsed.path, parsed.version)
    {
        let headers = Headers(convert(parsed.headers, fields));
        let version = if minor == 0 { "1.0" } else { "1.1" };
        return found(&RequestHead { method, target, version, headers, via_connect: via }, has_bare_lf(head));
    }
    let text = unfold(head);
    let (line, rest) = split_line(&text);
    let line = line.trim_ascii();
    let (method, after) = line.split_at(line.iter().position(|&c| is_blank(c)).unwrap_or(line.len()));
    let (target, version) = match after.iter().rposition(|&c| is_blank(c)) {
        Some(at) if after.trim_ascii().contains(&b' ') || after.trim_ascii().contains(&b'\t') => {
            let (target, version) = after.split_at(at);
            (target, if version.ends_with(b".0") { "1.0" } else { "1.1" })
        }
        _ => (after, "0.9"),
    };
    split_fields(rest, |headers| {
        let (method, target) = (String::from_utf8_lossy(method), String::from_utf8_lossy(target.trim_ascii()));
        found(&RequestHead { method: &method, target: &target, version, headers, via_connect: via }, version != "0.9")
    })
}

/// Reads a response head, as [`request`] does.
pub(crate) fn response<R>(head: &[u8], found: impl FnOnce(&ResponseHead<'_>, bool) -> R) -> R {
    let mut room = Room::for_head(head);
    let (headers, fields) = room.split();
    let mut parsed = httparse::Response::new(&mut []);
    let done = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, head, headers);
    if let (Ok(httparse::Status::Complete(_)), Some(status), Some(minor)) = (done, parsed.code, parsed.version) {
        let headers = Headers(convert(parsed.headers, fields));
        let version = if minor == 0 { "1.0" } else { "1.1" };
        return found(&ResponseHead { status, version, headers }, has_bare_lf(head));
    }
    let text = unfold(head);
    let (line, rest) = split_line(&text);
    let mut words = line.split(|&c| is_blank(c)).filter(|word| !word.is_empty());
    let version = if words.next().is_some_and(|word| word.ends_with(b".0")) { "1.0" } else { "1.1" };
    let digits = words.next().unwrap_or_default().iter().take(3).filter(|c| c.is_ascii_digit());
    let status = digits.fold(0_u16, |n, &c| n * 10 + u16::from(c - b'0'));
    split_fields(rest, |headers| found(&ResponseHead { status, version, headers }, true))
}

/// Room for the fields of one head, before and after reading; on the heap where there are many.
struct Room<'b> {
    few: ([MaybeUninit<httparse::Header<'b>>; FIELDS], [Field<'b>; FIELDS]),
    many: (Vec<MaybeUninit<httparse::Header<'b>>>, Vec<Field<'b>>),
}

impl<'b> Room<'b> {
    fn for_head(head: &[u8]) -> Self {
        const NONE: Field<'_> = Field { name: "", value: b"" };
        let lines = memchr_iter(b'\n', head).count();
        let many = if lines > FIELDS { lines } else { 0 };
        Self {
            few: ([MaybeUninit::uninit(); FIELDS], [NONE; FIELDS]),
            many: (vec![MaybeUninit::uninit(); many], vec![NONE; many]),
        }
    }

    fn split(&mut self) -> (&mut [MaybeUninit<httparse::Header<'b>>], &mut [Field<'b>]) {
        if self.many.0.is_empty() { (&mut self.few.0, &mut self.few.1) } else { (&mut self.many.0, &mut self.many.1) }
    }
}

fn convert<'f, 'b>(from: &[httparse::Header<'b>], to: &'f mut [Field<'b>]) -> &'f [Field<'b>] {
    for (to, from) in to.iter_mut().zip(from) {
        *to = Field { name: from.name, value: from.value.trim_ascii() };
    }
    to.get(..from.len()).unwrap_or_default()
}

fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t')
}

fn has_bare_lf(head: &[u8]) -> bool {
    memchr_iter(b'\n', head).any(|i| i.checked_sub(1).and_then(|before| head.get(before)) != Some(&b'\r'))
}

/// A copy with every line break in front of a folded line as blanks (RFC 9112 §5.2).
fn unfold(head: &[u8]) -> Vec<u8> {
    let mut text = head.to_vec();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| memchr(b'\n', rest)) {
        let lf = at + found;
        // The first field line cannot continue anything.
        let folded = at > 0 && text.get(lf + 1).is_some_and(|&c| is_blank(c));
        if folded && let Some(b) = text.get_mut(lf) {
            *b = b' ';
        }
        if folded && let Some(b @ b'\r') = lf.checked_sub(1).and_then(|cr| text.get_mut(cr)) {
            *b = b' ';
        }
        at = lf + 1;
    }
    text
}

/// The first line without its end, and what follows it.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'\n', text).and_then(|lf| text.split_at_checked(lf)) {
        Some((line, rest)) => (line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default()),
        None => (text, b""),
    }
}

/// Fields line by line: what stands before the first colon is the name. A line without a colon is a name
/// without a value, so that nothing is lost.
fn split_fields<R>(mut text: &[u8], found: impl FnOnce(Headers<'_>) -> R) -> R {
    let mut split: Vec<(Cow<'_, str>, &[u8])> = Vec::new();
    while !text.is_empty() {
        let (line, rest) = split_line(text);
        text = rest;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (name, value) = match memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) {
            Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
            None => (line, &b""[..]),
        };
        split.push((String::from_utf8_lossy(name.trim_ascii()), value.trim_ascii()));
    }
    let fields: Vec<Field<'_>> = split.iter().map(|(name, value)| Field { name, value }).collect();
    found(Headers(&fields))
}
