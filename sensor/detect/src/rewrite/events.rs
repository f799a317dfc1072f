//! Event streams (WHATWG HTML section 9.2), event by event: where each ends, and its data exchanged for other data.

/// What a stream may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Finds where events end in a stream that comes in pieces. How it is cut changes nothing but that a line feed may come to
/// stand before an event instead of behind the one before it.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact that has or has not been seen yet")]
pub struct Splitter {
    /// Nothing of the present line came.
    blank: bool,
    /// The last byte was a carriage return: a line feed would belong to it.
    cr: bool,
    /// The present line is a comment.
    comment: bool,
    /// The present event has a line that is no comment.
    begun: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self { blank: true, cr: false, comment: false, begun: false }
    }
}

impl Splitter {
    /// Bytes of `input` up to the end of the event under way, its blank line included; `None` where it does not end there.
    /// A comment that stands before an event is given like one, so that it need not wait.
    pub fn split(&mut self, input: &[u8]) -> Option<usize> {
        let mut at = usize::from(std::mem::take(&mut self.cr) && input.first() == Some(&b'\n'));
        while let Some(rest) = input.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.line(rest);
                return None;
            };
            self.line(rest.get(..end).unwrap_or_default());
            at += end + 1;
            if rest.get(end) == Some(&b'\r') {
                match input.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.cr = true,
                }
            }
            let (blank, comment) = (self.blank, self.comment);
            (self.blank, self.comment) = (true, false);
            if blank || (comment && !self.begun) {
                self.begun = false;
                return Some(at);
            }
            self.begun |= !comment;
        }
        None
    }

    /// Takes a part of a line.
    fn line(&mut self, part: &[u8]) {
        if let Some(first) = part.first().filter(|_| self.blank) {
            self.blank = false;
            self.comment = *first == b':';
        }
    }
}

/// Lines with what ends them.
fn lines(event: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = event;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        let long = if after.starts_with(b"\r\n") { 2 } else { after.len().min(1) };
        let (ending, after) = after.split_at(long);
        rest = after;
        Some((line, ending))
    })
}

/// What a line gives to the data of its event.
fn data_line(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data")?;
    match value.split_first() {
        None => Some(value),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

/// The data of an event; `None` where it has none. `first` says that the stream begins with it.
pub fn data_of(event: &[u8], first: bool) -> Option<Vec<u8>> {
    let event = event.strip_prefix(BYTE_ORDER_MARK).filter(|_| first).unwrap_or(event);
    let mut data: Option<Vec<u8>> = None;
    for value in lines(event).filter_map(|(line, _)| data_line(line)) {
        match &mut data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => data = Some(value.to_vec()),
        }
    }
    data
}

/// The event with other data; all other lines stay. Without any (empty) data, receivers keep its id and dispatch nothing.
pub fn with_data(event: &[u8], data: &[u8], first: bool) -> Vec<u8> {
    let mark = event.strip_prefix(BYTE_ORDER_MARK).filter(|_| first);
    let mut new = Vec::with_capacity(event.len() + data.len());
    new.extend_from_slice(if mark.is_some() { BYTE_ORDER_MARK } else { b"" });
    let mut written = data.is_empty();
    for (line, ending) in lines(mark.unwrap_or(event)) {
        if data_line(line).is_none() {
            new.extend_from_slice(line);
            new.extend_from_slice(ending);
        } else if !std::mem::replace(&mut written, true) {
            for line in data.split(|byte| *byte == b'\n') {
                new.extend_from_slice(b"data: ");
                new.extend_from_slice(line);
                new.extend_from_slice(if ending.is_empty() { b"\n" } else { ending });
            }
        }
    }
    new
}
