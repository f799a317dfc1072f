//! Test vectors: files that state the bytes of one message and what the sensor must say of it.
//!
//! ```text
//! # T02: what it shows
//! # label: mcp
//! # confidence: confirmed
//! # classification: shadow
//! # why: the rule of the contract that decides
//!
//! === response eol=crlf
//! HTTP/1.1 200 OK
//! Content-Type: text/event-stream
//!
//! data: ...
//!
//! === end
//! ```
//!
//! `confidence` and `classification` may list several answers with `|`, best first, where the contract leaves room.
//! Optional headers: `later: <what is missing>` (not found yet, and the test wants it to stay so until this line goes),
//! `after: T34` (that vector is played first on the same flow), `wire: swapped 7 5` (segments of 7 bytes in the order
//! 2, 1, 4, 3, ..., segment 5 again with other bytes).
//!
//! A block is one message of one side: `=== request` or `=== response`, options, lines, `=== end` (the next `===`
//! ends it as well). The line end before `===` is no part of it. Lines up to the first empty one are a head and end in
//! CRLF; the rest is the body. Options:
//!
//! | option | meaning |
//! |---|---|
//! | `raw` | no head: everything is body |
//! | `eol=lf`, `crlf`, `cr` | line ends inside the body; `lf` unless said |
//! | `utf16le` | the body is sent as UTF-16LE with a byte order mark |
//! | `chunks=3;x=y` | the body is sent in chunks of 3 bytes with this extension |
//! | `ws`, `ws=37fa213d` | the body is one WebSocket text message, masked with this key |
//! | `name=word` | a name, for sequences |
//!
//! In a body `<<hex 0d0a>>` stands for bytes, `<<repeat 200 A>>` for a text many times, `<<each 0 49 text %>>` for a
//! text once per number with `%` replaced by it.

use crate::{Direction, http, websocket};

/// One vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// `T01`, `L05`, `E30`.
    pub id: String,
    /// What it shows.
    pub shows: String,
    /// What the message is: `mcp`, `none`, or the name of its own event class.
    pub label: String,
    /// Confidences the contract allows: `confirmed`, `likely`, `possible`, `none`.
    pub confidence: Vec<String>,
    /// Classifications the contract allows: `shadow`, `unknown`, `look_alike`, `none`.
    pub classification: Vec<String>,
    /// Why these.
    pub why: String,
    /// What is missing before it can be found.
    pub later: Option<String>,
    /// The vector played before it on the same flow.
    pub after: Option<String>,
    /// Segment size and the segment sent twice, for the swapped order.
    pub swapped: Option<(usize, usize)>,
    /// The messages.
    pub blocks: Vec<Block>,
}

/// One message of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Name given in the file; may be empty.
    pub name: String,
    /// Who sends it.
    pub direction: Direction,
    /// The bytes on the wire.
    pub bytes: Vec<u8>,
}

impl Vector {
    /// Reads a vector file.
    ///
    /// # Errors
    ///
    /// What is wrong, with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (headers, blocks) = split(text);
        let (id, shows) = headers
            .first()
            .and_then(|(id, shows)| Some((id.clone(), shows.clone())).filter(|(id, _)| !id.is_empty()))
            .ok_or("line 1: `# id: what it shows` is missing")?;
        let get = |key: &str| headers.iter().skip(1).find(|(k, _)| k == key).map(|(_, v)| v.clone());
        let need = |key: &str| get(key).ok_or_else(|| format!("`# {key}:` is missing"));
        let list = |text: String| text.split('|').map(|word| word.trim().to_owned()).collect::<Vec<_>>();
        let swapped = match get("wire") {
            None => None,
            Some(text) => {
                let words: Vec<_> = text.split(' ').collect();
                match words[..] {
                    ["swapped", mss, again] => Some((number(mss)?, number(again)?)),
                    _ => return Err(format!("`# wire: {text}`: want `swapped <bytes> <segment>`")),
                }
            }
        };
        Ok(Self {
            id,
            shows,
            label: need("label")?,
            confidence: list(need("confidence")?),
            classification: list(need("classification")?),
            why: need("why")?,
            later: get("later"),
            after: get("after"),
            swapped,
            blocks: blocks.iter().map(|(options, lines)| block(options, lines)).collect::<Result<_, _>>()?,
        })
    }

    /// The bytes of each side, one entry a turn, as [`crate::Capture::play`] takes them.
    pub fn turns(&self) -> Vec<crate::Turn> {
        self.blocks.iter().map(|b| (b.direction, b.bytes.clone())).collect()
    }
}

