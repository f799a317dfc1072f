//! The page for people is what the tests saw, and behind it what people wrote.

use crate::outcome::Outcome;
use crate::support::Run;
use std::collections::BTreeMap;
use std::fmt::Write;
use testkit::Wire;
use testkit::hostile::{Area, Cover, checklist, tricks};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hostile-input.md");
/// Writes the page instead of comparing it.
const RENEW: &str = "RENEW_HOSTILE_INPUT";
/// From here on the page is written by hand.
const BY_HAND: &str = "\n## Floods\n";

const INTRODUCTION: &str = "\
# Hostile input

What somebody may do so that the sensor reads other bytes than the receiver, or none, and what the sensor makes of it.
Each line is a capture that the tests generate (`sensor/testkit/src/hostile`) and replay, cut at random and with one and
two threads; behind each comes a plain MCP conversation that must still be found. This page is written by those tests,
`RENEW_HOSTILE_INPUT=1 cargo test -p cli --test hostile page`, but for its last parts: [floods](#floods),
[limits](#limits), [damaged captures](#damaged-captures) and [programs](#programs).

- **must be found**: the standards settle what the receiver reads, and it is MCP: `likely` or `confirmed` is demanded.
- **found or a notice**: receivers differ, or may differ. A detection of any confidence, or a notice about this very
  flow, is demanded; never silence.
- **must be possible**: what is said is encrypted, but whom it is said to is not, and the list knows that server. A
  detection of any confidence is demanded.
- **must not be accused**: harmless, whatever it looks like. No detection at any confidence.
";

#[test]
fn the_page_says_what_comes_of_every_trick() {
    let tricks: BTreeMap<_, _> = tricks().into_iter().map(|t| (t.name, t)).collect();
    let mut page = INTRODUCTION.to_owned();
    for area in Area::ALL {
        write!(page, "\n## {}\n\n| trick | why | demanded | outcome |\n| --- | --- | --- | --- |\n", area.heading())
            .unwrap();
        for item in checklist().filter(|item| item.area == area) {
            match item.cover {
                Cover::Later(why) => writeln!(page, "| **{}** | {why} | later | |", item.what).unwrap(),
                Cover::Tricks(names) => {
                    writeln!(page, "| **{}** | | | |", item.what).unwrap();
                    for trick in names.iter().filter_map(|name| tricks.get(name)) {
                        let outcome = Outcome::of(&Run::of(&trick.capture(Wire::default()).pcap()));
                        let (name, why, truth) = (trick.name, trick.why, trick.truth.words());
                        writeln!(page, "| {name} | {why} | {truth} | {} |", outcome.words()).unwrap();
                    }
                }
            }
        }
    }
    let whole = std::fs::read_to_string(PAGE).unwrap_or_default();
    let (written, by_hand) = whole.split_at(whole.find(BY_HAND).expect("a part that is written by hand"));
    if std::env::var_os(RENEW).is_some() {
        return std::fs::write(PAGE, page + by_hand).unwrap();
    }
    let differs = page.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(page == written, "docs/hostile-input.md is out of date ({RENEW}=1 renews it): {differs:?}");
}
