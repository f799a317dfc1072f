//! Who may use which server, tool and data, and what happens otherwise: `[[policy]]` of rule files, and where none of them
//! matches, `[actions]` of the configuration.

mod actions;
mod compile;
mod condition;
mod decision;
mod file;
mod subject;
mod template;
#[cfg(test)]
mod tests;

pub use actions::{Policy, PolicyError, RawAction, RawActions};
pub use condition::Tried;
pub use decision::{Decision, PolicyId};
pub use subject::{Classes, Facet, Stage, Subject};
pub use template::{BLANKS, fill};

pub(crate) use actions::is_at;
pub(crate) use compile::{Compiler, Fault};
pub(crate) use file::{RawGroup, RawPolicy};

use crate::dlp::ProfileSet;
use crate::{Action, Classification, LogPayload, Severity};
use condition::{Answer, Condition};
use mcp::ToolClass;
use net::{Direction, Timestamp};
use std::sync::Arc;

/// Most policies of all files together.
const MAX_POLICIES: usize = 1024;

/// How much of the traffic a policy is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// What is MCP, or may be.
    Mcp,
    /// Every request to a path of a host that it names.
    Request,
    /// Everything that is said to a host that it names: nothing of it is contacted where that is stopped.
    Host,
}

/// One `[[policy]]`.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its id.
    pub id: PolicyId,
    /// What it is for; may be empty.
    pub description: String,
    /// What it asks for.
    pub action: Action,
    /// Where a redirect leads.
    pub redirect_to: Option<Arc<str>>,
    /// What people are told: a template for [`fill`].
    pub message: Option<Arc<str>>,
    /// Where people ask for access.
    pub request_access: Option<Arc<str>>,
    /// Only write down what would be done.
    pub dry_run: bool,
    /// How bad it is at least that it matched.
    pub severity: Severity,
    /// How the messages that it decides about are logged, if they are.
    pub log_payload: Option<LogPayload>,
    /// From when on it does not match any more.
    pub expires: Option<Timestamp>,
    /// Who answers for it, why it is there, and where that was agreed; each may be empty.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// Where that was agreed.
    pub ticket: String,
    /// How much of the traffic it is about.
    pub reach: Reach,
    /// The file it stands in.
    pub file: String,
    /// The line it begins on, from 1.
    pub line: u32,
    /// All must be met.
    conditions: Vec<Condition>,
}

/// What one policy says of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Matches,
    Differs,
    /// More must be known.
    Open,
    /// It would match, had it not expired.
    Expired,
}

impl Rule {
    fn verdict(&self, subject: &Subject<'_>, facet: Option<&Facet<'_>>) -> Verdict {
        if subject.classes == Classes::from(Classification::LookAlike) && !self.names_look_alikes() {
            return Verdict::Differs;
        }
        if self.reach == Reach::Mcp && subject.shows_nothing() {
            return Verdict::Differs;
        }
        let mut open = self.reach == Reach::Mcp && subject.stage < Stage::Whole && subject.confidence.is_none();
        for condition in &self.conditions {
            match condition.test(subject, facet) {
                Answer::No => return Verdict::Differs,
                Answer::Open => open = true,
                Answer::Yes => {}
            }
        }
        match (open, self.expires.is_some_and(|expires| expires <= subject.at)) {
            (true, _) => Verdict::Open,
            (false, true) => Verdict::Expired,
            (false, false) => Verdict::Matches,
        }
    }

    /// What it asks for, for people: key and values of each condition.
    pub fn wanted(&self) -> Vec<(&'static str, String)> {
        self.conditions.iter().map(|condition| (condition.key(), condition.to_string())).collect()
    }

    /// The day from which on it does not match; empty where there is none.
    pub fn expires_on(&self) -> String {
        self.expires.map_or_else(String::new, compile::day_of)
    }

    /// What each condition says, for people.
    pub fn try_all(&self, subject: &Subject<'_>, facet: Option<&Facet<'_>>) -> Vec<Tried> {
        let mut tried: Vec<_> = self.conditions.iter().map(|c| c.tried(subject, facet)).collect();
        if self.reach == Reach::Mcp && subject.shows_nothing() {
            tried.push(Tried {
                condition: "mcp",
                met: false,
                wanted: "a sign of MCP".to_owned(),
                found: "none".to_owned(),
            });
        }
        if let Some(expires) = self.expires.filter(|expires| *expires <= subject.at) {
            let wanted = format!("before {}", compile::day_of(expires));
            tried.push(Tried { condition: "expires", met: false, wanted, found: compile::day_of(subject.at) });
        }
        tried
    }

    /// Whether it may decide about a message of which nothing else is known, so that it is to be logged in that form.
    fn may_log(&self, facet: &Facet<'_>, form: LogPayload) -> bool {
        self.log_payload == Some(form) && self.conditions.iter().all(|condition| condition.allows(facet))
    }

    /// What only resembles MCP is nobody's business, unless somebody says so.
    fn names_look_alikes(&self) -> bool {
        let named = |c: &Condition| matches!(c, Condition::Classification(classes, _) if classes.has(Classification::LookAlike));
        self.conditions.iter().any(named)
    }

