//! What is done about something, and by which policy.

use crate::{Action, Severity};
use std::fmt;
use std::sync::Arc;

/// Id of a policy: of a `[[policy]]`, or a key of the configuration. Cheap to copy.
#[derive(Clone)]
pub struct PolicyId(Repr);

#[derive(Clone)]
enum Repr {
    Key(&'static str),
    Rule(Arc<str>),
}

impl PolicyId {
    /// A key of the configuration.
    pub const fn key(key: &'static str) -> Self {
        Self(Repr::Key(key))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Key(key) => key,
            Repr::Rule(id) => id,
        }
    }
}

impl From<&str> for PolicyId {
    fn from(id: &str) -> Self {
        Self(Repr::Rule(id.into()))
    }
}

impl PartialEq for PolicyId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for PolicyId {}

impl PartialEq<&str> for PolicyId {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What is done about a detection, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the policy asks for.
    pub action: Action,
    /// The policy: `default`, the key of the configuration that asks for it (`actions.shadow`), or the id of a
    /// `[[policy]]`.
    pub policy: PolicyId,
    /// The policy only pretends: nothing is stopped or changed.
    pub dry_run: bool,
    /// Where a redirect leads.
    pub redirect_to: Option<Arc<str>>,
    /// What people are told: a template for [`super::fill`].
    pub message: Option<Arc<str>>,
    /// Where people ask for access.
    pub request_access: Option<Arc<str>>,
    /// How bad it is at least.
    pub severity: Severity,
    /// A policy that would have decided, had it not expired.
    pub expired: Option<PolicyId>,
}

/// Name of the policy where nothing asks for anything else.
pub(crate) const DEFAULT: PolicyId = PolicyId::key("default");

impl Decision {
    /// What happens where nothing is configured.
    pub const LOG: Self = Self {
        action: Action::Log,
        policy: DEFAULT,
        dry_run: false,
        redirect_to: None,
        message: None,
        request_access: None,
        severity: Severity::Info,
        expired: None,
    };

    /// Whether traffic is to be stopped, and not only in pretence.
    pub const fn stops(&self) -> bool {
        self.action.stops() && !self.dry_run
    }
}
