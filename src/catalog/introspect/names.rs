//! From oids to names. The other readers' rows carry oids.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::super::{DataType, Name, Shared};
use super::IntrospectError;
use super::query::{all, each};

/// Names of what other objects mention.
#[derive(Default)]
pub(super) struct Names {
    /// Oids of the schemas that are read.
    pub(super) schema_oids: Vec<u32>,
    /// Those schemas by oid.
    pub(super) schemas: HashMap<u32, String>,
    /// Relations of those schemas; filled by `relations`.
    pub(super) relations: HashMap<u32, Name>,
    /// Free-standing composite types by the oid of their relation; filled by `types`.
    pub(super) composites: HashMap<u32, Name>,
    /// Functions of those schemas.
    pub(super) functions: HashMap<u32, Name>,
    /// Columns by relation; filled by `columns`.
    pub(super) attributes: HashMap<u32, Attributes>,
    /// Every collation as `schema.name`, quoted.
    pub(super) collations: HashMap<u32, String>,
    /// Every type but the row types that nothing uses.
    types: HashMap<u32, TypeName>,
    /// Types and modifiers in use, as `format_type` prints them: columns share them.
    formatted: HashMap<(u32, i32), Shared<DataType>>,
}

/// Numbers and names of a relation's columns, packed: there may be hundreds of thousands.
#[derive(Default)]
pub(super) struct Attributes {
    /// Ascending.
    numbers: Vec<i16>,
    /// All names in one text, and where each ends.
    text: String,
    ends: Vec<u32>,
}

impl Attributes {
    /// Adds a column with a higher number than those before.
    pub(super) fn push(&mut self, number: i16, name: &str) {
        self.numbers.push(number);
        self.text.push_str(name);
        self.ends.extend(u32::try_from(self.text.len()));
    }

    /// Numbers and names in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i16, &str)> {
        self.numbers.iter().enumerate().filter_map(|(position, number)| Some((*number, self.name(position)?)))
    }

    fn find(&self, number: i16) -> Option<&str> {
        self.name(self.numbers.binary_search(&number).ok()?)
    }

    fn name(&self, position: usize) -> Option<&str> {
        let start = match position.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        let end = *self.ends.get(position)?;
        self.text.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }
}

struct TypeName {
    /// The element's for arrays.
    name: Name,
    array: bool,
}

const SCHEMAS: &str = r"
select n.oid, n.nspname::pg_catalog.text
from pg_catalog.pg_namespace n
where n.nspname not like 'pg\_%' and n.nspname not in ('information_schema', 'wesley')
order by n.nspname";

const TYPES: &str = "
select t.oid, n.nspname::pg_catalog.text, named.typname::pg_catalog.text, e.oid is not null
from pg_catalog.pg_type t
left join pg_catalog.pg_type e on e.typarray = t.oid
join pg_catalog.pg_type named on named.oid = coalesce(e.oid, t.oid)
join pg_catalog.pg_namespace n on n.oid = named.typnamespace
left join pg_catalog.pg_class c on c.oid = named.typrelid
where named.typtype <> 'c' or c.relkind = 'c' or exists (
    select from pg_catalog.pg_depend d
    where d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid = t.oid and d.deptype <> 'i')";

const COLLATIONS: &str = "
select c.oid, n.nspname::pg_catalog.text, c.collname::pg_catalog.text
from pg_catalog.pg_collation c
join pg_catalog.pg_namespace n on n.oid = c.collnamespace";

const FUNCTIONS: &str = "
select p.oid, p.pronamespace, p.proname::pg_catalog.text
from pg_catalog.pg_proc p
where p.pronamespace = any($1)";

/// Types of columns and under domains: few distinct ones, however many columns.
const FORMATTED: &str = "
select used.type, used.modifier, pg_catalog.format_type(used.type, used.modifier)
from (
    select distinct a.atttypid as type, a.atttypmod as modifier
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_class c on c.oid = a.attrelid
    where c.relnamespace = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f', 'c') and a.attnum > 0
        and not a.attisdropped
    union
    select t.typbasetype, t.typtypmod
    from pg_catalog.pg_type t
    where t.typnamespace = any($1) and t.typtype = 'd'
) used";

pub(super) async fn read(client: &Client) -> Result<Names, IntrospectError> {
    let mut names = Names::default();
    all(client, "schemas", SCHEMAS, |row| {
        let oid = row.take()?;
        names.schema_oids.push(oid);
        names.schemas.insert(oid, row.take()?);
        Ok(())
    })
    .await?;
    all(client, "types", TYPES, |row| {
        let oid = row.take()?;
        let name = Name { schema: row.take()?, name: row.take()? };
        names.types.insert(oid, TypeName { name, array: row.take()? });
        Ok(())
    })
    .await?;
    all(client, "collations", COLLATIONS, |row| {
        let oid = row.take()?;
        let name = Name { schema: row.take()?, name: row.take()? };
        names.collations.insert(oid, name.to_string());
        Ok(())
    })
    .await?;
    let schemas = std::mem::take(&mut names.schema_oids);
    each(client, "functions", FUNCTIONS, &schemas, |row| {
        let oid = row.take()?;
        if let Some(name) = names.in_schema(row.take()?, row.take()?) {
            names.functions.insert(oid, name);
        }
        Ok(())
    })
    .await?;
    each(client, "types", FORMATTED, &schemas, |row| {
        let (oid, modifier) = (row.take()?, row.take()?);
        let found = names.named(oid, modifier, Some(row.take()?));
        names.formatted.insert((oid, modifier), found.into());
        Ok(())
    })
    .await?;
    names.schema_oids = schemas;
    Ok(names)
}

impl Names {
    /// A name in one of the schemas that are read.
    pub(super) fn in_schema(&self, schema: u32, name: String) -> Option<Name> {
        self.schemas.get(&schema).map(|schema| Name { schema: schema.clone(), name })
    }

    /// The column of that number.
    pub(super) fn column(&self, relation: u32, number: i16) -> Option<&str> {
        self.attributes.get(&relation)?.find(number)
    }

    /// The columns of those numbers, in their order; expressions (0) and system columns are left out.
    pub(super) fn columns(&self, relation: u32, numbers: &[i16]) -> Vec<String> {
        numbers.iter().filter_map(|number| self.column(relation, *number)).map(str::to_owned).collect()
    }

    /// The type (for arrays their element's) and whether it is an array.
    pub(super) fn type_name(&self, oid: u32) -> Option<(&Name, bool)> {
        self.types.get(&oid).map(|found| (&found.name, found.array))
    }

    /// The type of a column or under a domain.
    pub(super) fn data_type(&self, oid: u32, modifier: i32) -> Shared<DataType> {
        match self.formatted.get(&(oid, modifier)) {
            Some(found) => found.clone(),
            None => self.named(oid, modifier, None).into(),
        }
    }

    fn named(&self, oid: u32, modifier: i32, formatted: Option<String>) -> DataType {
        let (name, array) = match self.type_name(oid) {
            Some((name, array)) => (name.clone(), array),
            None => (Name::new("pg_catalog", "unknown"), false),
        };
        let sql = formatted.unwrap_or_else(|| name.to_string());
        DataType { name, modifier, array, sql }
    }
}
