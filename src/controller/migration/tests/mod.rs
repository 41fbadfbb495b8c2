//! Tables of observations and what is decided about them.

mod end_to_end;
mod faults;
pub(in crate::controller) mod gates;
mod histories;
mod leaving;
mod observation;
mod verdicts;
pub(in crate::controller) mod world;