/// `# key: value` lines, and blocks as (options, lines).
type Parts = (Vec<(String, String)>, Vec<(String, Vec<String>)>);

/// Splits a file into its headers and blocks; other lines outside blocks are skipped.
pub(crate) fn split(text: &str) -> Parts {
    let mut headers = Vec::new();
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("=== ") {
            open = rest.trim() != "end";
            if open {
                blocks.push((rest.trim().to_owned(), Vec::new()));
            }
        } else if open && let Some((_, lines)) = blocks.last_mut() {
            lines.push(line.to_owned());
        } else if let Some((key, value)) = line.strip_prefix('#').and_then(|rest| rest.split_once(':')) {
            headers.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    (headers, blocks)
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// Builds the bytes of a block.
pub(crate) fn block(options: &str, lines: &[String]) -> Result<Block, String> {
    let mut words = options.split(' ').filter(|word| !word.is_empty());
    let direction = match words.next() {
        Some("request") => Direction::ToServer,
        Some("response") => Direction::ToClient,
        other => return Err(format!("block `{}`: want request or response", other.unwrap_or(""))),
    };
    let (mut raw, mut eol, mut utf16, mut chunks, mut ws, mut name) = (false, "\n", false, None, None, String::new());
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match (key, value) {
            ("raw", "") => raw = true,
            ("eol", "lf") => eol = "\n",
            ("eol", "crlf") => eol = "\r\n",
            ("eol", "cr") => eol = "\r",
            ("utf16le", "") => utf16 = true,
            ("chunks", value) => {
                let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
                chunks = Some((number(&value[..digits])?, value[digits..].to_owned()));
            }
            ("ws", "") => ws = Some(None),
            ("ws", key) => ws = Some(Some(hex(key)?.try_into().map_err(|_| "a mask has 4 bytes".to_owned())?)),
            ("name", value) => value.clone_into(&mut name),
            _ => return Err(format!("option `{word}` is unknown")),
        }
    }
    let raw = raw || ws.is_some();
    let (head, body) = match lines.iter().position(String::is_empty) {
        _ if raw => (None, lines),
        Some(at) => (Some(&lines[..at]), &lines[at + 1..]),
        None => (Some(lines), &[][..]),
    };
    let mut body = expand(&body.join(eol))?;
    if utf16 {
        let text = String::from_utf8(body).map_err(|e| e.to_string())?;
        body = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    }
    if let Some((size, extension)) = chunks {
        body = http::chunks(&body, size, &extension);
    }
    if let Some(mask) = ws {
        body = websocket::frame(1, &body, mask);
    }
    let mut bytes = Vec::new();
    if let Some(head) = head {
        bytes = head.join("\r\n").into_bytes();
        bytes.extend_from_slice(b"\r\n\r\n");
    }
    bytes.extend_from_slice(&body);
    Ok(Block { name, direction, bytes })
}

/// Replaces the `<<...>>` forms.
fn expand(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<<") {
        out.extend_from_slice(before.as_bytes());
        let (form, tail) = after.split_once(">>").ok_or("`<<` without `>>`")?;
        rest = tail;
        let (kind, value) = form.split_once(' ').ok_or_else(|| format!("<<{form}>> has no value"))?;
        match kind {
            "hex" => out.extend_from_slice(&hex(value)?),
            "repeat" => {
                let (times, text) = value.split_once(' ').ok_or("<<repeat n text>>")?;
                out.extend_from_slice(text.repeat(number(times)?).as_bytes());
            }
            "each" => {
                let mut parts = value.splitn(3, ' ');
                let (Some(from), Some(to), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
                    return Err("<<each from to text>>".to_owned());
                };
                for n in number(from)?..=number(to)? {
                    out.extend_from_slice(text.replace('%', &n.to_string()).as_bytes());
                }
            }
            _ => return Err(format!("<<{kind} ...>> is unknown")),
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    if !text.len().is_multiple_of(2) {
        return Err("hex needs an even number of digits".to_owned());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("`{text}` is no hex"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(options: &str, text: &str) -> Vec<u8> {
        let lines: Vec<_> = text.split('\n').map(str::to_owned).collect();
        block(options, &lines).unwrap().bytes
    }

    #[test]
    fn heads_end_in_crlf_and_bodies_keep_their_own_line_ends() {
        assert_eq!(bytes("request", "GET / HTTP/1.1\nHost: a"), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(bytes("response", "A\n\nb\nc\n"), b"A\r\n\r\nb\nc\n");
        assert_eq!(bytes("response eol=crlf", "A\n\nb\n\n"), b"A\r\n\r\nb\r\n\r\n");
        assert_eq!(bytes("response eol=cr", "A\n\nb\nc"), b"A\r\n\r\nb\rc");
        assert_eq!(bytes("request raw", "a\n\nb"), b"a\n\nb");
    }

    #[test]
    fn forms_and_options_make_the_bytes_that_text_cannot_hold() {
        assert_eq!(bytes("request raw", "<<hex 00ff>>a<<repeat 3 xy>><<each 8 10 %,>>"), b"\x00\xffaxyxyxy8,9,10,");
        assert_eq!(bytes("request raw utf16le", "hi"), b"\xff\xfeh\0i\0");
        assert_eq!(bytes("request chunks=2;e", "A\n\nabc"), b"A\r\n\r\n2;e\r\nab\r\n1;e\r\nc\r\n0\r\n\r\n");
        assert_eq!(bytes("request ws=00000001", "ab"), b"\x81\x82\0\0\0\x01ab");
    }

    #[test]
    fn a_file_that_is_wrong_says_where() {
        for (text, want) in [
            ("", "line 1"),
            ("# T1: x\n", "`# label:` is missing"),
            (
                "# T1: x\n# label: a\n# confidence: a\n# classification: a\n# why: a\n=== reply\n",
                "want request or response",
            ),
            (
                "# T1: x\n# label: a\n# confidence: a\n# classification: a\n# why: a\n=== request up\n",
                "`up` is unknown",
            ),
            ("# T1: x\n# label: a\n# confidence: a\n# classification: a\n# why: a\n# wire: odd\n", "want `swapped"),
        ] {
            let error = Vector::parse(text).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn the_vectors_of_the_project_are_complete_and_their_lengths_are_right() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/vectors");
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.extension().is_none_or(|e| e != "http") {
                continue;
            }
            let vector =
                Vector::parse(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|e| panic!("{stem}: {e}"));
            assert_eq!(vector.id, stem);
            assert!(!vector.blocks.is_empty(), "{stem}");
            for confidence in &vector.confidence {
                assert!(["confirmed", "likely", "possible", "none"].contains(&confidence.as_str()), "{stem}");
            }
            for classification in &vector.classification {
                assert!(["shadow", "unknown", "look_alike", "none"].contains(&classification.as_str()), "{stem}");
            }
            for block in &vector.blocks {
                check_length(&stem, &block.bytes);
            }
            ids.push(stem);
        }
        ids.sort();
        let want: Vec<String> = [('E', 30), ('L', 25), ('T', 42)]
            .iter()
            .flat_map(|&(letter, last)| (1..=last).map(move |n| format!("{letter}{n:02}")))
            .collect();
        assert_eq!(ids, want);
    }

    /// A stated Content-Length is that of the body; a chunked body ends in its last chunk.
    fn check_length(id: &str, bytes: &[u8]) {
        let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n").filter(|_| !bytes.starts_with(b"PRI ")) else {
            return;
        };
        let head = String::from_utf8_lossy(&bytes[..at]).to_ascii_lowercase();
        let body = &bytes[at + 4..];
        let stated =
            head.lines().find_map(|l| l.strip_prefix("content-length:")).map(|v| v.trim().parse::<usize>().unwrap());
        if let Some(stated) = stated {
            assert_eq!(body.len(), stated, "{id}");
        } else if head.contains("transfer-encoding: chunked") {
            assert!(body.ends_with(b"0\r\n\r\n"), "{id}");
            let (size, rest) = body.split_at(body.windows(2).position(|w| w == b"\r\n").unwrap());
            let size = String::from_utf8_lossy(size);
            let size = usize::from_str_radix(size.split(';').next().unwrap(), 16).unwrap();
            assert_eq!(&rest[2 + size..2 + size + 2], b"\r\n", "{id}");
        } else {
            assert!(body.is_empty() || body.starts_with(b"POST "), "{id}: a body without a length");
        }
    }
}
