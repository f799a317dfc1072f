//! The program as users and scripts meet it: help, messages, exit status, what goes where.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail loudly")]

mod ca;
mod deploy;
mod doctor;
mod help;
mod manifests;
mod payload;
mod replay;
mod rights;
mod rules;
mod settings;
mod support;
mod timeline;
