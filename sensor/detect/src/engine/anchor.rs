//! Picks a rare literal of each pattern.
//!
//! A searcher that compares many bytes at a time looks for these anchors; the table walks only near them. Speed
//! hangs on the choice: `"method"` stands in every JSON-RPC message and much else besides, `"tools/call"` does not.

use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Class, Hir, HirKind};
use std::sync::LazyLock;

/// Shortest anchor, in bytes. The searcher works best with four.
pub(super) const MIN_LEN: usize = 3;
/// Longest anchor, in bytes: more would not make it rarer.
const MAX_LEN: usize = 8;
/// Most anchors of one pattern.
const MAX_ANCHORS: usize = 16;
/// Parts of a pattern looked at from each place on; bounds the work for long patterns.
const MAX_RUN: usize = 6;
/// Below this rarity, in bits, an anchor is called common.
const RARE_BITS: u32 = 14;
/// Above this, rarer does not help.
const ENOUGH_BITS: u32 = 18;
/// A pattern that can begin with more bytes than this is hardly ever idle, so that skipping to anchors gains nothing.
const MAX_FIRST_BYTES: usize = 64;

/// What bodies are full of. An anchor in here is found too often to be worth much.
const COMMON: &[u8] = b"\"jsonrpc\":\"2.0\",\"method\":\"params\":{\"result\":{\"error\":{\"name\":\"type\":\"text\",\
    \"content\":[\"id\":\"version\":\"description\":\"status\":\"message\":\"value\":\"title\":\"data\":[\"model\":\
    \"role\":\"user\",\"assistant\"\"arguments\":{\"input\":\"output\":\"items\":\"properties\":\"object\"\"string\"\
    \"https://www.http://<div class=\"</span></div><script src=\"<a href=\"</script></a></li>application/json\
    \"resources\":\"prompts\":\"tools\":\"completion_tokens\":\"completions\"\"notifications\":\"messages\":[\"list\":\
    text/html charset=utf-8 function return null,true,false, .com/ .org/ the and that with server list call logging \
    tools resources prompts roots messages notifications specifications completion version initialize sampling create ";

/// Literals one of which every match contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Anchors {
    pub(super) literals: Vec<Vec<u8>>,
    /// Most bytes from the start of a match to the end of the anchor in it.
    pub(super) lead: usize,
    /// About how many bits rarer than nothing the commonest of them is.
    pub(super) bits: u32,
}

impl Anchors {
    pub(super) const fn is_rare(&self) -> bool {
        self.bits >= RARE_BITS
    }

    /// Among anchors that are rare enough the one nearest to the start of the match wins: each piece of a body costs
    /// a walk over `lead` bytes.
    fn better_than(&self, other: Option<&Self>) -> bool {
        let enough = |anchors: &Self| anchors.bits.min(ENOUGH_BITS);
        other.is_none_or(|other| (enough(self), other.lead, self.bits) > (enough(other), self.lead, other.bits))
    }
}

/// Judges a set of literals, each with the most bytes that can stand between the start of a match and it.
type Rate<'a> = dyn FnMut(&[&[u8]], &[usize]) -> Option<Anchors> + 'a;

/// The best anchors of a bounded pattern; `None` where it has to be walked byte by byte.
pub(super) fn choose(hir: &Hir) -> Option<Anchors> {
    if first_bytes(hir).into_iter().filter(|&b| b).count() > MAX_FIRST_BYTES {
        return None;
    }
    required(hir)
}

/// The best anchors of a bounded pattern, however often it could begin.
pub(super) fn required(hir: &Hir) -> Option<Anchors> {
    best(hir, &mut |set, places| {
        let mut anchors = Anchors { literals: Vec::with_capacity(set.len()), lead: 0, bits: u32::MAX };
        for (literal, place) in set.iter().zip(places) {
            let (from, to) = rarest(literal);
            let piece = literal.get(from..to).filter(|piece| piece.len() >= MIN_LEN)?;
            anchors.bits = anchors.bits.min(bits(piece));
            anchors.lead = anchors.lead.max(place + to);
            anchors.literals.push(piece.to_vec());
        }
        anchors.literals.sort();
        anchors.literals.dedup();
        // Sixteen anchors are found more often than one, and crowd the searcher.
        anchors.bits = anchors.bits.saturating_sub(u32::try_from(anchors.literals.len() - 1).unwrap_or(u32::MAX));
        Some(anchors)
    })
}

/// The rule's own choice; `None` where some match would lack it.
pub(super) fn named(hir: &Hir, anchor: &[u8]) -> Option<Anchors> {
    if anchor.len() < MIN_LEN {
        return None;
    }
    best(hir, &mut |set, places| {
        let mut lead = 0;
        for (literal, place) in set.iter().zip(places) {
            let at = memchr::memmem::find(literal, anchor)?;
            lead = lead.max(place + at + anchor.len());
        }
        Some(Anchors { literals: vec![anchor.to_vec()], lead, bits: bits(anchor) })
    })
}

