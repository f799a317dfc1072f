//! The rules and the scope in force together.

use crate::rules::RuleSet;
use crate::scope::Scope;

/// Rules and scope in force. An exchange keeps the generation it began with.
#[derive(Debug)]
pub struct Generation {
    /// Compiled rules.
    pub rules: RuleSet,
    /// Whose networks and servers these are.
    pub scope: Scope,
}
