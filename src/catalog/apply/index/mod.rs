//! Indexes: `CREATE INDEX`, and those behind constraints.

mod attach;
mod definition;
mod keys;

use pg_query::protobuf::{IndexStmt, Node, node};

pub(super) use self::attach::attach;
pub(super) use self::definition::{exclusion, redefine};
pub(super) use self::keys::{collation_name, default_collation};

use super::edit::{Edit, Outcome, fail};
use super::names;
use super::options;
use crate::catalog::expression::{Cooked, Scope, column_name, cook_condition, strings};
use crate::catalog::naming;
use crate::catalog::{Index, IndexKey, Name, Relation, RelationKind};

/// Wished for: an index, by a statement or a constraint.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    /// Chosen by the author; generated otherwise.
    pub(super) name: Option<String>,
    pub(super) method: String,
    pub(super) unique: bool,
    pub(super) nulls_not_distinct: bool,
    pub(super) primary: bool,
    /// Label of generated names: `idx`, `key`, `excl`; primary keys have their own rule.
    pub(super) label: &'static str,
    /// `IndexElem` nodes.
    pub(super) keys: Vec<Node>,
    pub(super) include: Vec<Node>,
    pub(super) predicate: Option<Node>,
    pub(super) options: Vec<Node>,
    pub(super) tablespace: String,
    /// Behind a constraint of the same name.
    pub(super) constraint: bool,
    pub(super) deferrable: bool,
    /// Only on the partitioned table itself.
    pub(super) only: bool,
}

/// `CREATE INDEX`.
pub(super) fn create(edit: &mut Edit<'_>, statement: &IndexStmt) -> Outcome {
    let table = names::relation(edit, statement.relation.as_ref())?;
    if !statement.idxname.is_empty() {
        let name = Name::new(table.schema.as_str(), statement.idxname.as_str());
        if naming::relation_exists(edit, &name) {
            if statement.if_not_exists {
                return Ok(());
            }
            fail!("relation {name} already exists");
        }
    }
    let wish = Wish {
        name: Some(statement.idxname.clone()).filter(|name| !name.is_empty()),
        method: statement.access_method.clone(),
        unique: statement.unique,
        nulls_not_distinct: statement.nulls_not_distinct,
        label: "idx",
        keys: statement.index_params.clone(),
        include: statement.index_including_params.clone(),
        predicate: statement.where_clause.as_deref().cloned(),
        options: statement.options.clone(),
        tablespace: statement.table_space.clone(),
        only: statement.relation.as_ref().is_some_and(|range| !range.inh),
        ..Wish::default()
    };
    add(edit, &table, &wish).map(|_| ())
}

/// Column names of the index as generated names use them (`ChooseIndexColumnNames`).
pub(super) fn column_names(keys: &[Node], include: &[Node]) -> Vec<String> {
    naming::index_columns(keys.iter().chain(include).map(|key| match &key.node {
        Some(node::Node::IndexElem(element)) if !element.indexcolname.is_empty() => element.indexcolname.clone(),
        Some(node::Node::IndexElem(element)) if !element.name.is_empty() => element.name.clone(),
        Some(node::Node::IndexElem(element)) => {
            element.expr.as_deref().map_or_else(|| "expr".to_owned(), column_name::of_index)
        }
        Some(node::Node::String(name)) => name.sval.clone(),
        _ => "expr".to_owned(),
    }))
}

/// `ChooseIndexName`.
fn choose_name(edit: &Edit<'_>, table: &Name, wish: &Wish) -> String {
    let columns = naming::joined(&column_names(&wish.keys, &wish.include));
    let parts = if wish.primary {
        (table.name.as_str(), "", "pkey")
    } else {
        (table.name.as_str(), columns.as_str(), wish.label)
    };
    naming::relation_name(edit, &table.schema, parts, wish.constraint)
}

/// Adds the index, and on a partitioned table one for each partition; gives its name.
pub(super) fn add(edit: &mut Edit<'_>, table: &Name, wish: &Wish) -> Outcome<Name> {
    let relation = edit.relation(table)?;
    if !matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView) {
        fail!("an index cannot be created on {table}");
    }
    let name = match &wish.name {
        Some(name) => naming::clip(name, naming::MAX_BYTES).to_owned(),
        None => choose_name(edit, table, wish),
    };
    let name = Name::new(table.schema.as_str(), name);
    if naming::relation_exists(edit, &name) {
        fail!("relation {name} already exists");
    }
    let index = build(edit, table, wish, &name)?;
    let relation = edit.relation(table)?;
    let partitioned = relation.kind == RelationKind::PartitionedTable;
    let kind = if partitioned { RelationKind::PartitionedIndex } else { RelationKind::Index };
    let mut entry = Relation::new(kind, relation.owner.clone());
    entry.persistence = relation.persistence;
    entry.tablespace = tablespace(edit, &wish.tablespace);
    entry.options = options::of(&wish.options);
    entry.index = Some(Box::new(index));
    definition::redefine_entry(edit, &name, &mut entry);
    edit.put_relation(name.clone(), entry);
    if partitioned {
        partitions(edit, table, &name, wish)?;
    }
    Ok(name)
}

fn tablespace(edit: &Edit<'_>, wished: &str) -> String {
    if wished == edit.server.default_tablespace { String::new() } else { wished.to_owned() }
}

/// The facts of an index like the wish, for an index that is there already.
pub(super) fn renewed(edit: &Edit<'_>, table: &Name, wish: &Wish, name: &Name) -> Outcome<Index> {
    build(edit, table, wish, name)
}

