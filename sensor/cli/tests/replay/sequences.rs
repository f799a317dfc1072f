//! Every sequence gives the counts it states.

use crate::support::{RANKS, Run, fixtures, rank, vectors};
use std::collections::BTreeMap;
use testkit::sequence::Sequence;

#[test]
fn every_sequence_gives_the_counts_it_states() {
    let vectors = vectors();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in fixtures("sequences", "txt") {
        seen += 1;
        let sequence = Sequence::parse(&std::fs::read_to_string(&path).unwrap(), &vectors)
            .unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let run = Run::of(&sequence.capture.pcap());
        let detections = run.of_type("detection");
        let at_least =
            |confidence: &str| detections.iter().filter(|d| rank(&d["confidence"]) >= RANKS[confidence]).count();
        let got = BTreeMap::from([
            ("detections", detections.len()),
            ("likely", at_least("likely")),
            ("confirmed", at_least("confirmed")),
            ("sessions", run.of_type("session").len()),
            ("servers", run.servers().len()),
        ]);
        for (key, want) in &sequence.counts {
            let got = got.get(key.as_str()).unwrap_or_else(|| panic!("{}: no count `{key}`", sequence.id));
            if !want.contains(got) {
                wrong.push(format!("{} ({}): {key}: got {got}, want {want:?}", sequence.id, sequence.shows));
            }
        }
        if let Some(least) = &sequence.least
            && at_least(least) != detections.len()
        {
            wrong.push(format!("{}: a detection below {least}", sequence.id));
        }
        if let Some(transport) = &sequence.transport {
            for session in run.of_type("session") {
                if session["mcp"]["transport"] != transport.as_str() {
                    wrong.push(format!("{}: transport {}, want {transport}", sequence.id, session["mcp"]["transport"]));
                }
            }
        }
    }
    assert!(seen >= 10, "only {seen} sequences");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The details that counts cannot say.
mod details {
    use super::*;

    fn run(id: &str) -> Run {
        let path = fixtures("sequences", "txt").into_iter().find(|p| p.file_stem().is_some_and(|s| s == id)).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        Run::of(&Sequence::parse(&text, &vectors()).unwrap().capture.pcap())
    }

    #[test]
    fn a_session_knows_both_names_its_version_and_its_tools() {
        let run = run("S1");
        let session = run.of_type("session")[0];
        assert_eq!(session["mcp"]["client"]["name"], "field-notes");
        assert_eq!(session["mcp"]["server"]["name"], "notes-srv");
        assert_eq!(session["mcp"]["protocol_versions"], serde_json::json!(["2025-11-25"]));
        assert_eq!(session["mcp"]["tools_listed"], serde_json::json!(["note_find"]));
        assert_eq!(session["mcp"]["era"], "session");
        assert_eq!(session["flows"], 2);
    }

    #[test]
    fn a_refused_probe_does_not_count_as_the_version_in_use() {
        let run = run("S3");
        let session = run.of_type("session")[0];
        assert_eq!(session["mcp"]["protocol_versions"], serde_json::json!(["2025-11-25"]));
        let probe = run.of_type("detection")[0];
        assert_eq!(probe["mcp"]["outcome"], "refused");
    }

    #[test]
    fn a_call_over_two_connections_is_joined_with_its_answer() {
        let run = run("S2");
        let call = run.of_type("detection").into_iter().find(|d| d["http"]["method"] == "POST").unwrap();
        assert_eq!(call["mcp"]["transport"], "http_sse");
        assert_eq!(call["mcp"]["resources"], serde_json::json!(["note://17"]));
    }

    #[test]
    fn an_hour_of_a_language_server_leaves_the_run_line_and_the_totals() {
        let run = run("S9");
        let types: Vec<_> = run.events.iter().map(|e| e["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["run", "stats"]);
    }
}
