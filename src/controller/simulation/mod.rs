//! The whole operator against a simulated API server, cluster and ledger, with a fault at any single point.
//!
//! Everything of the operator is real: watches, stores, queues, reconciliations, requests. What is simulated are the
//! API server behind the client ([`server`], [`store`]), the Job controller and the runner ([`cluster`]) and what the
//! target database remembers ([`ledger`]). Time is tokio's paused clock, so hours pass in milliseconds.
//!
//! A scenario is run once without a fault. That run gives the end that every other run must reach, and the points at
//! which something can go wrong: each request, each watch event, each step of a runner. `WESLEY_SIMULATE=all` tries
//! every fault at every point, `WESLEY_SIMULATE=n` one of n, `WESLEY_SIMULATE_PAIRS=n` n pairs of each scenario; without,
//! a sample is run.

mod cluster;
mod faults;
mod gate_scenarios;
mod history;
mod invariants;
mod ledger;
mod people;
mod plans;
mod reading;
mod scenarios;
mod server;
mod store;
mod tests;
