//! CREATE INDEX, also on partitioned tables and CONCURRENTLY.

use pg_query::NodeEnum;
use pg_query::protobuf::{IndexStmt, SortByDir, SortByNulls};

use super::matching::matches;
use crate::catalog::apply::{extension_default_class, unlisted_extension_schema};
use crate::catalog::builtin::{casts_from, default_operator_class, operator_class};
use crate::catalog::types::base_type;
use crate::catalog::{Generated, Name, RelationKind};
use crate::plan::analyze::expression::{self, Place, type_of, uncollatable};
use crate::plan::analyze::names::{Qualified, strings};
use crate::plan::analyze::objects::is_system_column;
use crate::plan::analyze::refusal::{
    missing_object, missing_relation, refuse_composite, relation_exists, require_tablespace, wrong_kind,
};
use crate::plan::analyze::resolve::{Lookup, Rel};
use crate::plan::analyze::since::{self, Feature};
use crate::plan::analyze::volatile::evaluate;
use crate::plan::analyze::{Impact, Resolver, TransactionRule, effects, routines};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;

/// Access methods of every server (`pg_am`, amtype i).
const ACCESS_METHODS: &[&str] = &["btree", "hash", "gist", "gin", "spgist", "brin"];

/// Share on the table (and, when it is partitioned, on everything below it), ShareUpdateExclusive with
/// CONCURRENTLY; every heap that gets an index is read. A partition that already has a matching index keeps it.
pub(in crate::plan::analyze) fn create_index(statement: &IndexStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(name) = &statement.relation else { return impact };
    if statement.concurrent {
        impact.transaction = TransactionRule::Forbidden;
    }
    if statement.nulls_not_distinct {
        since::require(&mut impact, resolver, Feature::NullsNotDistinct);
    }
    let table = match resolver.lookup(name) {
        Lookup::Found(found) => found,
        Lookup::System => return impact,
        Lookup::Missing => {
            refuse_composite(&mut impact, resolver, Qualified::from_range(name));
            missing_relation(&mut impact, Qualified::from_range(name));
            return impact;
        }
    };
    let mode = if statement.concurrent { LockMode::ShareUpdateExclusive } else { LockMode::Share };
    if !matches!(
        table.relation.kind,
        RelationKind::Table | RelationKind::PartitionedTable | RelationKind::MaterializedView
    ) {
        wrong_kind(&mut impact, &table.name.name, "a table or materialized view");
        return impact;
    }
    impact.lock(table.name.clone(), mode);
    let taken = !statement.idxname.is_empty()
        && resolver.get(&Name::new(table.name.schema.clone(), statement.idxname.clone())).is_some();
    check(&mut impact, statement, resolver, table);
    // Partitions are locked before the name is looked at.
    let below = table.relation.kind == RelationKind::PartitionedTable && name.inh;
    for partition in below.then(|| resolver.descendants(table)).into_iter().flatten() {
        impact.lock(partition.name.clone(), mode);
    }
    if taken && statement.if_not_exists {
        return impact;
    }
    if taken {
        relation_exists(&mut impact, &statement.idxname);
    }
    if table.relation.kind == RelationKind::PartitionedTable {
        if name.inh {
            build_below(&mut impact, statement, resolver, table);
        }
    } else {
        build(&mut impact, statement, table);
    }
    run_functions(&mut impact, statement, resolver, table);
    if statement.concurrent {
        concurrent(&mut impact, statement, resolver, table);
    }
    impact
}

