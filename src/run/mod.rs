//! Everything that talks to a database.

pub mod connect;
pub mod tls;
