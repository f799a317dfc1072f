//! Every vector gets the confidence and the classification it states.

use crate::support::{Run, capture_of, vectors};

#[test]
fn every_vector_gets_the_confidence_and_classification_it_states() {
    let all = vectors();
    let mut wrong = Vec::new();
    for vector in &all {
        let run = Run::of(&capture_of(vector, &all).pcap());
        let (confidence, classification) = run.strongest().unwrap_or_else(|| {
            let look_alike = run.total("look_alikes") > 0;
            ("none".to_owned(), if look_alike { "look_alike" } else { "none" }.to_owned())
        });
        let fits = |list: &[String], got: &str| list.iter().any(|want| want == got);
        if vector.later.is_some() {
            if !["none", "possible"].contains(&confidence.as_str()) {
                wrong.push(format!("{}: {confidence} now; its `later` line must go", vector.id));
            }
        } else if !fits(&vector.confidence, &confidence) || !fits(&vector.classification, &classification) {
            wrong.push(format!(
                "{} ({}): got {confidence}/{classification}, want {}/{}: {}; signals {:?}",
                vector.id,
                vector.shows,
                vector.confidence.join("|"),
                vector.classification.join("|"),
                vector.why,
                run.signals(),
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[test]
fn a_look_alike_is_written_only_when_asked_for() {
    for vector in vectors().iter().filter(|v| v.classification == ["look_alike"]) {
        let pcap = capture_of(vector, &[]).pcap();
        assert_eq!(Run::of(&pcap).of_type("detection").len(), 0, "{}", vector.id);
        let asked = Run::with_look_alikes(&pcap);
        let written = asked.of_type("detection");
        assert_eq!(written.len(), 1, "{}", vector.id);
        assert_eq!(written[0]["classification"], "look_alike", "{}", vector.id);
        assert!(written[0]["look_alike"].is_string(), "{}", vector.id);
        assert_eq!(written[0]["action"]["taken"], "log", "{}", vector.id);
    }
}
