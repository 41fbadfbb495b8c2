//! Comments, and which extension an object belongs to.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::IntrospectError;
use super::query::all;

/// Oids of system catalogs, as `pg_depend` and `pg_description` name classes of objects. Fixed in every release.
pub(super) mod class {
    pub(in super::super) const TYPE: u32 = 1247;
    pub(in super::super) const FUNCTION: u32 = 1255;
    pub(in super::super) const RELATION: u32 = 1259;
    pub(in super::super) const COLUMN_DEFAULT: u32 = 2604;
    pub(in super::super) const CONSTRAINT: u32 = 2606;
    pub(in super::super) const SCHEMA: u32 = 2615;
    pub(in super::super) const RULE: u32 = 2618;
    pub(in super::super) const TRIGGER: u32 = 2620;
    pub(in super::super) const POLICY: u32 = 3256;
    pub(in super::super) const STATISTICS: u32 = 3381;
    pub(in super::super) const PUBLICATION_RELATION: u32 = 6106;
}

/// Comments and extensions by class and oid.
#[derive(Default)]
pub(super) struct Comments {
    comments: HashMap<(u32, u32, i32), String>,
    extensions: HashMap<(u32, u32), String>,
}

/// Objects that initdb made have oids below 16384; of these only the schema `public` is of interest.
const COMMENTS: &str = "
select d.classoid, d.objoid, d.objsubid, d.description
from pg_catalog.pg_description d
where d.objoid >= 16384 or d.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass";

const EXTENSIONS: &str = "
select d.classid, d.objid, e.extname::pg_catalog.text
from pg_catalog.pg_depend d
join pg_catalog.pg_extension e on e.oid = d.refobjid
where d.deptype = 'e' and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.objid >= 16384";

pub(super) async fn read(client: &Client) -> Result<Comments, IntrospectError> {
    let mut comments = Comments::default();
    all(client, "comments", COMMENTS, |row| {
        let key = (row.take()?, row.take()?, row.take()?);
        comments.comments.insert(key, row.take()?);
        Ok(())
    })
    .await?;
    all(client, "extensions", EXTENSIONS, |row| {
        let key = (row.take()?, row.take()?);
        comments.extensions.insert(key, row.take()?);
        Ok(())
    })
    .await?;
    Ok(comments)
}

impl Comments {
    /// The object's comment.
    pub(super) fn of(&self, class: u32, oid: u32) -> Option<String> {
        self.comments.get(&(class, oid, 0)).cloned()
    }

    /// The column's comment.
    pub(super) fn of_column(&self, relation: u32, number: i16) -> Option<String> {
        self.comments.get(&(class::RELATION, relation, i32::from(number))).cloned()
    }

    /// The extension that owns the object.
    pub(super) fn extension(&self, class: u32, oid: u32) -> Option<String> {
        self.extensions.get(&(class, oid)).cloned()
    }
}
