//! Wesley: zero-downtime PostgreSQL schema changes as Kubernetes resources.
//!
//! Dependencies point inward only: [`sql`], [`catalog::model`] and [`plan`] know neither Kubernetes nor sockets.

pub mod api;
pub mod catalog;
pub mod cli;
pub mod controller;
pub mod exit;
pub mod inspect;
pub mod plan;
pub mod report;
pub mod run;
pub mod sql;
pub mod telemetry;