/// What the server refuses before it builds anything.
fn check<'a>(impact: &mut Impact, statement: &IndexStmt, resolver: &Resolver<'a>, table: Rel<'a>) {
    require_tablespace(impact, resolver, &statement.table_space);
    let method = statement.access_method.as_str();
    // Extensions bring access methods, which the catalog does not hold.
    let only_built_in = resolver.catalog.extensions.keys().all(|extension| extension == "plpgsql");
    if !method.is_empty() && !ACCESS_METHODS.contains(&method) && only_built_in {
        missing_object(impact, "access method", method);
    }
    let expressions = elements(statement).filter_map(|element| element.expr.as_deref());
    let keys = expressions.map(|expression| (expression, Place::IndexKey));
    let predicate = statement.where_clause.as_deref().map(|condition| (condition, Place::IndexPredicate));
    for (expression, place) in keys.chain(predicate) {
        if let Err(problem) = expression::check_of(expression, table.relation, Some(&table.name.name), place) {
            impact.refuse(problem.sqlstate, problem.message, problem.hint);
        }
        let found = evaluate(expression, resolver);
        if let Some(function) = &found.missing_function {
            impact.refuse(
                "42883",
                format!("function {function} does not exist"),
                "Create the function first, or check its name and schema.",
            );
        }
        if let Some(problem) = expression::impossible_cast(expression, table.relation, resolver) {
            impact.refuse(problem.sqlstate, problem.message, problem.hint);
        }
        if expression::is_mutable(expression, Some(table.relation), resolver) {
            impact.refuse(
                "42P17",
                "functions in index expressions and predicates must be marked IMMUTABLE",
                "Use immutable functions only; a trigger can keep the value in a column of its own.",
            );
        }
    }
    if let Some(element) = elements(statement).find(|element| is_system_column(&element.name)) {
        impact.refuse(
            "0A000",
            format!("index creation on system columns is not supported: \"{}\"", element.name),
            "Index a column of your own.",
        );
    }
    refuse_virtual(impact, statement, table);
    refuse_predicate(impact, statement, resolver, table);
    refuse_method_limits(impact, statement);
    refuse_elements(impact, statement, resolver, table);
    refuse_without_class(impact, statement, resolver, table);
    refuse_other_class(impact, statement, resolver, table);
    for element in elements(statement) {
        if !element.name.is_empty()
            && table.relation.column(&element.name).is_none()
            && !is_system_column(&element.name)
        {
            impact.refuse(
                "42703",
                format!("column \"{}\" of relation \"{}\" does not exist", element.name, table.name.name),
                "Check the spelling of the column, or add it first.",
            );
        }
    }
    if table.relation.kind != RelationKind::PartitionedTable {
        return;
    }
    if statement.concurrent {
        impact.refuse(
            "0A000",
            format!("cannot create index on partitioned table \"{}\" concurrently", table.name.name),
            "Create it ON ONLY the partitioned table, then CONCURRENTLY on each partition, then attach those \
             with ALTER INDEX ... ATTACH PARTITION.",
        );
    }
    let key = table.relation.partition_key.as_ref();
    if statement.unique
        && let Some(missing) = key.and_then(|key| {
            key.columns
                .iter()
                .find(|column| !elements(statement).take(statement.index_params.len()).any(|e| e.name == **column))
        })
    {
        impact.refuse(
            "0A000",
            format!(
                "unique constraint on partitioned table must include all partitioning columns; \"{missing}\" of \
                 the partition key of \"{}\" is left out",
                table.name.name
            ),
            "Add the column to the index, or make the index unique on each partition only.",
        );
    }
}

/// 0A000: a virtual column is stored nowhere.
fn refuse_virtual(impact: &mut Impact, statement: &IndexStmt, table: Rel<'_>) {
    let expressions = elements(statement).filter_map(|element| element.expr.as_deref());
    let expressions = expressions.chain(statement.where_clause.as_deref());
    let within = expressions.flat_map(expression::columns);
    let named = elements(statement).map(|element| element.name.clone());
    if named.chain(within).any(|column| is_virtual(table, &column)) {
        let message = "indexes on virtual generated columns are not supported";
        impact.refuse("0A000", message, "Index the expression of the column, or make it a stored one.");
    }
}

/// Whether the column is a virtual generated one.
pub(in crate::plan::analyze) fn is_virtual(table: Rel<'_>, column: &str) -> bool {
    table.relation.column(column).is_some_and(|column| column.generated == Some(Generated::Virtual))
}

/// 42804 for a WHERE that is no condition.
fn refuse_predicate(impact: &mut Impact, statement: &IndexStmt, resolver: &Resolver<'_>, table: Rel<'_>) {
    let Some(condition) = statement.where_clause.as_deref() else { return };
    let Some(of) = type_of(condition, Some(table.relation), resolver.catalog) else { return };
    if base_type(&of, resolver.catalog).sql != "boolean" {
        let message = format!("argument of WHERE must be type boolean, not type {}", of.sql);
        impact.refuse("42804", message, "Compare the value with something.");
    }
}

