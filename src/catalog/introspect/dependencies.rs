//! What expressions, rules, policies, triggers and function bodies depend on (`pg_depend`).

use std::collections::{BTreeSet, HashMap};

use tokio_postgres::Client;

use super::super::{ColumnReference, Name};
use super::IntrospectError;
use super::comments::class;
use super::names::Names;
use super::query::all;

/// Dependencies by the class and oid of the dependent object.
#[derive(Default)]
pub(super) struct Dependencies {
    of: HashMap<(u32, u32), Vec<Target>>,
}

struct Target {
    class: u32,
    oid: u32,
    column: i16,
}

/// What an object depends on, each once and in order.
#[derive(Default)]
pub(super) struct References {
    pub(super) relations: Vec<ColumnReference>,
    pub(super) functions: Vec<Name>,
    pub(super) types: Vec<Name>,
}

/// Only what users made (oids from 16384 on) and only the classes that the readers ask for. Of relations as
/// dependents: indexes with an expression or a predicate, and partitioned tables. The columns of a partition key
/// are recorded the other way round, as internal parts of their table. Before 15, a generated column depends
/// itself on what its expression mentions, from 15 on the expression does.
const DEPENDENCIES: &str = "
select d.classid, d.objid, d.refclassid, d.refobjid, d.refobjsubid
from pg_catalog.pg_depend d
where d.refobjid >= 16384
    and d.refclassid in ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass,
        'pg_catalog.pg_type'::pg_catalog.regclass)
    and d.classid in ('pg_catalog.pg_rewrite'::pg_catalog.regclass, 'pg_catalog.pg_attrdef'::pg_catalog.regclass,
        'pg_catalog.pg_policy'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass,
        'pg_catalog.pg_trigger'::pg_catalog.regclass, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass,
        'pg_catalog.pg_publication_rel'::pg_catalog.regclass)
    and d.deptype in ('n', 'a')
union all
select d.classid, d.objid, d.refclassid, d.refobjid, d.refobjsubid
from pg_catalog.pg_depend d
where d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
    and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.refobjid >= 16384
union all
select d.classid, d.objid, d.refclassid, d.refobjid, d.refobjsubid
from pg_catalog.pg_depend d
join (
    select i.indexrelid from pg_catalog.pg_index i
    where (i.indexprs is not null or i.indpred is not null) and i.indexrelid >= 16384
    union all
    select p.partrelid from pg_catalog.pg_partitioned_table p
) with_expression(oid) on with_expression.oid = d.objid
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objsubid = 0
    and d.refclassid in ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
    and d.refobjid >= 16384
union all
select d.classid, d.refobjid, d.classid, d.objid, d.objsubid
from pg_catalog.pg_depend d
join pg_catalog.pg_partitioned_table p on p.partrelid = d.objid
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refclassid = d.classid and d.refobjid = d.objid
    and d.objsubid > 0 and d.refobjsubid = 0 and d.deptype = 'i'
union all
select 'pg_catalog.pg_attrdef'::pg_catalog.regclass, e.oid, d.refclassid, d.refobjid, d.refobjsubid
from pg_catalog.pg_depend d
join pg_catalog.pg_attrdef e on e.adrelid = d.objid and e.adnum = d.objsubid
join pg_catalog.pg_attribute a on a.attrelid = e.adrelid and a.attnum = e.adnum and a.attgenerated <> ''
where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objsubid > 0 and d.refobjid >= 16384
    and (d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        or d.refclassid = d.classid and d.refobjsubid > 0) and d.deptype in ('n', 'a')";

pub(super) async fn read(client: &Client) -> Result<Dependencies, IntrospectError> {
    let mut dependencies = Dependencies::default();
    all(client, "dependencies", DEPENDENCIES, |row| {
        let dependent = (row.take()?, row.take()?);
        let (class, oid, column): (u32, u32, i32) = (row.take()?, row.take()?, row.take()?);
        let target = Target { class, oid, column: i16::try_from(column).unwrap_or(0) };
        dependencies.of.entry(dependent).or_default().push(target);
        Ok(())
    })
    .await?;
    Ok(dependencies)
}

impl Dependencies {
    /// What the object depends on, in names. Objects outside of the schemas that are read are left out.
    pub(super) fn references(&self, class: u32, oid: u32, names: &Names) -> References {
        let mut relations = BTreeSet::new();
        let mut functions = BTreeSet::new();
        let mut types = BTreeSet::new();
        for target in self.of.get(&(class, oid)).map_or(&[][..], Vec::as_slice) {
            match target.class {
                class::RELATION => {
                    if let Some(relation) = names.relations.get(&target.oid) {
                        let column = names.column(target.oid, target.column).map(str::to_owned);
                        relations.insert(ColumnReference { relation: relation.clone(), column });
                    }
                }
                class::FUNCTION => functions.extend(names.functions.get(&target.oid).cloned()),
                class::TYPE => types.extend(names.type_name(target.oid).map(|(name, _)| name.clone())),
                _ => {}
            }
        }
        References {
            relations: relations.into_iter().collect(),
            functions: functions.into_iter().collect(),
            types: types.into_iter().collect(),
        }
    }

    /// The numbers of the relation's columns that the object depends on, ascending, each once.
    pub(super) fn column_numbers(&self, class: u32, oid: u32, relation: u32) -> Vec<i16> {
        let targets = self.of.get(&(class, oid)).map_or(&[][..], Vec::as_slice);
        let numbers: BTreeSet<i16> = targets
            .iter()
            .filter(|target| target.class == class::RELATION && target.oid == relation && target.column > 0)
            .map(|target| target.column)
            .collect();
        numbers.into_iter().collect()
    }
}
