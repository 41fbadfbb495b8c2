//! The operator: reads resources, decides, creates Jobs, writes status.
pub mod conditions;
pub mod jobs;
pub mod migration;
pub mod names;
pub mod phase;
pub mod retry;
pub mod windows;
