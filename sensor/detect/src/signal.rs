//! One observation in traffic: a signature that hit, or a fact the parser proved.

use serde::{Deserialize, Serialize};

/// How much a signature or fact weighs. Signatures are at most [`Weight::Strong`]; only the parser proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Says nothing about MCP: written along with others, never counted.
    Info,
    /// Only together with another weak one.
    Weak,
    /// At most `possible`.
    Medium,
    /// At most `likely`.
    Strong,
    /// `confirmed`; the parser's alone.
    Proof,
}

/// How bad a hit is by itself; a detection has the worst of its signals and its classification.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    #[default]
    Info,
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Wake somebody.
    Critical,
}

/// Where a signal came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// A pattern of a rule file.
    Signature,
    /// A fact proved by parsing.
    Structure,
}

/// One observation, with its evidence already cut and masked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
pub struct Signal {
    /// Stable id, such as `mcp.body.tools-call` or `mcp.proof.initialize`.
    pub id: String,
    /// Signature or structure.
    pub kind: SignalKind,
    /// The field it was seen on, such as `request.body` or `url`.
    pub on: String,
    /// Its weight.
    pub weight: Weight,
    /// Masked excerpt, at most 150 bytes; empty where there is nothing to show.
    pub excerpt: String,
    /// Byte offset in the field; 0 where it has none.
    pub offset: u64,
}

/// Which body of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// What the client sends.
    Request,
    /// What the server sends.
    Response,
}

impl Side {
    /// The side whose bytes travel in `dir`.
    pub const fn of(dir: net::Direction) -> Self {
        match dir {
            net::Direction::ToServer => Self::Request,
            net::Direction::ToClient => Self::Response,
        }
    }

    /// The direction that its bytes travel in.
    pub const fn dir(self) -> net::Direction {
        match self {
            Self::Request => net::Direction::ToServer,
            Self::Response => net::Direction::ToClient,
        }
    }

    /// The contract's name of its body.
    pub const fn body_field(self) -> &'static str {
        match self {
            Self::Request => "request.body",
            Self::Response => "response.body",
        }
    }
}
