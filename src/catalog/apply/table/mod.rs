//! Tables: `CREATE TABLE` in all its forms.

pub(super) mod columns;
mod create;
pub(super) mod create_as;
mod foreign;
pub(super) mod inherit;
mod like;

pub(super) use self::create::{composite_columns, create};
pub(super) use self::foreign::create as create_foreign;
