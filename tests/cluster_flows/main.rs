//! Migrations on a real cluster: what a person sees of every way that one can go, good or bad, and what the
//! database holds afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../cluster_support/mod.rs"]
mod cluster_support;

mod approval;
mod bad_connection;
mod bad_input;
mod changes;
mod kills;
mod large;
mod rivals;
mod rollback;
mod secrecy;
mod success;
mod windows;
