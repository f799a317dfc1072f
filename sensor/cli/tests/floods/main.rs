//! Floods, limits and damaged captures through the whole pipeline, at sizes that cross every limit in seconds. The
//! full sizes are `cargo xtask flood` and `cargo xtask mutate`.
//!
//! Where each limit is tested at its edge, and under which name it is counted in the final totals:
//!
//! | limit | test | counted as |
//! | --- | --- | --- |
//! | flows | [`limits`], `net::flow::tests::lifetime` | `limits.flows` |
//! | bytes behind a hole, of one direction and of all | [`limits`], `net::flow::tests::reassembly` | `limits.reassembly_per_direction`, `limits.reassembly` |
//! | head of a message | [`limits`], `proto::http1::tests::framing` | `limits.head_bytes`, a notice |
//! | requests waiting for an answer | [`limits`], `proto::http1::tests::pairing` | `limits.pipeline_depth`, a notice |
//! | bytes held after CONNECT | `proto::http1::tests::upgrades` | – (nothing is lost: they are read as a tunnel) |
//! | bytes of an unknown protocol looked at | [`limits`], `proto::http1::tests::heads` | `uninspected_bytes.unknown` |
//! | exchanges of one flow | [`limits`] | `limits.exchanges_per_flow` |
//! | decoded bytes, ratio, stack of codings | [`limits`], `proto::coding::tests` | `limits.undecoded_*`, a notice |
//! | window of a coding, memory of all decoders | `proto::coding::tests` | `limits.undecoded_*`, `limits.decoder_budget` |
//! | inflated bytes of a WebSocket message | `proto::websocket::tests` | `notices.http_ambiguity` |
//! | name, list, arguments, depth of JSON | `mcp` `tests/properties.rs` | – (cut texts end in `…`) |
//! | exchanges, conversations, servers, names, in bytes | [`limits`], [`floods`] | `limits.open_exchanges`, `conversations`, `servers` and `server_facts`, `names` |
//! | calls, names, signals of a detection | [`limits`] | `limits.calls_per_detection`, `names_per_detection`, `signals_per_detection` |
//! | calls under way on one exchange | [`limits`] | `limits.units_waiting` |
//! | calls of a conversation waiting elsewhere | [`limits`] | `limits.calls_waiting_per_session` |
//! | clients of a server, connections of a session | [`limits`] | `limits.clients_per_server`, `flows_per_session` |
//! | notices of one code | [`limits`], `correlate::notices` | `held_back`, `notices` |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests may fail loudly"
)]

mod floods;
mod limits;
mod memory;
mod mutants;
mod run;
#[allow(dead_code, reason = "the other binary uses the rest")]
#[path = "../replay/support.rs"]
mod support;
