//! Cutting a trick elsewhere, and the number of threads, change nothing.

use crate::outcome::{Outcome, faults};
use crate::support::{Run, said};
use testkit::hostile::{Play, tricks};
use testkit::{Rng, Wire};

/// What is said, and which notices there are.
fn all(run: &Run) -> (Vec<serde_json::Value>, Outcome) {
    // A detection tells the bytes of the answer so far, and is made when a message of it closes.
    (said(run, &["response_bytes"]), Outcome::of(run))
}

/// The first thing in which `got` differs from `want`.
fn difference(got: &Run, want: &Run) -> Option<String> {
    let ((got_said, got_outcome), (want_said, want_outcome)) = (all(got), all(want));
    if got_outcome != want_outcome {
        return Some(format!("got {}, want {}", got_outcome.words(), want_outcome.words()));
    }
    let at = got_said.iter().zip(&want_said).position(|(got, want)| got != want);
    if let Some(at) = at {
        return Some(format!("\n got {}\nwant {}", got_said[at], want_said[at]));
    }
    (got_said.len() != want_said.len()).then(|| format!("{} events, want {}", got_said.len(), want_said.len()))
}

#[test]
fn cutting_a_trick_at_random_changes_nothing() {
    let mut rng = Rng::new(11);
    let mut wrong = Vec::new();
    for trick in tricks() {
        let Play::Turns(turns) = trick.play else { continue };
        let want = Run::of(&trick.capture(Wire::default()).pcap());
        // At most some thousand segments: large tricks are cut less fine.
        let longest = turns().iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
        let least = longest / 3000 + 1;
        for mss in [least, least + rng.below(40), least + rng.below(1400), 65_000] {
            let wire = Wire { ragged: true, seed: rng.next_u64(), ..Wire::cut(mss) };
            let run = Run::of(&trick.capture(wire).pcap());
            let differs = faults(&run).into_iter().next().or_else(|| difference(&run, &want));
            wrong.extend(differs.map(|what| format!("{}, segments of up to {mss}: {what}", trick.name)));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn two_threads_say_the_same_as_one() {
    for trick in tricks() {
        let wires = [Wire::default(), Wire { ragged: true, reorder: 3, duplicate: 5, ..Wire::cut(900) }];
        for wire in wires {
            let pcap = trick.capture(wire).pcap();
            assert_eq!(Run::threads(&pcap, 2).lines, Run::threads(&pcap, 1).lines, "{}", trick.name);
        }
    }
}
