//! The program on live traffic: network namespaces with a cable between them, made and removed by each test. Without
//! root or `ip` the tests say so and pass.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod confined;
#[path = "../shared/installed.rs"]
mod installed;
mod peers;
mod process;
mod reload;
mod sent;
mod support;
mod trouble;