/// Offers each set of literals that every match contains one of, with the most bytes that can stand between the start
/// of a match and the literal, to `rate`; gives the best answer.
fn best(hir: &Hir, rate: &mut Rate<'_>) -> Option<Anchors> {
    let mut found: Option<Anchors> = None;
    let mut offer = |candidate: Option<Anchors>| {
        if let Some(candidate) = candidate
            && candidate.better_than(found.as_ref())
        {
            found = Some(candidate);
        }
    };
    let whole = std::slice::from_ref(hir);
    let parts = if let HirKind::Concat(parts) = hir.kind() { parts.as_slice() } else { whole };
    let mut before = 0_usize;
    for (index, part) in parts.iter().enumerate() {
        let width = part.properties().maximum_len()?;
        let after = before.saturating_add(width);
        let run = |from: usize, to: usize| Hir::concat(parts.get(from..to).unwrap_or_default().to_vec());
        // Literals at the front of what begins here, and at the back of what ends here.
        let ahead = run(index, (index + MAX_RUN).min(parts.len()));
        offer(literals(&ahead, ExtractKind::Prefix).and_then(|set| {
            let set: Vec<&[u8]> = set.iter().map(Vec::as_slice).collect();
            rate(&set, &vec![before; set.len()])
        }));
        let behind = run((index + 1).saturating_sub(MAX_RUN), index + 1);
        offer(literals(&behind, ExtractKind::Suffix).and_then(|set| {
            let set: Vec<&[u8]> = set.iter().map(Vec::as_slice).collect();
            let places: Vec<usize> = set.iter().map(|literal| after.saturating_sub(literal.len())).collect();
            rate(&set, &places)
        }));
        // Each branch of an alternative may have its own.
        if let HirKind::Alternation(branches) = part.kind() {
            offer(union(branches, before, rate));
        }
        before = after;
    }
    found
}

fn union(branches: &[Hir], before: usize, rate: &mut Rate<'_>) -> Option<Anchors> {
    let mut all = Anchors { literals: Vec::new(), lead: 0, bits: u32::MAX };
    for branch in branches {
        let one = best(branch, rate)?;
        all.lead = all.lead.max(before.saturating_add(one.lead));
        all.bits = all.bits.min(one.bits);
        all.literals.extend(one.literals);
    }
    all.literals.sort();
    all.literals.dedup();
    (all.literals.len() <= MAX_ANCHORS).then_some(all)
}

fn literals(hir: &Hir, kind: ExtractKind) -> Option<Vec<Vec<u8>>> {
    let mut extractor = Extractor::new();
    extractor.kind(kind).limit_total(MAX_ANCHORS).limit_class(MAX_ANCHORS).limit_literal_len(64);
    let set: Vec<Vec<u8>> = extractor.extract(hir).literals()?.iter().map(|l| l.as_bytes().to_vec()).collect();
    (!set.is_empty() && set.len() <= MAX_ANCHORS && set.iter().all(|l| l.len() >= MIN_LEN)).then_some(set)
}

/// The stretch of a literal that begins with its four rarest bytes in a row.
fn rarest(literal: &[u8]) -> (usize, usize) {
    let last = literal.len().saturating_sub(4);
    let stretch = |from: usize| (from, (from + MAX_LEN).min(literal.len()));
    let rate = |&from: &usize| {
        let (from, to) = stretch(from);
        let piece = literal.get(from..to).unwrap_or_default();
        // The searcher's first look is at four bytes; ties go to the earlier place, for a shorter way from the start.
        (bits(piece), bits(piece.get(..4).unwrap_or(piece)), usize::MAX - from)
    };
    stretch((0..=last).max_by_key(rate).unwrap_or(0))
}

/// How rare a literal is, in bits and very roughly: letters follow from each other, other bytes less so.
fn bits(literal: &[u8]) -> u32 {
    let sum: u32 = literal.iter().map(|&byte| byte_bits(byte)).sum();
    // Asked some ten thousand times while rules load: most literals hold a pair of bytes that is not common.
    let common = pairs(literal).all(is_common) && memchr::memmem::find(COMMON, &literal.to_ascii_lowercase()).is_some();
    if common { sum / 4 } else { sum }
}

/// Each two bytes that follow each other, in small letters.
fn pairs(text: &[u8]) -> impl Iterator<Item = u16> {
    let small = |bytes: [&u8; 2]| u16::from_be_bytes(bytes.map(u8::to_ascii_lowercase));
    text.iter().zip(text.iter().skip(1)).map(move |(first, second)| small([first, second]))
}

