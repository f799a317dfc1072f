//! Changes of one JSON text in flight: data taken out, tools hidden, messages left out or replaced.
//!
//! Byte ranges are cut out and put in; whatever is not changed keeps its bytes, and what was valid JSON stays valid. All
//! of it reads a text as leniently as [`mcp::Reader`] does, by the same tokenizer, so that what a lenient receiver would
//! see is seen here. Nothing is kept between two calls.

mod events;
#[cfg(test)]
mod tests;

pub use events::{Splitter, data_of, with_data};

use crate::content::holds_data;
use crate::dlp::{ProfileSet, Profiles};
use mcp::{Limits, Reader, ToolClass, Value, Walker, utf8_form};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// Most values of one message that are kept beside the text, to find them again in its head.
const MAX_VALUES: usize = 64;
/// Longest of these, in bytes: as much as a field of a head has.
const MAX_VALUE: usize = 8 << 10;
/// Where a list of tools stands in an answer.
const TOOLS: &str = "/result/tools";
/// How long the list may be kept, and by whom, stands beside it (MCP 2026-07-28).
const CACHE_SCOPE: &str = "/result/cacheScope";

/// A message with data taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    /// The message.
    pub text: Vec<u8>,
    /// Values that were changed, unescaped, before and after: at most 64 of at most 8 KiB each.
    pub values: Vec<(String, String)>,
}

/// What becomes of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum New {
    /// It stays.
    Same,
    /// This stands in its place.
    Text(Vec<u8>),
    /// It is left out; of an array with its comma.
    Nothing,
}

/// `text` with every hit of `wanted` replaced by a marker such as `[redacted:payment-cards]`. `name` is that of the member
/// or field whose value it is. `None` where there is no hit.
pub fn redact_text(profiles: &Profiles, wanted: ProfileSet, name: &str, text: &str) -> Option<String> {
    let mut hits: Vec<(Range<usize>, u16)> = Vec::new();
    profiles.find_named(wanted, name, text, &mut |hit| match hits.last_mut() {
        // Hits come in the order of their starts. What overlaps becomes one.
        Some((last, _)) if hit.range.start < last.end => last.end = last.end.max(hit.range.end),
        _ => hits.push((hit.range, hit.profile)),
    });
    if hits.is_empty() {
        return None;
    }
    let mut new = String::with_capacity(text.len());
    let mut done = 0;
    for (range, profile) in hits {
        new.push_str(text.get(done..range.start).unwrap_or_default());
        push_marker(&mut new, profiles, profile);
        done = range.end;
    }
    new.push_str(text.get(done..).unwrap_or_default());
    Some(new)
}

fn push_marker(to: &mut String, profiles: &Profiles, profile: u16) {
    to.push_str("[redacted:");
    to.push_str(profiles.id(profile));
    to.push(']');
}

/// One message in UTF-8 with every hit of `wanted` in its values and member names replaced. A number that is a hit becomes
/// a string; what is too deep to be read value by value becomes a string as a whole. `None` where there is no hit.
pub fn redact(profiles: &Profiles, wanted: ProfileSet, message: &[u8]) -> Option<Redacted> {
    let mut cuts = Cuts::default();
    let mut values = Vec::new();
    // What comes behind the place where it stops being JSON is no message of anybody.
    let _ = Walker::default().walk(message, &mut |leaf| {
        let (Value::Text(text) | Value::Number(text) | Value::Deep(text)) = leaf.value else { return };
        if !holds_data(leaf) {
            return;
        }
        let name = leaf.path.member().unwrap_or_default();
        let Some(mut new) = redact_text(profiles, wanted, name, text) else { return };
        if matches!(leaf.value, Value::Deep(_)) {
            let mut first = None;
            profiles.find_named(wanted, name, text, &mut |hit| _ = first.get_or_insert(hit.profile));
            new.clear();
            if let Some(profile) = first {
                push_marker(&mut new, profiles, profile);
            }
        } else if !leaf.is_name && text.len() <= MAX_VALUE && values.len() < MAX_VALUES {
            values.push((text.to_owned(), new.clone()));
        }
        cuts.replace(leaf.range.clone(), json_string(&new));
    });
    (!cuts.is_empty()).then(|| Redacted { text: cuts.apply(message), values })
}

/// One answer in UTF-8 without those of its tools that are `hidden`, by one of the names they have and what they say they
/// do, and never to be kept for others than who asked. `None` where it has no such tool. Where a name is offered several
/// times the worst counts for all.
pub fn filter_tools(answer: &[u8], hidden: &mut dyn FnMut(&str, ToolClass) -> bool) -> Option<Vec<u8>> {
    let mut walker = Walker::default();
    let mut worst: HashMap<String, ToolClass> = HashMap::new();
    let mut learn = |tool: mcp::Tool| {
        for name in tool.names {
            let class = worst.entry(name).or_default();
            *class = tool.class.max(*class);
        }
    };
    let _ = walker.removals(answer, &mut |path| path.is(TOOLS), &mut |_, tool| {
        mcp::read_tool(tool).into_iter().for_each(&mut learn);
        false
    });
    let removals = walker.removals(answer, &mut |path| path.is(TOOLS), &mut |_, tool| {
        // Of members of one name some receivers keep the first, and some the last.
        let names = mcp::read_tool(tool).map(|tool| tool.names).unwrap_or_default();
        names.iter().any(|name| hidden(name, worst.get(name).copied().unwrap_or_default()))
    });
    let removals = removals.ok().filter(|removals| !removals.is_empty())?;
    let mut cuts = Cuts::default();
    for range in removals {
        cuts.replace(range, Vec::new());
    }
    let _ = walker.walk(answer, &mut |leaf| {
        if !leaf.is_name && leaf.path.is(CACHE_SCOPE) && leaf.value != Value::Text("private") {
            cuts.replace(leaf.range.clone(), b"\"private\"".to_vec());
        }
    });
    Some(cuts.apply(answer))
}

