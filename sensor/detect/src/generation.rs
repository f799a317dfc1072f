//! The rules, the scope and the policy in force together.

use crate::policy::{Classes, Decision, Facet, Policy, Rule, Subject, is_at};
use crate::rules::RuleSet;
use crate::scope::Scope;
use crate::{Classification, Confidence, Severity, Signal, SignalKind, Weight};

/// The signal of a host that imitates an approved one.
const IMITATES: &str = "mcp.host.imitates";
/// Longest excerpt of it, in bytes.
const MAX_EXCERPT: usize = 150;

/// What may come of something of which only the beginning is known.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each may come of it or may not")]
pub struct Outlook {
    /// A policy matches whatever comes.
    pub settled: Option<Decision>,
    /// It may be stopped or changed, be it only in pretence.
    pub asks: bool,
    /// The same in earnest.
    pub acts: bool,
    /// A policy may match that lets it pass.
    pub lets_pass: bool,
    /// What comes back may be stopped or changed, in earnest.
    pub answers: bool,
    /// Data may be taken out of what is asked, in earnest.
    pub redacts: bool,
}

/// Rules, scope and policy in force. An exchange keeps the generation it began with.
#[derive(Debug)]
pub struct Generation {
    /// Compiled rules.
    pub rules: RuleSet,
    /// Whose networks and servers these are.
    pub scope: Scope,
    /// What is done about what is found, where no policy of the rules matches.
    pub policy: Policy,
}

impl Generation {
    /// How bad it is, before policies say more.
    pub fn severity(&self, classification: Classification, confidence: Confidence, signals: &[Signal]) -> Severity {
        let patterns = signals.iter().filter(|s| s.kind == SignalKind::Signature);
        let worst = patterns.filter_map(|s| self.rules.severity_of(&s.id)).max();
        let imitates = signals.iter().any(|s| s.id == IMITATES && s.kind == SignalKind::Structure);
        let least = if imitates { Severity::High } else { Severity::Info };
        classification.severity(confidence).max(worst.unwrap_or_default()).max(least)
    }

    /// The signal `mcp.host.imitates`, where a host that nobody approved passes itself off as one that is.
    pub fn imitation(&self, classification: Classification, host: &str) -> Option<Signal> {
        if !matches!(classification, Classification::Shadow | Classification::Unknown) {
            return None;
        }
        let found = self.scope.lookalikes.of(host)?;
        let mut excerpt = format!("{}: {}", found.how, found.of);
        excerpt.truncate(excerpt.floor_char_boundary(MAX_EXCERPT));
        Some(Signal {
            id: IMITATES.to_owned(),
            kind: SignalKind::Structure,
            on: "host".to_owned(),
            weight: Weight::Info,
            excerpt,
            offset: 0,
        })
    }

    /// Whether what is done depends on single messages.
    pub fn has_policies(&self) -> bool {
        !self.rules.policies().rules().is_empty()
    }

    /// Whether anything asks to stop or change traffic, be it only in pretence.
    pub fn asks_to_act(&self) -> bool {
        self.policy.asks_to_stop() || self.rules.policies().rules().iter().any(|rule| rule.action.interferes())
    }

    /// Whether anything can be stopped or changed at all: if not, nothing need wait for a verdict.
    pub fn can_act(&self) -> bool {
        let acts = |rule: &Rule| rule.action.interferes() && !rule.dry_run;
        self.policy.can_stop() || self.rules.policies().rules().iter().any(acts)
    }

    /// Whether requests are redirected to this server: who is sent there must get in, whatever else is said of it.
    pub fn leads_to(&self, host: &str, port: u16) -> bool {
        let rules = self.rules.policies().rules().iter().filter_map(|rule| rule.redirect_to.as_deref());
        rules.chain(self.policy.leads_to()).any(|location| is_at(location, host, port))
    }

    /// What may be done about something of which more is still to come.
    pub fn outlook(&self, subject: &Subject<'_>) -> Outlook {
        let mut outlook = Outlook { settled: self.rules.policies().settled(subject), ..Outlook::default() };
        let sure = self.rules.policies().possible(subject, |rule| {
            outlook.asks |= rule.action.interferes();
            outlook.acts |= rule.action.interferes() && !rule.dry_run;
            outlook.lets_pass |= !rule.action.stops() || rule.dry_run;
            let earnest = rule.action.interferes() && !rule.dry_run;
            outlook.answers |= earnest && rule.acts_on_answers();
            outlook.redacts |= earnest && rule.redacts_requests();
        });
        if !sure {
            let confidences = [Confidence::Possible, Confidence::Likely, Confidence::Confirmed];
            let classes = Classification::ALL.into_iter().filter(|class| subject.classes.has(*class));
            let asks = |class| confidences.iter().any(|c| self.policy.decide(class, *c).action.stops());
            let asks = classes.into_iter().any(asks);
            outlook.asks |= asks;
            outlook.acts |= asks && self.policy.can_stop();
        }
        outlook
    }

    /// What is done about what was seen, with its messages. Who is [led](Self::leads_to) to a server gets in there.
    pub fn decide(&self, subject: &Subject<'_>, facets: &[Facet<'_>]) -> Decision {
        let class = Classification::ALL.into_iter().find(|class| subject.classes == Classes::from(*class));
        let otherwise = || match (class, subject.confidence) {
            (Some(class), Some(confidence)) => self.policy.decide(class, confidence),
            _ => Decision::LOG,
        };
        let decision = self.rules.policies().decide(subject, facets, otherwise);
        let gets_in = decision.action.interferes() && self.leads_to(subject.host, subject.port);
        if gets_in { Decision::LOG } else { decision }
    }
}
