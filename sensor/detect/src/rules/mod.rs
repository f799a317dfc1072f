//! Rule files: signatures as data, compiled once and shared by all threads.
//!
//! [`compile`] takes the texts and gives a [`RuleSet`], or every fault in every file with its place. Which hits mean
//! what is for others to decide; a rule set only says what matched.

mod builtin;
mod compile;
mod error;
mod examples;
mod field;
mod file;
mod globs;
mod list;
mod set;

pub use builtin::{DLP_PACK, builtin};
pub use compile::{ListReader, MAX_SIGNATURES, RuleText, compile, compile_for};
pub use error::RuleError;
pub use examples::{ExampleFailure, PatternReport, report, run_examples, unproven};
pub use field::{Field, UnknownField};
pub use set::{BodyState, Example, Kind, Pack, RuleSet, Signature};

pub use crate::engine::{Cost, EngineChoice, EngineKind, ScanStats, Scratch, Unavailable};
pub use crate::hosts::{Category, HostMatch, Listed};

/// Compiles arbitrary text as a rule file: no panic, every fault has a place inside the text, and a rule set answers.
#[doc(hidden)]
pub fn fuzz_rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let list = text.clone().into_owned();
    let lists = move |_: &str| Ok(list.clone().into());
    match compile(&[RuleText { file: "fuzz.toml", text: &text, lists: &lists }]) {
        Ok(rules) => {
            let mut scratch = Scratch::default();
            for field in rules.fields() {
                rules.scan_field(field, data, &mut scratch, &mut |_, end| assert!(end <= data.len(), "end outside"));
            }
            rules.scan_host(&text, Some(&text), &mut |_| {});
            run_examples(&rules);
            report(&rules);
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            for error in errors {
                let line = text.split('\n').nth(error.line as usize - 1);
                let columns = line.map_or(0, |line| line.chars().count());
                assert!(error.column as usize <= columns + 1, "{error} is outside the text");
            }
        }
    }
}
