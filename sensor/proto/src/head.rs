//! Message heads, as HTTP of any version has them (RFC 9110). Borrowed; built by the HTTP/1 observer here
//! and, from their own fields, by that of HTTP/2 and later the proxy.

/// One header field. Names keep the case of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Field name.
    pub name: &'a str,
    /// Field value, trimmed, raw bytes.
    pub value: &'a [u8],
}

/// Header fields in the order of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a>(pub &'a [Field<'a>]);

impl<'a> Headers<'a> {
    /// The first field called `name` (any case).
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The first field called `name`, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|v| str::from_utf8(v).ok())
    }

    /// All fields called `name` (any case), in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value)
    }
}

/// A request head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// Method token as sent.
    pub method: &'a str,
    /// Request target as sent (origin, absolute, authority or asterisk form), lossy where it is not UTF-8.
    pub target: &'a str,
    /// `"1.0"`, `"1.1"`, `"2"`; `"0.9"` for a bare `GET path`.
    pub version: &'static str,
    /// Header fields.
    pub headers: Headers<'a>,
    /// Authority of the CONNECT tunnel this request came through, if any.
    pub via_connect: Option<&'a str>,
}

/// A response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead<'a> {
    /// Status code; 101 for an accepted upgrade. Interim 1xx answers other than 101 are not reported.
    pub status: u16,
    /// As in [`RequestHead::version`].
    pub version: &'static str,
    /// Header fields.
    pub headers: Headers<'a>,
}
