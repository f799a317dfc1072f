//! Messages → facts: JSON-RPC by an own push tokenizer, MCP revisions, headers, look-alikes. Pure; decides nothing.

mod arguments;
mod auth;
mod endpoint;
mod evidence;
mod extract;
mod forwarded;
mod fuzz;
mod headers;
mod judge;
mod keys;
mod mask;
mod message;
mod methods;
mod nodes;
mod oauth;
mod path;
mod provider;
mod reader;
mod supply;
mod tokenizer;
mod values;
mod wide;

pub use auth::{Auth, AuthKind, Claims};
pub use endpoint::{Endpoint, endpoint_url, target_key};
pub use forwarded::{Forwarded, MAX_HOPS};
pub use fuzz::{fuzz_headers, fuzz_json};
pub use headers::{
    Challenge, RequestFacts, ResponseFacts, header_mismatch, is_remarkable, request_facts, response_facts,
};
pub use judge::{LookAlike, Verdict, judge};
pub use mask::{clean_text, clean_uri, looks_secret};
pub use message::{
    Arguments, BodyKind, Evidence, Failure, Id, Implementation, Kind, MAX_ARGUMENTS, MAX_ID, MAX_LIST, MAX_TEXT,
    Message, Outcome, Params, Version,
};
pub use methods::{METHODS, Method, Revision, Sender, direction_of, is_mcp_method, method_of};
pub use oauth::{Document, names_mcp, resource_parameter};
pub use path::{PathFacts, WellKnown, WellKnownKind, normal_target, normalise};
pub use provider::{MAX_PROVIDER_CALLS, MAX_PROVIDER_SERVERS, Provider, ProviderApi, ProviderCall, ProviderServer};
pub use reader::{Doubt, Limits, Reader, Standing, Stats};
pub use supply::{Supply, SupplyKind, install_link, supply};
