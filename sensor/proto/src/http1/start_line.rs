//! Whether bytes begin an HTTP/1 message, judged by the start line alone (RFC 9112 §3, §4).

use memchr::memchr;

/// Longest method that is believed, in bytes; registered ones have at most 17.
const MAX_METHOD: usize = 64;

/// Most spaces before a status code that are believed.
const MAX_SPACES: usize = 16;

/// Which heads would do, and how much is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Requests.
    pub(crate) requests: bool,
    /// Responses.
    pub(crate) responses: bool,
    /// The place of the bytes in the stream is a guess, so only ordinary start lines count: text may quote them.
    pub(crate) strict: bool,
}

/// The kind of a start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A request line.
    Request,
    /// `GET` and a path, without version (HTTP/0.9).
    OldRequest,
    /// A status line.
    Response,
}

/// A verdict on the beginning of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// A start line.
    Yes(Line),
    /// It may become one.
    More,
    /// It cannot be one.
    No,
}

/// Judges the line at the beginning of `b`. What follows the line does not matter.
pub(crate) fn look_at_start_line(b: &[u8], wanted: Wanted) -> Look {
    let response = if wanted.responses { response(b) } else { Look::No };
    match (response, wanted.requests) {
        (Look::No, true) => request(b, wanted.strict),
        // A method may begin as `HTTP` does, but none goes on with a slash.
        _ => response,
    }
}

fn response(b: &[u8]) -> Look {
    let fits = b.iter().zip(0_usize..).take(13).all(|(&c, i)| match i {
        0..=6 => b"HTTP/1.".get(i) == Some(&c),
        8 => c == b' ',
        12 => matches!(c, b' ' | b'\r' | b'\n'),
        _ => c.is_ascii_digit(),
    });
    match (fits, b.len() > 12) {
        (true, true) => Look::Yes(Line::Response),
        (true, false) => Look::More,
        (false, _) => response_with_more_spaces(b),
    }
}

/// `HTTP/1.1  200`: RFC 9112 §4 lets a reader accept more than one space.
fn response_with_more_spaces(b: &[u8]) -> Look {
    let Some((b"HTTP/1.", [minor, b' ', rest @ ..])) = b.split_at_checked(7) else { return Look::No };
    let spaces = rest.iter().take_while(|&&c| c == b' ').count();
    let digits = rest.get(spaces..).unwrap_or_default();
    let fits = digits.iter().zip(0_usize..4).all(|(&c, i)| match i {
        0..=2 => c.is_ascii_digit(),
        _ => matches!(c, b' ' | b'\r' | b'\n'),
    });
    match (minor.is_ascii_digit() && spaces < MAX_SPACES && fits, digits.len() > 3) {
        (true, true) => Look::Yes(Line::Response),
        (true, false) => Look::More,
        (false, _) => Look::No,
    }
}

fn request(b: &[u8], strict: bool) -> Look {
    let method_len = b.iter().take(MAX_METHOD + 1).take_while(|&&c| is_token(c)).count();
    let Some((method, rest)) = b.split_at_checked(method_len) else { return Look::No };
    if strict && !method.iter().all(|c| c.is_ascii_uppercase() || matches!(c, b'-' | b'_')) {
        return Look::No;
    }
    let target = match rest {
        [] if method_len <= MAX_METHOD => return Look::More,
        [b' ' | b'\t', target @ ..] if (1..=MAX_METHOD).contains(&method_len) => target,
        _ => return Look::No,
    };
    if strict && method_len < 3 {
        return Look::No;
    }
    let end = memchr(b'\n', target);
    let line = end.and_then(|end| target.get(..end)).unwrap_or(target).trim_ascii_start();
    match line.first() {
        None if end.is_none() => return Look::More,
        None => return Look::No,
        Some(c) if c.is_ascii_control() => return Look::No,
        Some(c) if strict && !matches!(c, b'/' | b'*' | b'h') && method != b"CONNECT" => return Look::No,
        Some(_) => {}
    }
    if end.is_none() {
        return Look::More;
    }
    let line = line.trim_ascii_end();
    let mut words = line.rsplit(|c| matches!(c, b' ' | b'\t'));
    let last = words.next().unwrap_or_default();
    match (is_version(last), words.next()) {
        (true, Some(_)) => Look::Yes(Line::Request),
        (false, None) if !strict && method == b"GET" && line.starts_with(b"/") => Look::Yes(Line::OldRequest),
        _ => Look::No,
    }
}

/// `HTTP/1.` and digits.
fn is_version(word: &[u8]) -> bool {
    word.strip_prefix(b"HTTP/1.").is_some_and(|minor| !minor.is_empty() && minor.iter().all(u8::is_ascii_digit))
}