    /// What it asks for.
    pub fn decision(&self) -> Decision {
        Decision {
            action: self.action,
            policy: self.id.clone(),
            dry_run: self.dry_run && self.action.interferes(),
            redirect_to: self.redirect_to.clone(),
            message: self.message.clone(),
            request_access: self.request_access.clone(),
            severity: self.severity,
            expired: None,
        }
    }
}

/// All `[[policy]]` of the rules in force, in the order of their files.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    pub(crate) rules: Vec<Rule>,
    pub(crate) arguments: Vec<condition::ArgumentTest>,
    pub(crate) needs: Needs,
    /// Profiles to look for in what goes to servers, and in what comes back.
    pub(crate) wanted: [ProfileSet; 2],
}

/// What must be read of messages so that policies can be decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for or is not")]
pub struct Needs {
    /// Values of arguments, or profiles of data, of what goes to servers.
    pub requests: bool,
    /// Profiles of data in what comes back.
    pub answers: bool,
    /// Which authorisation a request is a step of.
    pub oauth: bool,
    /// MCP servers that the provider of a model is told to use.
    pub provider: bool,
    /// Answers may be changed or stopped.
    pub acts_on_answers: bool,
    /// Messages may have to be logged.
    pub logs: bool,
    /// What tools say they do.
    pub tool_classes: bool,
}

impl Policies {
    /// The policies.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What must be read of messages.
    pub const fn needs(&self) -> Needs {
        self.needs
    }

    /// Profiles of data to look for.
    pub fn wanted(&self, dir: Direction) -> ProfileSet {
        *dir.of(&self.wanted)
    }

    /// Tests of arguments, by the number that [`Facet::arguments`] gives them.
    pub fn arguments(&self) -> &[condition::ArgumentTest] {
        &self.arguments
    }

    /// The first policy that matches what was seen, for the message of it that matters most; where none does, what
    /// `otherwise` says. With no message, what was seen stands for itself.
    pub fn decide(&self, subject: &Subject<'_>, facets: &[Facet<'_>], otherwise: impl Fn() -> Decision) -> Decision {
        if self.rules.is_empty() {
            return otherwise();
        }
        if facets.is_empty() {
            return self.first(subject, None, &otherwise);
        }
        let each = facets.iter().map(|facet| self.first(subject, Some(facet), &otherwise));
        // Of equals the first one counts.
        each.reduce(|kept, next| if next.action.rank() > kept.action.rank() { next } else { kept })
            .unwrap_or(Decision::LOG)
    }

    /// The policy of that id.
    pub fn get(&self, id: &PolicyId) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == *id)
    }

    /// The policy that hides a tool from lists, in earnest: the first that would match its call, if its action is `filter`.
    pub fn hides(&self, subject: &Subject<'_>, tool: &str, class: ToolClass) -> Option<&Rule> {
        let called = Facet::call_of(tool, class);
        let first = self.rules.iter().find(|rule| rule.verdict(subject, Some(&called)) == Verdict::Matches)?;
        Some(first).filter(|rule| rule.action == Action::Filter && !rule.dry_run)
    }

    fn first(&self, subject: &Subject<'_>, facet: Option<&Facet<'_>>, otherwise: &impl Fn() -> Decision) -> Decision {
        let mut expired = None;
        for rule in &self.rules {
            match rule.verdict(subject, facet) {
                Verdict::Matches => {
                    let mut decision = Decision { expired, ..rule.decision() };
                    // A call of a tool that is hidden is refused.
                    if rule.action == Action::Filter && facet.is_some_and(Facet::is_call) {
                        decision.action = Action::Block;
                    }
                    return decision;
                }
                Verdict::Expired => expired = expired.or_else(|| Some(rule.id.clone())),
                Verdict::Differs | Verdict::Open => {}
            }
        }
        Decision { expired, ..otherwise() }
    }

    /// Whether one of them may ask for a message to be logged in that form, as far as the message alone says.
    pub(crate) fn may_log(&self, facet: &Facet<'_>, form: LogPayload) -> bool {
        self.rules.iter().any(|rule| rule.may_log(facet, form))
    }

    /// The policy that has a message logged: the first that matches one of its facets, if it asks for that.
    pub fn logs(&self, subject: &Subject<'_>, facets: &[Facet<'_>]) -> Option<(&Rule, LogPayload)> {
        facets.iter().find_map(|facet| {
            let first = self.rules.iter().find(|rule| rule.verdict(subject, Some(facet)) == Verdict::Matches)?;
            Some((first, first.log_payload?))
        })
    }

    /// What is sure before more is known: the first policy that matches, whatever comes. `None` where that depends on more.
    pub fn settled(&self, subject: &Subject<'_>) -> Option<Decision> {
        for rule in &self.rules {
            match rule.verdict(subject, None) {
                Verdict::Matches => return Some(rule.decision()),
                Verdict::Open => return None,
                Verdict::Differs | Verdict::Expired => {}
            }
        }
        None
    }

    /// The policies that may match once more is known, up to the first that surely does. The flag says that one does.
    pub fn possible(&self, subject: &Subject<'_>, mut may: impl FnMut(&Rule)) -> bool {
        for rule in &self.rules {
            match rule.verdict(subject, None) {
                Verdict::Matches => {
                    may(rule);
                    return true;
                }
                Verdict::Open => may(rule),
                Verdict::Differs | Verdict::Expired => {}
            }
        }
        false
    }
}
