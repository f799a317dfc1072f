//! Every trick gets what its truth demands.

use crate::outcome::{Outcome, faults};
use crate::support::Run;
use testkit::Wire;
use testkit::hostile::tricks;

#[test]
fn every_trick_gets_what_its_truth_demands_and_the_canary_behind_it_is_found() {
    let mut wrong = Vec::new();
    for trick in tricks() {
        let run = Run::of(&trick.capture(Wire::default()).pcap());
        let outcome = Outcome::of(&run);
        let mut faults = faults(&run);
        if !outcome.satisfies(trick.truth) {
            faults.push(format!("{}, but: {}; signals {:?}", trick.truth.words(), outcome.words(), run.signals()));
        }
        wrong.extend(faults.iter().map(|fault| format!("{}: {fault} ({})", trick.name, trick.why)));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_mirror_that_doubles_frames_doubles_no_detection() {
    for name in ["mirrored-twice", "overlap-same-old-first", "a-tag-for-each-direction", "data-on-syn-refused"] {
        let trick = tricks().into_iter().find(|t| t.name == name).unwrap();
        let run = Run::of(&trick.capture(Wire::default()).pcap());
        assert_eq!(Outcome::of(&run).detections, 1, "{name}");
    }
}

#[test]
fn a_bomb_is_given_up_early_and_counted() {
    for (name, limits) in [
        ("bomb-gzip-in-gzip", &["undecoded_decoder_ratio", "undecoded_decoder_output"][..]),
        ("bomb-zstd", &["undecoded_decoder_ratio", "undecoded_decoder_output"]),
        ("bomb-brotli", &["undecoded_decoder_ratio", "undecoded_decoder_output"]),
    ] {
        let trick = tricks().into_iter().find(|t| t.name == name).unwrap();
        let run = Run::of(&trick.capture(Wire::default()).pcap());
        let counted: u64 = limits.iter().filter_map(|limit| run.stats()["limits"][limit].as_u64()).sum();
        assert_eq!(counted, 1, "{name}: {}", run.stats()["limits"]);
    }
}
