//! Messages → facts: JSON-RPC by an own push tokenizer, MCP revisions, headers, look-alikes. Pure; decides nothing.

mod arguments;
mod auth;
mod catalogue;
mod codemode;
mod endpoint;
mod evidence;
mod excerpt;
mod extract;
mod form;
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
mod walk;
mod wide;

pub use auth::{Auth, AuthKind, Claims};
pub use catalogue::{Catalogue, MAX_TOOL, Offered, Tool, ToolClass, catalogue_hash, read_tool};
pub use codemode::{
    CodeMode, MAX_PROGRAM, MAX_TOOLS, PROGRAM_MEMBERS, Program, code_mode, fuzz_codemode, inner_tools,
    looks_like_program, shows_two_tools,
};
pub use endpoint::{Endpoint, endpoint_url, target_key};
pub use excerpt::{Excerpt, MAX_EXCERPT, excerpt};
pub use form::{ClientId, Form, MAX_FORM, OAuthStage, Parameters, query_parameters};
pub use forwarded::{Forwarded, MAX_HOPS};
pub use fuzz::{fuzz_headers, fuzz_json, fuzz_walk};
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
pub use oauth::{Document, MAX_AUTHORIZATION_SERVERS, names_mcp, resource_parameter};
pub use path::{PathFacts, WellKnown, WellKnownKind, normal_target, normalise};
pub use provider::{MAX_PROVIDER_CALLS, MAX_PROVIDER_SERVERS, Provider, ProviderApi, ProviderCall, ProviderServer};
pub use reader::{Doubt, Limits, Reader, Standing, Stats};
pub use supply::{Supply, SupplyKind, install_link, supply};
pub use walk::{Broken, KEPT_BYTES, Leaf, Path, Step, Value, Walker, removals, utf8_form, walk};