fn build(edit: &Edit<'_>, table: &Name, wish: &Wish, name: &Name) -> Outcome<Index> {
    let relation = edit.relation(table)?;
    let scope = Scope::table(table, relation);
    let mut keys = Vec::new();
    let mut expressions: Vec<Cooked> = Vec::new();
    for node in &wish.keys {
        let Some(node::Node::IndexElem(element)) = &node.node else { continue };
        let (key, expression) = keys::key(edit, relation, &scope, &wish.method, element)?;
        keys.push(key);
        expressions.extend(expression);
    }
    let include: Vec<String> = wish
        .include
        .iter()
        .filter_map(|node| match &node.node {
            Some(node::Node::IndexElem(element)) => Some(element.name.clone()),
            Some(node::Node::String(name)) => Some(name.sval.clone()),
            _ => None,
        })
        .collect();
    if let Some(missing) = include.iter().find(|column| relation.column(column).is_none() && !relation.columns_unknown)
    {
        fail!("column {} of {table} does not exist", crate::sql::quote::ident(missing));
    }
    let predicate = wish.predicate.as_ref().map(|node| cook_condition(edit, &scope, node)).transpose()?;
    let text = predicate.as_ref().map(|predicate| predicate.text.clone());
    expressions.extend(predicate);
    let mut functions: Vec<Name> = expressions.iter().flat_map(|found| found.uses.functions()).collect();
    functions.sort();
    functions.dedup();
    let mentioned: Vec<String> = expressions.iter().flat_map(|found| found.uses.columns_of(table)).collect();
    let in_order = relation.columns.iter().map(|column| &column.name).filter(|column| mentioned.contains(column));
    let has_partitions = relation.kind == RelationKind::PartitionedTable && !names::children(edit, table).is_empty();
    Ok(Index {
        table: table.clone(),
        method: wish.method.clone(),
        unique: wish.unique,
        nulls_not_distinct: wish.nulls_not_distinct,
        primary: wish.primary,
        // On the parent alone it becomes valid when every partition's index is attached.
        valid: !(wish.only && has_partitions),
        ready: true,
        immediate: !wish.deferrable,
        keys,
        include,
        predicate: text,
        expression_columns: in_order.cloned().collect(),
        functions,
        constraint: wish.constraint.then(|| name.name.clone()),
        parent: None,
        definition: String::new(),
        clustered: false,
    })
}

/// One index for each partition: an equal one that is there is taken, the rest are created.
fn partitions(edit: &mut Edit<'_>, table: &Name, parent: &Name, wish: &Wish) -> Outcome {
    if wish.only {
        return Ok(());
    }
    for partition in names::children(edit, table) {
        if edit.relation(&partition)?.kind == RelationKind::ForeignTable {
            if wish.unique {
                fail!("a unique index cannot include the foreign table {partition}");
            }
            continue;
        }
        for_partition(edit, &partition, parent, wish)?;
    }
    Ok(())
}

/// Attaches an equal index of the partition to the parent's, or creates one.
pub(super) fn for_partition(edit: &mut Edit<'_>, partition: &Name, parent: &Name, wish: &Wish) -> Outcome {
    if let Some(equal) = attach::equal_index(edit, partition, parent)? {
        return attach::link(edit, &equal, parent);
    }
    let own = Wish { name: None, only: false, ..wish.clone() };
    let index = add(edit, partition, &own)?;
    if wish.constraint {
        super::constraint::unique::behind(edit, partition, &index, wish)?;
    }
    attach::link(edit, &index, parent)
}

/// A wish for an index like the one that exists, as partitions get it from their parent and `LIKE` copies it.
pub(super) fn like(edit: &Edit<'_>, index: &Name) -> Outcome<Wish> {
    let relation = edit.relation(index)?;
    let Some(found) = &relation.index else { fail!("{index} is not an index") };
    let keys = found.keys.iter().map(|key| keys::to_node(edit, &found.table, key)).collect::<Outcome<Vec<_>>>()?;
    let include = found.include.iter().map(|column| keys::column_node(column)).collect();
    let predicate = match &found.predicate {
        Some(text) => Some(parse(text)?),
        None => None,
    };
    let label = match (&found.constraint, found.unique) {
        (Some(_), true) => "key",
        (Some(_), false) => "excl",
        (None, _) => "idx",
    };
    Ok(Wish {
        name: None,
        method: found.method.clone(),
        unique: found.unique,
        nulls_not_distinct: found.nulls_not_distinct,
        primary: found.primary,
        label,
        keys,
        include,
        predicate,
        options: relation.options.iter().map(|entry| option_node(entry)).collect(),
        tablespace: relation.tablespace.clone(),
        constraint: found.constraint.is_some(),
        deferrable: !found.immediate,
        only: false,
    })
}

/// The tree of an expression as the catalog holds it.
pub(super) fn parse(text: &str) -> Outcome<Node> {
    match crate::sql::expression::parse_expression(text) {
        Some(node) => Ok(node),
        None => fail!("a definition in the catalog cannot be read"),
    }
}

fn option_node(entry: &str) -> Node {
    let (name, value) = entry.split_once('=').unwrap_or((entry, "true"));
    let value = Node { node: Some(node::Node::String(pg_query::protobuf::String { sval: value.to_owned() })) };
    let element = pg_query::protobuf::DefElem {
        defname: name.to_owned(),
        arg: Some(Box::new(value)),
        ..pg_query::protobuf::DefElem::default()
    };
    Node { node: Some(node::Node::DefElem(Box::new(element))) }
}

/// The columns of the keys that are plain columns.
pub(super) fn plain_columns(keys: &[IndexKey]) -> Vec<String> {
    keys.iter().filter_map(|key| key.column.clone()).collect()
}

/// Names of the nodes of a key list (`UNIQUE (a, b)`) as index elements.
pub(super) fn elements(columns: &[Node]) -> Vec<Node> {
    strings(columns).iter().map(|column| keys::column_node(column)).collect()
}
