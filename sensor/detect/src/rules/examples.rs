//! Rules prove themselves: their examples, run the way traffic runs.

use super::field::{Field, Shape};
use super::set::{BodyState, Kind, RuleSet, Signature};
use crate::engine::{Cost, Scratch};
use crate::signal::Side;

/// A body example is cut in two at no more places than this.
const MAX_CUTS: usize = 512;

/// An example that does not do what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleFailure {
    /// Index of the signature.
    pub signature: u32,
    /// Its id.
    pub id: String,
    /// The file.
    pub file: String,
    /// Line of the example.
    pub line: u32,
    /// The example.
    pub text: String,
    /// What it should have done.
    pub hit: bool,
    /// What happened instead, for people.
    pub why: String,
}

/// How one signature is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternReport {
    /// Index of the signature.
    pub signature: u32,
    /// Its id.
    pub id: String,
    /// The field.
    pub on: Field,
    /// What it costs.
    pub cost: Cost,
    /// The literals that lead to it; empty where every byte is walked.
    pub anchors: Vec<String>,
    /// Longest match, in bytes; `None` where there is no bound, which only short fields may have.
    pub bound: Option<usize>,
}

/// Runs every example of the signatures in force; bodies whole and cut in two at every place.
pub fn run_examples(rules: &RuleSet) -> Vec<ExampleFailure> {
    let mut failures = Vec::new();
    let mut scratch = Scratch::default();
    for (index, signature) in (0_u32..).zip(rules.signatures()) {
        if !signature.enabled {
            continue;
        }
        for example in &signature.examples {
            if let Err(why) = run(rules, index, signature, &example.text, example.hit, &mut scratch) {
                failures.push(ExampleFailure {
                    signature: index,
                    id: signature.id.clone(),
                    file: signature.file.clone(),
                    line: example.line,
                    text: example.text.clone(),
                    hit: example.hit,
                    why,
                });
            }
        }
    }
    failures
}

fn run(
    rules: &RuleSet,
    index: u32,
    signature: &Signature,
    text: &str,
    want: bool,
    scratch: &mut Scratch,
) -> Result<(), String> {
    let judge = |found: bool, how: &str| match (found, want) {
        (true, false) => Err(format!("hits{how} and should not")),
        (false, true) => Err(format!("does not hit{how}")),
        _ => Ok(()),
    };
    if signature.on.shape() == Shape::Stream {
        let whole = body(rules, index, &signature.on, &[text.as_bytes()], scratch);
        judge(whole.is_some(), "")?;
        let places = text.len().saturating_sub(1);
        for cut in (1..=places).step_by(places.div_ceil(MAX_CUTS).max(1)) {
            let Some((front, back)) = text.as_bytes().split_at_checked(cut) else { continue };
            let in_two = body(rules, index, &signature.on, &[front, back], scratch);
            judge(in_two.is_some(), " when cut")?;
            if in_two != whole {
                return Err(format!("ends at {in_two:?} when cut at {cut}, at {whole:?} otherwise"));
            }
        }
        return Ok(());
    }
    let mut found = false;
    let by_table = match signature.on {
        Field::Host => matches!(signature.kind, Kind::Host | Kind::List),
        Field::Url => matches!(signature.kind, Kind::Glob | Kind::List),
        _ => false,
    };
    if by_table {
        let (host, path) = match text.find('/').and_then(|slash| text.split_at_checked(slash)) {
            Some((host, path)) => (host, Some(path)),
            None => (text, None),
        };
        rules.scan_host(&crate::hosts::normal_host(host), path, &mut |m| found |= m.signature == index);
    } else {
        rules.scan_field(&signature.on, text.as_bytes(), scratch, &mut |hit, _| found |= hit == index);
    }
    judge(found, "")
}

/// Where the signature ends in a body of these pieces.
fn body(rules: &RuleSet, index: u32, on: &Field, pieces: &[&[u8]], scratch: &mut Scratch) -> Option<u64> {
    let mut state: BodyState = match on {
        Field::RequestBody => rules.body(Side::Request),
        Field::ResponseBody => rules.body(Side::Response),
        _ => rules.websocket_message(),
    };
    let mut found = None;
    for piece in pieces {
        rules.scan_body(&mut state, scratch, piece, &mut |hit, end| {
            if hit == index {
                found = Some(end);
            }
        });
    }
    found
}

/// The signatures that lack a `hit` or a `miss`, by index.
pub fn unproven(rules: &RuleSet) -> Vec<u32> {
    let lacks =
        |signature: &Signature| [true, false].iter().any(|&hit| signature.examples.iter().all(|e| e.hit != hit));
    (0_u32..).zip(rules.signatures()).filter(|(_, signature)| lacks(signature)).map(|(index, _)| index).collect()
}

/// How each signature with an expression or literals is found, and what it costs.
pub fn report(rules: &RuleSet) -> Vec<PatternReport> {
    let mut reports: Vec<PatternReport> = rules
        .costs()
        .filter_map(|(index, cost)| {
            let signature = rules.signature(index)?;
            Some(PatternReport {
                signature: index,
                id: signature.id.clone(),
                on: signature.on.clone(),
                cost: cost.cost,
                anchors: cost.anchors.iter().map(|anchor| String::from_utf8_lossy(anchor).into_owned()).collect(),
                bound: cost.bound,
            })
        })
        .collect();
    reports.sort_by_key(|report| report.signature);
    reports
}
