//! What a run says of a trick.

use crate::support::{Run, rank};
use serde_json::Value;
use std::collections::BTreeSet;
use testkit::hostile::{Scene, Truth};

/// What was said of the flows that a trick was played on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Strongest confidence of a detection; 0 for none.
    pub(crate) rank: u8,
    pub(crate) confidence: Option<String>,
    pub(crate) detections: usize,
    /// Codes of notices.
    pub(crate) notices: BTreeSet<String>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// Whether an event's flow belongs to the client of this `ip:port`.
fn is_of(event: &Value, client: &str) -> bool {
    let at = &event["flow"]["client"];
    format!("{}:{}", text(&at["ip"]), at["port"]) == client
}

impl Outcome {
    pub(crate) fn of(run: &Run) -> Self {
        let of_trick = |event: &&Value| is_of(event, Scene::CLIENT) || is_of(event, Scene::CLIENT_V6);
        let mut outcome = Self::default();
        for detection in run.of_type("detection").into_iter().filter(of_trick) {
            outcome.detections += 1;
            let confidence = &detection["confidence"];
            if rank(confidence) > outcome.rank {
                outcome.rank = rank(confidence);
                outcome.confidence = Some(text(confidence).to_owned());
            }
        }
        let notices = run.of_type("notice").into_iter().filter(of_trick);
        outcome.notices = notices.map(|n| text(&n["code"]).to_owned()).collect();
        outcome
    }

    pub(crate) fn satisfies(&self, truth: Truth) -> bool {
        match truth {
            Truth::Found => self.rank >= 2,
            Truth::FoundOrNotice => self.rank > 0 || !self.notices.is_empty(),
            Truth::Contact => self.rank > 0,
            Truth::Clean => self.detections == 0,
        }
    }

    /// In words, for the page.
    pub(crate) fn words(&self) -> String {
        let notices: Vec<_> = self.notices.iter().map(|code| format!("notice `{code}`")).collect();
        let said: Vec<_> = self.confidence.iter().cloned().chain(notices).collect();
        if said.is_empty() { "nothing".to_owned() } else { said.join(", ") }
    }
}

/// What must hold of every run, whatever was read: totals add up, nothing failed, the canary was found.
pub(crate) fn faults(run: &Run) -> Vec<String> {
    let mut faults = Vec::new();
    let stats = run.stats();
    let analysed = stats["packets_analysed"].as_u64().unwrap();
    let dropped = run.total("packets_dropped");
    if stats["packets"].as_u64().unwrap() != analysed + dropped {
        faults.push(format!("{} packets are not {analysed} analysed and {dropped} dropped", stats["packets"]));
    }
    if run.of_type("notice").iter().any(|n| n["code"] == "internal_fault")
        || !stats["limits"]["internal_faults"].is_null()
    {
        faults.push("a fault in our own code".to_owned());
    }
    let canary = run.of_type("detection").into_iter().filter(|d| is_of(d, Scene::CANARY_CLIENT));
    let found: Vec<_> = canary.map(|d| text(&d["confidence"]).to_owned()).collect();
    if found != ["confirmed"] {
        faults.push(format!("the canary was found as {found:?}"));
    }
    faults
}
