//! What a policy has logged of a message.

use detect::{Clear, LogPayload};
use schemars::JsonSchema;
use serde::Serialize;

/// One message that a policy has logged (`log_payload`).
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PayloadRecord {
    /// `request` (to the server) or `answer`.
    pub message: String,
    /// JSON-RPC id as text, as in [`Call`](super::Call).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc_id: Option<String>,
    /// The policy that asks for it.
    pub policy: String,
    /// `masked` or `encrypted`.
    pub form: LogPayload,
    /// Length of the message as sent, content coding off.
    pub bytes: u64,
    /// Not all of it is here.
    pub truncated: bool,
    /// Of a masked one: structure and names, with `…` for values, or the kind of data in brackets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// Of an encrypted one: how many keys it is encrypted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients: Option<u64>,
    /// Of an encrypted one: the file that age makes of the message, in Base64. Absent where it could not be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What is to be encrypted, until it is. Never written.
    #[serde(skip)]
    pub clear: Option<Clear>,
}
