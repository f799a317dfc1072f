//! Entry points for fuzzing; also run over the vectors by a stable test.

use proto::{Field, Headers, RequestHead, ResponseHead};

use crate::{
    BodyKind, Document, Limits, MAX_ARGUMENTS, MAX_LIST, MAX_PROVIDER_CALLS, MAX_PROVIDER_SERVERS, MAX_TEXT, Message,
    Reader, Walker, endpoint_url, header_mismatch, judge, request_facts, response_facts, supply, utf8_form,
};

fn read(pieces: &[&[u8]]) -> (Vec<Message>, BodyKind, Document) {
    let mut reader = Reader::new();
    reader.expect_provider(true);
    let mut messages = Vec::new();
    for piece in pieces {
        reader.feed(&Limits::default(), piece, &mut |m| messages.push(m));
    }
    let kind = reader.finish(&mut |m| messages.push(m));
    (messages, kind, reader.document().clone())
}

/// Reads `data` whole and cut (the first byte says where), which must give the same; and with a gap.
#[doc(hidden)]
pub fn fuzz_json(data: &[u8]) {
    let Some((&step, body)) = data.split_first() else {
        return;
    };
    let whole = read(&[body]);
    let pieces: Vec<&[u8]> = body.chunks(usize::from(step % 32) + 1).collect();
    assert_eq!(whole, read(&pieces), "cutting changed the result");
    if let Some(provider) = &whole.2.provider {
        assert!(provider.servers.len() <= MAX_PROVIDER_SERVERS, "servers outgrew their limit");
        assert!(
            provider.calls.len().max(provider.tools_listed.len()) <= MAX_PROVIDER_CALLS,
            "calls outgrew their limit"
        );
    }
    for m in &whole.0 {
        let _ = judge(m);
        assert!(m.evidence.excerpt.len() <= 150, "excerpt outgrew its limit");
        assert!(m.method.as_ref().is_none_or(|t| t.len() <= MAX_TEXT), "method outgrew its limit");
        if let Some(arguments) = m.params.as_ref().and_then(|p| p.arguments.as_ref()) {
            assert!(arguments.masked.len() <= MAX_ARGUMENTS, "arguments outgrew their limit");
        }
        if let Some(outcome) = &m.result {
            assert!(outcome.tools.len() <= MAX_LIST, "list outgrew its limit");
        }
    }
    let (head, tail) = body.split_at(body.len() / 2);
    let mut reader = Reader::new();
    let mut count = 0;
    reader.feed(&Limits::default(), head, &mut |_| count += 1);
    reader.gap(1, &mut |_| count += 1);
    reader.feed(&Limits::default(), tail, &mut |_| count += 1);
    reader.finish(&mut |_| count += 1);
    assert!(count <= whole.0.len() + 1, "a gap made up messages");
}

/// Walks `data`: ranges lie inside and in order, a pointer leads back to its leaf, and what is left of a list is whole.
#[doc(hidden)]
pub fn fuzz_walk(data: &[u8]) {
    let text = utf8_form(data);
    let mut walker = Walker::default();
    let mut last = 0;
    let walked = walker.walk(&text, &mut |leaf| {
        assert!(last <= leaf.range.start && leaf.range.end <= text.len(), "a range is out of order");
        assert!(!leaf.range.is_empty(), "a leaf without bytes");
        last = leaf.range.end;
        let pointer = leaf.path.to_string();
        assert!(leaf.path.is(&pointer) && leaf.path.is_within(&pointer), "a pointer leads elsewhere");
    });
    assert!(walked.is_ok_and(|()| true) || walked.is_err_and(|broken| broken.at <= text.len()), "broken outside");
    let mut elements = 0_usize;
    let removed = walker.removals(&text, &mut |_| true, &mut |index, _| {
        elements += 1;
        index.is_multiple_of(2)
    });
    let Ok(cuts) = removed else { return };
    assert!(cuts.len() <= elements, "more cuts than elements");
    let (mut left, mut from) = (Vec::new(), 0);
    for cut in &cuts {
        left.extend_from_slice(text.get(from..cut.start).unwrap_or_default());
        from = cut.end;
    }
    left.extend_from_slice(text.get(from..).unwrap_or_default());
    if walked.is_ok() {
        assert!(walker.walk(&left, &mut |_| {}).is_ok(), "what is left is no JSON");
    }
}

/// Reads `data` as lines `name: value`, the first being the target, as a request and as a response.
#[doc(hidden)]
pub fn fuzz_headers(data: &[u8]) {
    let mut lines = data.split(|b| *b == b'\n');
    let target = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let owned: Vec<(String, &[u8])> = lines
        .map(|line| {
            let at = line.iter().position(|b| *b == b':').unwrap_or(line.len());
            let (name, value) = line.split_at(at);
            let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
            (String::from_utf8_lossy(name).into_owned(), value)
        })
        .collect();
    let fields: Vec<Field<'_>> = owned.iter().map(|(name, value)| Field { name, value }).collect();
    let headers = Headers(&fields);
    let request = RequestHead { method: "POST", target: &target, version: "1.1", headers, via_connect: None };
    let facts = request_facts(&request);
    assert!(facts.path.clean.len() <= 1024 && facts.path.normal.len() <= 1024, "path outgrew its limit");
    assert!(!header_mismatch(&facts, &Message::default()), "an empty message contradicts nothing");
    let _ = response_facts(&ResponseHead { status: 401, version: "1.1", headers });
    let _ = supply(&request);
    let _ = endpoint_url("host.example", &target, &target);
}
