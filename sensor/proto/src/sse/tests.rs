use super::fuzz::{Owned, Seen, fuzz_sse, read};
use super::{MAX_ID, MAX_NAME, Parser};
use proptest::collection::vec;
use proptest::prelude::*;

fn event(name: &str, data: &str) -> Owned {
    Owned { name: name.into(), data: Some(data.into()), ..Owned::default() }
}

#[track_caller]
fn check(stream: &str, want: &[Owned]) {
    assert_eq!(read([stream.as_bytes()]), want, "{stream:?}");
}

#[test]
fn streams_are_read_as_the_standard_says() {
    let message = |data| event("message", data);
    let cut = |data| Owned { cut: true, ..event("message", data) };
    let id = |id: &str, data| Owned { id: Some(id.into()), ..event("message", data) };
    // The examples of WHATWG HTML §9.2.6.
    check(
        "data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n",
        &[message("This is the first message."), message("This is the second message, it\nhas two lines.")],
    );
    check(
        "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
        &[event("add", "73857293"), event("remove", "2153")],
    );
    check(
        ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
        &[id("1", "first event"), id("", "second event"), cut(" third event")],
    );
    check("data\n\ndata\ndata\n\ndata:", &[message(""), message("\n"), cut("")]);
    check("data:test\n\ndata: test\n\n", &[message("test"), message("test")]);
    // Line ends.
    check("data: a\rdata: b\r\ndata: c\n\r\ndata: d\r\r", &[message("a\nb\nc"), message("d")]);
    check("data: a\r\n\r\n\r\n\n\r", &[message("a")]);
    // Fields.
    check("\u{feff}data: a\n\n\u{feff}data: b\n\n", &[message("a")]);
    check("data: a\nevent: x\nevent: y\n\n", &[event("y", "a")]);
    check("data: a\nevent: x\nevent\n\n", &[message("a")]);
    check("data : a\nDATA: a\ndatax: b\ndat: c\n\n", &[]);
    check("data: a:b: c\n\n", &[message("a:b: c")]);
    check("id: 1\nid: 2\0\ndata: a\n\n", &[id("1", "a")]);
    check("retry: 15x\nretry: 3000\nretry:\ndata: a\n\n", &[Owned { retry: Some(3000), ..message("a") }]);
    check("retry: 99999999999999999999999\n\n", &[]);
    // A priming event, as MCP servers send it, and one without data at all.
    check("id: 7\ndata:\n\n", &[id("7", "")]);
    check("id: 7\nretry: 10\n\n", &[Owned { id: Some(b"7".to_vec()), retry: Some(10), data: None, ..message("") }]);
    // Ends.
    check("data: a\nevent: b", &[cut("a")]);
    check("dat", &[]);
    check("", &[]);
    check("\u{feff}", &[]);
}

#[test]
fn names_and_ids_are_kept_up_to_their_limit() {
    let name = "n".repeat(MAX_NAME);
    let id = "i".repeat(MAX_ID);
    let long = format!("event: {name}x\nid: {id}x\ndata: a\n\nevent: {name}\nid: {id}\ndata: b\n\n");
    let want = |data| Owned { id: Some(id.clone().into()), ..event(&name, data) };
    check(&long, &[want("a"), want("b")]);
    let mut parser = Parser::new();
    parser.feed(long.as_bytes(), &mut Seen::default());
    assert_eq!(parser.stats().clipped, 1);
}

