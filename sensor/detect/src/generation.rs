//! The rules, the scope and the policy in force together.

use crate::policy::Policy;
use crate::rules::RuleSet;
use crate::scope::Scope;

/// Rules, scope and policy in force. An exchange keeps the generation it began with.
#[derive(Debug)]
pub struct Generation {
    /// Compiled rules.
    pub rules: RuleSet,
    /// Whose networks and servers these are.
    pub scope: Scope,
    /// What is done about what is found.
    pub policy: Policy,
}
