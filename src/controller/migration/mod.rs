//! Migrations: observe, decide, apply.

pub mod decide;
mod deletion;
mod gates;
pub mod inputs;
mod next;
pub mod observed;
mod rollback;
mod settle;
mod status;

#[cfg(test)]
pub(super) mod tests;
