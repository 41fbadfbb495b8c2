//! What is measured of a database over time, as data: [`activity`] by the hour of the week. Reading the server is
//! [`crate::run`]'s part.

pub mod activity;