#[test]
fn a_gap_loses_the_event_it_falls_into_and_no_other() {
    for (before, after, want) in [
        ("data: a\n\ndata: b", "lost\ndata: x\n\ndata: c\n\n", &["a", "b", "c"][..]),
        ("data: a\n\n", "\n\ndata: c\n\n", &["a", "c"]),
        ("data: a\r\n\r\n", "\r\n\r\ndata: c\r\n\r\n", &["a", "c"]),
        ("data: a\n\n", "data: x\n\ndata: c\n\n", &["a", "c"]),
        ("", "data: x", &[]),
    ] {
        let (mut parser, mut seen) = (Parser::new(), Seen::default());
        parser.feed(before.as_bytes(), &mut seen);
        parser.gap(&mut seen);
        parser.feed(after.as_bytes(), &mut seen);
        parser.finish(&mut seen);
        let data: Vec<_> = seen.events.iter().map(|e| String::from_utf8(e.data.clone().unwrap()).unwrap()).collect();
        assert_eq!(data, want, "{before:?} gap {after:?}");
        assert_eq!(parser.stats().cut, u64::from(want.len() == 3));
    }
}

/// The standard, on a whole text: first all lines, then each line on its own.
fn reference(stream: &[u8]) -> Vec<Owned> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut lines = vec![Vec::new()];
    let mut bytes = stream.iter().peekable();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\n' => lines.push(Vec::new()),
            b'\r' => {
                bytes.next_if_eq(&&b'\n');
                lines.push(Vec::new());
            }
            _ => lines.last_mut().unwrap().push(byte),
        }
    }
    let unfinished = lines.pop().unwrap();
    let mut events = Vec::new();
    let mut now = Owned::default();
    for line in lines {
        if line.is_empty() {
            events.push(std::mem::take(&mut now));
            continue;
        }
        let colon = line.iter().position(|&b| b == b':');
        let (field, value) = colon.map_or((&line[..], &b""[..]), |at| (&line[..at], &line[at + 1..]));
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => match &mut now.data {
                Some(data) => data.extend([b"\n", value].concat()),
                None => now.data = Some(value.to_vec()),
            },
            b"event" => now.name = value.to_vec(),
            b"id" if !value.contains(&0) => now.id = Some(value.to_vec()),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                now.retry = str::from_utf8(value).unwrap().parse().ok().or(now.retry);
            }
            _ => {}
        }
    }
    if let Some(data) = unfinished.strip_prefix(b"data:") {
        let data = data.strip_prefix(b" ").unwrap_or(data);
        now.data = Some(now.data.map_or(data.to_vec(), |before| [&before, &b"\n"[..], data].concat()));
    }
    events.push(Owned { cut: true, ..now });
    // A name alone is seen too, but an empty one is as good as none: such events differ and are left out.
    events.retain(|e| e.data.is_some() || e.id.is_some() || e.retry.is_some() || !e.name.is_empty());
    for event in &mut events {
        if event.name.is_empty() {
            event.name = b"message".to_vec();
        }
    }
    events
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just("data"),
        Just("data:"),
        Just("data: "),
        Just("event:"),
        Just("event: e"),
        Just("id: 1"),
        Just("id"),
        Just("retry: 5"),
        Just(":"),
        Just(" "),
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just("\n\n"),
        Just("\0"),
        Just("\u{feff}"),
        Just("x"),
        Just("{}"),
        Just("é"),
    ];
    vec(word, 0..40).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #[test]
    fn cutting_the_stream_elsewhere_changes_nothing(stream in stream(), pieces in vec(1_usize..9, 0..40)) {
        let mut cut = Vec::new();
        let mut rest = &stream[..];
        for n in pieces {
            let (head, tail) = rest.split_at(n.min(rest.len()));
            cut.push(head);
            rest = tail;
        }
        cut.push(rest);
        prop_assert_eq!(read(cut), read([&stream[..]]));
    }

    #[test]
    fn the_parser_agrees_with_the_standard(stream in stream()) {
        let mut seen = read([&stream[..]]);
        seen.retain(|e| e.data.is_some() || e.id.is_some() || e.retry.is_some() || e.name != b"message");
        prop_assert_eq!(seen, reference(&stream));
    }

    #[test]
    fn no_bytes_break_the_parser(data in vec(any::<u8>(), 0..300)) {
        fuzz_sse(&data);
    }
}