/// Whether an answer may list tools that [`filter_tools`] would be asked about.
pub fn lists_tools(message: &mcp::Message) -> bool {
    message.result.as_ref().is_some_and(|result| result.tools_array || !result.tools.is_empty())
}

/// `text` with some of its messages changed. `offsets` are those of messages as they were read from it, ascending; `change`
/// is given the index of each among these, and the message in UTF-8. What was in another form of Unicode becomes UTF-8 if
/// anything is changed.
///
/// `None` where one of them is not found: then nothing can be said of what is in it.
pub fn change(text: &[u8], offsets: &[u64], change: &mut dyn FnMut(usize, &[u8]) -> New) -> Option<Changed> {
    let narrow = utf8_form(text);
    let places = places(text, &narrow, offsets)?;
    let mut cuts = Cuts::default();
    let mut gone: Vec<Range<usize>> = Vec::new();
    for (index, place) in places.into_iter().enumerate() {
        match change(index, narrow.get(place.clone())?) {
            New::Same => {}
            New::Text(new) => cuts.replace(place, new),
            New::Nothing => gone.push(place),
        }
    }
    if cuts.is_empty() && gone.is_empty() {
        return Some(Changed::No);
    }
    if !gone.is_empty() {
        for range in left_out(&narrow, &mut gone)? {
            cuts.replace(range, Vec::new());
        }
    }
    Some(Changed::To(cuts.apply(&narrow)))
}

/// What [`change`] made of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It stays as it is.
    No,
    /// It is this.
    To(Vec<u8>),
}

/// Where the messages at `offsets` of `text` stand in its UTF-8 form.
fn places(text: &[u8], narrow: &[u8], offsets: &[u64]) -> Option<Vec<Range<usize>>> {
    let range = |(offset, len): (u64, u64)| {
        let from = usize::try_from(offset).ok()?;
        Some(from..from.checked_add(usize::try_from(len).ok()?)?)
    };
    let here = messages(narrow);
    let there = if matches!(utf8_form(text), Cow::Borrowed(_)) { None } else { Some(messages(text)) };
    let there = there.as_ref().unwrap_or(&here);
    if there.len() != here.len() {
        return None;
    }
    let mut all = there.iter().zip(&here);
    offsets
        .iter()
        .map(|offset| all.find(|(place, _)| place.0 == *offset).and_then(|(_, place)| range(*place)))
        .collect()
}

/// Offset and length of every message in a text.
fn messages(text: &[u8]) -> Vec<(u64, u64)> {
    let limits = Limits { text: 0, list: 0, arguments: 0 };
    let mut reader = Reader::new();
    let mut found = Vec::new();
    reader.feed(&limits, text, &mut |message| found.push((message.offset, message.bytes)));
    reader.finish(&mut |message| found.push((message.offset, message.bytes)));
    found
}

/// What to take out so that the values at `gone` are no more.
fn left_out(text: &[u8], gone: &mut Vec<Range<usize>>) -> Option<Vec<Range<usize>>> {
    let base = text.as_ptr().addr();
    let removals = Walker::default().removals(text, &mut |path| path.is_empty(), &mut |_, element| {
        let from = element.as_ptr().addr().wrapping_sub(base);
        let found = gone.iter().position(|range| range.start == from);
        found.inspect(|at| _ = gone.swap_remove(*at)).is_some()
    });
    let mut removals = removals.ok()?;
    // Those that are in no array stand alone.
    removals.append(gone);
    Some(removals)
}

/// A text as a JSON string (RFC 8259 section 7).
fn json_string(text: &str) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut json = Vec::with_capacity(text.len() + 2);
    json.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => json.extend([b'\\', byte]),
            0..=0x1f => {
                let digit = |half: u8| HEX.get(usize::from(half)).copied().unwrap_or(b'0');
                json.extend([b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
            byte => json.push(byte),
        }
    }
    json.push(b'"');
    json
}

/// Ranges of a text and what comes in their place.
#[derive(Debug, Default)]
struct Cuts(Vec<(Range<usize>, Vec<u8>)>);

impl Cuts {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn replace(&mut self, range: Range<usize>, new: Vec<u8>) {
        self.0.push((range, new));
    }

    fn apply(mut self, text: &[u8]) -> Vec<u8> {
        self.0.sort_by_key(|(range, _)| range.start);
        let more: usize = self.0.iter().map(|(_, new)| new.len()).sum();
        let mut changed = Vec::with_capacity(text.len() + more);
        let mut done = 0;
        for (range, new) in self.0 {
            changed.extend_from_slice(text.get(done..range.start).unwrap_or_default());
            changed.extend_from_slice(&new);
            done = range.end;
        }
        changed.extend_from_slice(text.get(done..).unwrap_or_default());
        changed
    }
}
