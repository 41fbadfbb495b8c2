//! What is measured of a database over time, as data: [`activity`] by the hour of the week, [`statements`] before and
//! after a change. Reading the server is [`crate::run`]'s part.

pub mod activity;
pub mod statements;
