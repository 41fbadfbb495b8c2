//! Indexes.

use std::collections::{HashMap, HashSet};

use super::super::{Catalog, Index, IndexKey, Name};
use super::comments::class;
use super::names::Attributes;
use super::query::{Fields, all, each};
use super::{Context, IntrospectError};
use crate::sql::mentioned_columns;

const INDEXES: &str = "
select i.indexrelid, i.indrelid, c.relam, a.amname::pg_catalog.text, i.indisunique, {nulls_not_distinct},
    i.indisprimary, i.indisvalid, i.indisready, i.indimmediate, i.indisclustered,
    i.indnkeyatts, i.indkey::pg_catalog.int2[], i.indclass::pg_catalog.oid[], i.indcollation::pg_catalog.oid[],
    i.indoption::pg_catalog.int2[],
    case when i.indexprs is not null then array(
        select pg_catalog.pg_get_indexdef(i.indexrelid, k.attnum, false)
        from pg_catalog.pg_attribute k
        where k.attrelid = i.indexrelid and k.attnum <= i.indnkeyatts
        order by k.attnum) end,
    case when i.indexprs is not null then array(
        select nullif(k.attstattarget, -1)::pg_catalog.int4
        from pg_catalog.pg_attribute k
        where k.attrelid = i.indexrelid
        order by k.attnum) end,
    pg_catalog.pg_get_expr(i.indpred, i.indrelid),
    o.conname::pg_catalog.text,
    h.inhparent,
    pg_catalog.pg_get_indexdef(i.indexrelid)
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_am a on a.oid = c.relam
left join pg_catalog.pg_constraint o on o.conindid = i.indexrelid and o.contype in ('p', 'u', 'x')
left join pg_catalog.pg_inherits h on h.inhrelid = i.indexrelid
where c.relnamespace = any($1)";

const OPERATOR_CLASSES: &str = "
select o.oid, o.opcmethod, n.nspname::pg_catalog.text, o.opcname::pg_catalog.text, fn.nspname::pg_catalog.text,
    f.opfname::pg_catalog.text, o.opcintype, o.opcdefault
from pg_catalog.pg_opclass o
join pg_catalog.pg_namespace n on n.oid = o.opcnamespace
join pg_catalog.pg_opfamily f on f.oid = o.opcfamily
join pg_catalog.pg_namespace fn on fn.oid = f.opfnamespace";

struct OperatorClass {
    name: String,
    family: String,
    input: Option<Name>,
    default: bool,
}

#[derive(Default)]
struct OperatorClasses {
    of: HashMap<u32, OperatorClass>,
    /// Access methods and the types for which they have a default class of exactly that type.
    exact: HashSet<(u32, Name)>,
}

impl OperatorClasses {
    /// As the server decides it: the class for exactly this type goes before one for a type that this one can be
    /// read as.
    fn is_default(&self, class: &OperatorClass, method: u32, column: Option<&Name>) -> bool {
        let exact = column.is_some_and(|column| self.exact.contains(&(method, column.clone())));
        class.default && (!exact || class.input.as_ref() == column)
    }
}

pub(super) async fn read(context: &Context<'_>, catalog: &mut Catalog) -> Result<(), IntrospectError> {
    let names = &context.names;
    let classes = operator_classes(context).await?;
    let sql = INDEXES.replace("{nulls_not_distinct}", context.since(15, "i.indnullsnotdistinct", "false"));
    each(context.client, "indexes", &sql, &names.schema_oids, |row| {
        let oid = row.take()?;
        let Some(index) = index(context, catalog, &classes, oid, row)? else { return Ok(()) };
        if let Some(relation) = names.relations.get(&oid).and_then(|name| catalog.relations.get_mut(name)) {
            relation.index = Some(Box::new(index));
        }
        Ok(())
    })
    .await
}

async fn operator_classes(context: &Context<'_>) -> Result<OperatorClasses, IntrospectError> {
    let mut classes = OperatorClasses::default();
    all(context.client, "operator classes", OPERATOR_CLASSES, |row| {
        let (oid, method) = (row.take()?, row.take()?);
        let name = Name { schema: row.take()?, name: row.take()? };
        let family = Name { schema: row.take()?, name: row.take()? };
        let input = context.names.type_name(row.take()?).filter(|(_, array)| !array).map(|(name, _)| name.clone());
        let default = row.take()?;
        if let Some(input) = input.clone().filter(|_| default) {
            classes.exact.insert((method, input));
        }
        let name = if name.schema == "pg_catalog" { name.name } else { name.to_string() };
        classes.of.insert(oid, OperatorClass { name, family: family.to_string(), input, default });
        Ok(())
    })
    .await?;
    Ok(classes)
}