/// What is wrong with single keys: expressions that are only carried along, orders that the method has not
/// (`amcanorder`), collations of types without any.
fn refuse_elements(impact: &mut Impact, statement: &IndexStmt, resolver: &Resolver<'_>, table: Rel<'_>) {
    for node in &statement.index_including_params {
        if matches!(&node.node, Some(NodeEnum::IndexElem(element)) if element.expr.is_some()) {
            let message = "expressions are not supported in included columns";
            impact.refuse("0A000", message, "Include columns, or make the expression a key.");
        }
    }
    let method = statement.access_method.as_str();
    let orders = matches!(method, "" | "btree") || !ACCESS_METHODS.contains(&method);
    for element in elements(statement) {
        let ordered = element.ordering() != SortByDir::SortbyDefault;
        let nulls = element.nulls_ordering() != SortByNulls::SortbyNullsDefault;
        if !orders && (ordered || nulls) {
            let what = if ordered { "ASC/DESC" } else { "NULLS FIRST/LAST" };
            let message = format!("access method \"{method}\" does not support {what} options");
            impact.refuse("0A000", message, "Leave the order out, or use a btree index.");
        }
        if !element.collation.is_empty()
            && let Some(column) = table.relation.column(&element.name)
            && let Some(problem) = uncollatable(&column.data_type, resolver.catalog)
        {
            impact.refuse(problem.sqlstate, problem.message, problem.hint);
        }
    }
}

/// 0A000 for what hash, GIN, SP-GiST, GiST and BRIN indexes cannot be (`amcanunique`, `amcanmulticol`).
fn refuse_method_limits(impact: &mut Impact, statement: &IndexStmt) {
    let method = statement.access_method.as_str();
    if matches!(method, "hash" | "gin" | "gist" | "spgist" | "brin") && statement.unique {
        impact.refuse(
            "0A000",
            format!("access method \"{method}\" does not support unique indexes"),
            "Use a btree index for uniqueness.",
        );
    }
    if matches!(method, "hash" | "spgist") && statement.index_params.len() > 1 {
        impact.refuse(
            "0A000",
            format!("access method \"{method}\" does not support multicolumn indexes"),
            "Index one column, or use a btree index.",
        );
    }
}

/// 42704 for a column of a built-in type that the access method has no operators for.
fn refuse_without_class(impact: &mut Impact, statement: &IndexStmt, resolver: &Resolver<'_>, table: Rel<'_>) {
    let method = if statement.access_method.is_empty() { "btree" } else { statement.access_method.as_str() };
    // Extensions that PostgreSQL does not ship bring operator classes that are not known here.
    let certain = matches!(method, "btree" | "hash") || unlisted_extension_schema(resolver.catalog).is_none();
    if !ACCESS_METHODS.contains(&method) || !certain {
        return;
    }
    let keys = statement.index_params.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::IndexElem(element)) if element.opclass.is_empty() => Some(element),
        _ => None,
    });
    for element in keys {
        let Some(column) = table.relation.column(&element.name) else { continue };
        let data_type = base_type(&column.data_type, resolver.catalog);
        // Arrays, and types of users, have the classes of their kind.
        let plain = data_type.name.schema == "pg_catalog" && !data_type.array;
        let own = data_type.name.name.as_str();
        let same_bits = casts_from(own, resolver.major()).filter(|cast| cast.method == 'b' && cast.context == 'i');
        let of_extension = std::iter::once(own)
            .chain(same_bits.map(|cast| cast.target))
            .any(|data_type| extension_default_class(resolver.catalog, method, data_type).is_some());
        if plain && !of_extension && default_operator_class(method, own, resolver.major()).is_none() {
            impact.refuse(
                "42704",
                format!("data type {} has no default operator class for access method \"{method}\"", data_type.sql),
                "Name an operator class, index an expression of another type, or use another access method.",
            );
        }
    }
}

