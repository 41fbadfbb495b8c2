//! Migrations: observe, decide, apply.

mod apply;
mod approval;
pub mod decide;
mod deletion;
pub mod dependencies;
mod ended;
mod gate_list;
mod gates;
pub mod inputs;
mod job_end;
mod next;
pub mod observation;
mod observe;
pub mod observed;
mod reconcile;
mod rollback;
mod settle;
mod status;

#[cfg(test)]
pub(super) mod tests;

pub use apply::{create_job_once, remember_refusal};
pub use observe::{job_state, window_name};
pub use reconcile::reconcile;