/// A character of a token (RFC 9110 §5.6.2).
fn is_token(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)
}

#[cfg(test)]
mod tests {
    use super::{Line, Look, Wanted, look_at_start_line};

    const ANY: Wanted = Wanted { requests: true, responses: true, strict: false };
    const STRICT: Wanted = Wanted { requests: true, responses: true, strict: true };

    #[test]
    fn start_lines_are_told_from_everything_else() {
        let request = Look::Yes(Line::Request);
        let response = Look::Yes(Line::Response);
        for (bytes, want, want_strict) in [
            (&b""[..], Look::More, Look::More),
            (b"P", Look::More, Look::More),
            (b"POST /mcp HTTP/1.1\r\n", request, request),
            (b"POST /mcp HTTP/1.1\n", request, request),
            (b"POST /mcp HTTP/1.1\r\nhost: x", request, request),
            (b"POST /mcp HTTP/1.1", Look::More, Look::More),
            (b"post /mcp HTTP/1.1\r\n", request, Look::No),
            (b"X /mcp HTTP/1.0\r\n", request, Look::No),
            (b"m!x~1 /mcp HTTP/1.1\r\n", request, Look::No),
            (b"GET  /a b   HTTP/1.1 \r\n", request, request),
            (b"GET\t/a\tHTTP/1.1\r\n", request, request),
            (b"OPTIONS * HTTP/1.1\r\n", request, request),
            (b"GET http://x/y HTTP/1.1\r\n", request, request),
            (b"CONNECT x:443 HTTP/1.1\r\n", request, request),
            (b"GET x:443 HTTP/1.1\r\n", request, Look::No),
            (b"GET /old\r\n", Look::Yes(Line::OldRequest), Look::No),
            (b"GET old\r\n", Look::No, Look::No),
            (b"get /key\r\n", Look::No, Look::No),
            (b"EHLO mail.example\r\n", Look::No, Look::No),
            (b"PRI * HTTP/2.0\r\n", Look::No, Look::No),
            (b"GET / HTTP/1.x\r\n", Look::No, Look::No),
            (b"GET HTTP/1.1\r\n", Look::No, Look::No),
            (b"GET \x01", Look::No, Look::No),
            (b"GET\r\n", Look::No, Look::No),
            (b"{\"jsonrpc\"", Look::No, Look::No),
            (b"\x16\x03\x01", Look::No, Look::No),
            (b"HTTP", Look::More, Look::More),
            (b"HTTP/1.1 20", Look::More, Look::More),
            (b"HTTP/1.1 200", Look::More, Look::More),
            (b"HTTP/1.1 200\r\n", response, response),
            (b"HTTP/1.1 200 OK\r\n", response, response),
            (b"HTTP/1.0 404\n", response, response),
            (b"HTTP/1.1  200 OK\r\n", response, response),
            (b"HTTP/1.1   2", Look::More, Look::More),
            (b"HTTP/1.1 2000 OK\r\n", Look::No, Look::No),
            (b"HTTP/1.1 OK\r\n", Look::No, Look::No),
            (b"HTTP/2 200\r\n", Look::No, Look::No),
            (b"HTTP/1.1\r\n", Look::No, Look::No),
        ] {
            assert_eq!(look_at_start_line(bytes, ANY), want, "{:?}", bytes.escape_ascii().to_string());
            assert_eq!(look_at_start_line(bytes, STRICT), want_strict, "strict {:?}", bytes.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_verdict_never_changes_as_bytes_come() {
        for line in
            [&b"POST /mcp HTTP/1.1\r\nhost: x"[..], b"HTTP/1.1  200 OK\r\n", b"HTTP/1.1 200 OK\r\n", b"GET / XTTP\r\n"]
        {
            for wanted in [ANY, STRICT] {
                let whole = look_at_start_line(line, wanted);
                for cut in 0..line.len() {
                    let part = look_at_start_line(line.split_at(cut).0, wanted);
                    assert!(part == Look::More || part == whole, "{:?} at {cut}", line.escape_ascii().to_string());
                }
            }
        }
    }

    #[test]
    fn only_the_wanted_kind_is_found() {
        let requests = Wanted { requests: true, responses: false, strict: false };
        let responses = Wanted { requests: false, responses: true, strict: false };
        assert_eq!(look_at_start_line(b"HTTP/1.1 200 OK\r\n", requests), Look::No);
        assert_eq!(look_at_start_line(b"GET / HTTP/1.1\r\n", responses), Look::No);
        assert_eq!(look_at_start_line(b"H", responses), Look::More);
    }
}