/// A built-in operator class that is named for a column of a type that it does not take.
fn refuse_other_class(impact: &mut Impact, statement: &IndexStmt, resolver: &Resolver<'_>, table: Rel<'_>) {
    let method = if statement.access_method.is_empty() { "btree" } else { statement.access_method.as_str() };
    for element in elements(statement) {
        let Some(column) = table.relation.column(&element.name) else { continue };
        let name = match strings(&element.opclass).as_slice() {
            [name] | ["pg_catalog", name] => *name,
            _ => continue,
        };
        let Some(class) = operator_class(method, name, resolver.major()) else { continue };
        let of = base_type(&column.data_type, resolver.catalog);
        let own = of.name.name.as_str();
        let taken = own == class.input
            || class.input.starts_with("any")
            || class.input == "record"
            || casts_from(own, resolver.major())
                .any(|cast| cast.target == class.input && cast.method == 'b' && cast.context == 'i');
        if of.name.schema == "pg_catalog" && !of.array && !taken {
            impact.refuse(
                "42804",
                format!("operator class \"{name}\" does not accept data type {}", of.sql),
                "Leave the operator class out, or name one for the type of the column.",
            );
        }
    }
}

fn elements(statement: &IndexStmt) -> impl Iterator<Item = &pg_query::protobuf::IndexElem> {
    statement.index_params.iter().chain(&statement.index_including_params).filter_map(|node| match &node.node {
        Some(NodeEnum::IndexElem(element)) => Some(element.as_ref()),
        _ => None,
    })
}

/// Goes down the partitions: one that has a matching, unattached index is left as it is, with Share on that
/// index; the others get one built.
fn build_below<'a>(impact: &mut Impact, statement: &IndexStmt, resolver: &Resolver<'a>, parent: Rel<'a>) {
    for child in &resolver.children(parent.name) {
        let existing = resolver.indexes(child.name).into_iter().find(|index| {
            index
                .relation
                .index
                .as_ref()
                .is_some_and(|facts| facts.parent.is_none() && matches(statement, facts, child.relation))
        });
        if let Some(index) = existing {
            impact.lock(index.name.clone(), LockMode::Share);
        } else if child.relation.kind == RelationKind::PartitionedTable {
            build_below(impact, statement, resolver, *child);
        } else if child.relation.kind == RelationKind::ForeignTable {
            if statement.unique {
                impact.refuse(
                    "42809",
                    format!(
                        "cannot create unique index on partitioned table \"{}\" because it has the foreign table \
                         \"{}\" as a partition",
                        parent.name.name, child.name.name
                    ),
                    "Leave UNIQUE out, or detach the foreign table.",
                );
            }
        } else {
            build(impact, statement, *child);
        }
    }
}

/// What the functions of the index do for each row.
fn run_functions<'a>(impact: &mut Impact, statement: &IndexStmt, resolver: &Resolver<'a>, table: Rel<'a>) {
    if resolver.leaves(table).iter().all(|leaf| leaf.relation.stats.empty) {
        return;
    }
    let expressions = elements(statement).filter_map(|element| element.expr.as_deref());
    for expression in expressions.chain(statement.where_clause.as_deref()) {
        for function in evaluate(expression, resolver).function_names() {
            impact.merge(routines::function_named(function, resolver));
        }
    }
}

fn build(impact: &mut Impact, statement: &IndexStmt, table: Rel<'_>) {
    effects::scan(impact, table);
    if !statement.concurrent && !table.relation.stats.empty {
        impact.hazard(
            HazardId::IndexBuild,
            Some(table.name),
            "Writes wait while the index is built; CREATE INDEX CONCURRENTLY lets them go on.",
        );
    }
    if statement.unique && !table.relation.stats.empty {
        impact.hazard(HazardId::MayFail, Some(table.name), "The build fails if the table holds duplicates.");
    }
}

fn concurrent<'a>(impact: &mut Impact, statement: &IndexStmt, resolver: &Resolver<'a>, table: Rel<'a>) {
    impact.waits_for_transactions.insert(table.name.clone().into());
    let version = resolver.catalog.server.version;
    if (140_000..140_004).contains(&version) {
        impact.hazard(
            HazardId::MayFail,
            Some(table.name),
            "PostgreSQL 14.0 to 14.3 can build corrupt indexes with CONCURRENTLY; update to 14.4 first.",
        );
    }
    let _ = statement;
}