fn index(
    context: &Context<'_>,
    catalog: &Catalog,
    classes: &OperatorClasses,
    oid: u32,
    row: &mut Fields<'_>,
) -> Result<Option<Index>, tokio_postgres::Error> {
    let names = &context.names;
    let table_oid: u32 = row.take()?;
    let Some(table) = names.relations.get(&table_oid) else { return Ok(None) };
    let access_method: u32 = row.take()?;
    let mut index = Index {
        table: table.clone(),
        method: row.take()?,
        unique: row.take()?,
        nulls_not_distinct: row.take()?,
        primary: row.take()?,
        valid: row.take()?,
        ready: row.take()?,
        immediate: row.take()?,
        clustered: row.take()?,
        keys: Vec::new(),
        include: Vec::new(),
        predicate: None,
        expression_columns: Vec::new(),
        functions: context.dependencies.references(class::RELATION, oid, names).functions,
        constraint: None,
        parent: None,
        definition: String::new(),
    };
    let key_count = usize::try_from(row.take::<i16>()?).unwrap_or(0);
    let numbers: Vec<i16> = row.take()?;
    index.keys.reserve_exact(key_count);
    let (class_oids, collations, options) = (row.take_list::<u32>()?, row.take_list::<u32>()?, row.take_list::<i16>()?);
    let (texts, targets) = (row.take_list::<String>()?, row.take_list::<Option<i32>>()?);
    let columns = catalog.relations.get(table).map_or(&[][..], |table| &table.columns);
    for (position, number) in numbers.iter().take(key_count).enumerate() {
        let column = names.column(table_oid, *number);
        let data_type = columns.iter().find(|candidate| Some(candidate.name.as_str()) == column);
        let data_type = data_type.map(|column| &column.data_type).filter(|data_type| !data_type.array);
        let class = class_oids.get(position).and_then(|class| classes.of.get(class));
        let option = options.get(position).copied().unwrap_or(0);
        index.keys.push(IndexKey {
            column: column.map(str::to_owned),
            expression: column.is_none().then(|| texts.get(position).cloned()).flatten(),
            operator_class: class.map(|class| class.name.clone()).unwrap_or_default(),
            operator_family: class.map(|class| class.family.clone()).unwrap_or_default(),
            default_class: class.is_none_or(|class| {
                classes.is_default(class, access_method, data_type.map(|data_type| &data_type.name))
            }),
            collation: collations.get(position).and_then(|oid| names.collations.get(oid)).cloned().unwrap_or_default(),
            descending: option & 1 != 0,
            nulls_first: option & 2 != 0,
            statistics_target: targets.get(position).copied().flatten(),
        });
    }
    index.include = names.columns(table_oid, numbers.get(key_count..).unwrap_or(&[]));
    index.predicate = row.take()?;
    index.constraint = row.take()?;
    index.parent = row.take::<Option<u32>>()?.and_then(|parent| names.relations.get(&parent)).cloned();
    index.definition = row.take()?;
    index.expression_columns = expression_columns(context, oid, table_oid, &numbers, &index);
    Ok(Some(index))
}

/// Columns that expressions and the predicate mention, in the table's order. The server records each column of
/// the index once, so for those that are also plain parts the text decides.
fn expression_columns(context: &Context<'_>, oid: u32, table: u32, plain: &[i16], index: &Index) -> Vec<String> {
    let expressions = index.keys.iter().filter_map(|key| key.expression.as_deref());
    let texts: Vec<&str> = expressions.chain(index.predicate.as_deref()).collect();
    if texts.is_empty() {
        return Vec::new();
    }
    let mentioned: Option<HashSet<String>> =
        texts.into_iter().map(mentioned_columns).try_fold(HashSet::new(), |mut all, columns| {
            all.extend(columns?);
            Some(all)
        });
    let recorded = context.dependencies.column_numbers(class::RELATION, oid, table);
    let columns = context.names.attributes.get(&table).into_iter().flat_map(Attributes::iter);
    columns
        .filter(|(number, name)| {
            let is_mentioned = || mentioned.as_ref().is_none_or(|mentioned| mentioned.contains(*name));
            if plain.contains(number) { is_mentioned() } else { recorded.contains(number) }
        })
        .map(|(_, name)| name.to_owned())
        .collect()
}