/// Whether these two bytes follow each other in [`COMMON`].
fn is_common(pair: u16) -> bool {
    static PAIRS: LazyLock<Vec<u64>> = LazyLock::new(|| {
        let mut set = vec![0; 1 << 10];
        for pair in pairs(COMMON) {
            set.iter_mut().skip(usize::from(pair >> 6)).take(1).for_each(|word| *word |= 1 << (pair & 63));
        }
        set
    });
    PAIRS.get(usize::from(pair >> 6)).is_some_and(|word| word >> (pair & 63) & 1 == 1)
}

const fn byte_bits(byte: u8) -> u32 {
    match byte {
        b' ' | b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' => 2,
        b'j' | b'q' | b'x' | b'z' | b'k' | b'v' | b'_' | b'A'..=b'Z' => 5,
        b'a'..=b'z' => 3,
        b'!'..=b'~' | b'\t' | b'\n' | b'\r' => 4,
        _ => 6,
    }
}

/// Which bytes a match can begin with.
fn first_bytes(hir: &Hir) -> [bool; 256] {
    let mut set = [false; 256];
    collect_first(hir, &mut set);
    set
}

fn collect_first(hir: &Hir, set: &mut [bool; 256]) {
    let mut range = |low: u8, high: u8| {
        for byte in low..=high {
            if let Some(slot) = set.get_mut(usize::from(byte)) {
                *slot = true;
            }
        }
    };
    match hir.kind() {
        HirKind::Literal(literal) => {
            if let Some(&byte) = literal.0.first() {
                range(byte, byte);
            }
        }
        HirKind::Class(Class::Bytes(class)) => class.iter().for_each(|r| range(r.start(), r.end())),
        HirKind::Class(Class::Unicode(class)) => {
            for r in class.iter() {
                range(u8::try_from(r.start()).unwrap_or(u8::MAX), u8::try_from(r.end()).unwrap_or(u8::MAX));
            }
        }
        HirKind::Repetition(repetition) => collect_first(&repetition.sub, set),
        HirKind::Capture(capture) => collect_first(&capture.sub, set),
        HirKind::Alternation(branches) => branches.iter().for_each(|branch| collect_first(branch, set)),
        HirKind::Concat(parts) => {
            for part in parts {
                collect_first(part, set);
                if part.properties().minimum_len() != Some(0) {
                    break;
                }
            }
        }
        HirKind::Empty | HirKind::Look(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Pattern;
    use crate::engine::pattern::Kind;

    fn of(text: &str, nocase: bool) -> Option<(Vec<String>, usize, bool)> {
        let Kind::Expression(hir) = Pattern::streamed(text, nocase).unwrap().kind else { panic!("an expression") };
        choose(&hir).map(|a| {
            let literals = a.literals.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect();
            (literals, a.lead, a.is_rare())
        })
    }

    #[test]
    fn the_anchor_is_the_value_and_not_the_key() {
        for text in [
            r#""method"\s{0,5}:\s{0,5}"initialize""#,
            r#""method"\s{0,5}:\s{0,5}"tools/call""#,
            r#""method"\s{0,5}:\s{0,5}"sampling/createMessage""#,
            r#""protocolVersion"\s{0,5}:\s{0,5}"202[4-9]"#,
        ] {
            let (literals, lead, rare) = of(text, false).unwrap();
            assert!(rare && literals.len() == 1 && lead < 48, "{text}: {literals:?}, {lead}");
            assert!(!literals[0].contains("meth"), "{text}: {literals:?}");
        }
    }

    #[test]
    fn each_branch_of_an_alternative_brings_its_own_anchor() {
        let (literals, _, _) = of(r#""method":\s{0,5}"prompts/(list|get)""#, false).unwrap();
        assert!(literals.len() <= 2, "{literals:?}");
        let (literals, lead, _) = of(r"x[0-9]{1,3}(?:alpha[0-9]{0,9}|beta[0-9])", false).unwrap();
        assert_eq!(literals.len(), 2, "{literals:?}");
        assert_eq!(lead, 1 + 3 + 5);
    }

    #[test]
    fn a_pattern_that_begins_with_anything_has_none() {
        assert_eq!(of("[^x]{1,9}tools/call", false), None);
        assert_eq!(of("[0-9]{3}", false), None);
    }

    #[test]
    fn letter_case_costs_anchors_but_not_all_of_them() {
        let (literals, _, _) = of("modelcontextprotocol", true).unwrap();
        assert!((2..=16).contains(&literals.len()), "{literals:?}");
    }

    #[test]
    fn a_named_anchor_must_stand_in_every_match() {
        let Kind::Expression(hir) =
            Pattern::streamed(r#""method":\s{0,5}"(?:tools/call|tools/list)""#, false).unwrap().kind
        else {
            panic!("an expression")
        };
        assert_eq!(named(&hir, b"tools/").unwrap().lead, 9 + 5 + 7);
        assert_eq!(named(&hir, b"call"), None);
        assert_eq!(named(&hir, b"to"), None, "too short");
    }
}
