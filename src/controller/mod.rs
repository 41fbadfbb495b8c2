//! The operator: reads resources, decides, creates Jobs, writes status.
//!
//! Reading (`observe`), deciding (`decide`, pure) and writing (`apply`) are apart. The controller is the only writer
//! of `Migration.status` and never talks to a database.

pub mod args;
mod clock;
mod conditions;
mod context;
mod database;
mod error;
mod events;
mod jobs;
mod lease;
pub mod migration;
mod names;
mod namespace;
mod phase;
mod retry;
mod rivals;
mod run;
mod scope;
#[cfg(test)]
mod simulation;
mod validation_window;
mod wake;
pub(crate) mod windows;

pub use run::run;
