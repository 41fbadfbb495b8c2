//! Publications and subscriptions.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AlterPublicationAction, AlterPublicationStmt, AlterSubscriptionStmt, AlterSubscriptionType, CreatePublicationStmt,
    CreateSubscriptionStmt, DropSubscriptionStmt, Node, PublicationObjSpec, PublicationObjSpecType, PublicationTable,
};

use super::expression::{self, Place};
use super::names::{Qualified, strings};
use super::refusal::{missing_column, missing_object, missing_schema, object_exists, require_relation};
use super::resolve::Rel;
use super::since::{self, Feature};
use super::volatile::evaluate;
use super::{Impact, Resolver, TransactionRule, options};
use crate::catalog::{Generated, Name, Persistence, Publication, RelationKind};
use crate::plan::lock::LockMode;
use crate::plan::model::HazardId;
use crate::sql::expression::operands;

/// ShareUpdateExclusive on each table named (and its children by inheritance); nothing for all tables or schemas.
pub(super) fn create_publication(statement: &CreatePublicationStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    if resolver.catalog.publications.contains_key(&statement.pubname) {
        object_exists(&mut impact, "publication", &statement.pubname);
    }
    known_options(&mut impact, resolver, &statement.options);
    let tables = objects(&mut impact, resolver, &statement.pubobjects).tables;
    publish(&mut impact, resolver, &tables);
    if statement.for_all_tables {
        impact.hazard(
            HazardId::MayFail,
            None,
            "From now on UPDATE and DELETE fail on every table without a replica identity.",
        );
    }
    impact
}

fn known_options(impact: &mut Impact, resolver: &Resolver<'_>, list: &[Node]) {
    for option in options::elements(list) {
        let known = matches!(option.defname.as_str(), "publish" | "publish_via_partition_root")
            || (option.defname == "publish_generated_columns" && resolver.major() >= 18);
        if option.defname == "publish" {
            let operations = options::text(option).unwrap_or_default();
            let known = ["", "insert", "update", "delete", "truncate"];
            if let Some(other) = operations.split(',').map(str::trim).find(|operation| !known.contains(operation)) {
                impact.refuse(
                    "42601",
                    format!("unrecognized value for publication option \"publish\": \"{other}\""),
                    "Publish insert, update, delete or truncate.",
                );
            }
        }
        if !known {
            impact.refuse(
                "42601",
                format!("unrecognized publication parameter: \"{}\"", option.defname),
                "Check the spelling of the parameter, or whether the server's version has it.",
            );
        }
    }
}

/// What the objects of a publication's list stand for.
struct Objects<'a> {
    /// Tables named one by one, with their children unless ONLY was said.
    tables: Vec<Rel<'a>>,
    /// Schemas named.
    schemas: Vec<String>,
}

fn objects<'a>(impact: &mut Impact, resolver: &Resolver<'a>, nodes: &[Node]) -> Objects<'a> {
    let mut found = Objects { tables: Vec::new(), schemas: Vec::new() };
    for node in nodes {
        let Some(NodeEnum::PublicationObjSpec(object)) = &node.node else { continue };
        match PublicationObjSpecType::try_from(object.pubobjtype).unwrap_or_default() {
            PublicationObjSpecType::PublicationobjTablesInSchema => {
                since::require(impact, resolver, Feature::PublicationSchemas);
                schema(impact, resolver, object);
                found.schemas.push(object.name.clone());
            }
            PublicationObjSpecType::PublicationobjTablesInCurSchema => {
                since::require(impact, resolver, Feature::PublicationSchemas);
                found.schemas.extend(resolver.catalog.server.search_path.first().cloned());
            }
            _ => {
                let Some(published) = &object.pubtable else { continue };
                table(impact, resolver, published, &mut found.tables);
            }
        }
    }
    found
}

fn schema(impact: &mut Impact, resolver: &Resolver<'_>, object: &PublicationObjSpec) {
    if !resolver.catalog.schemas.contains_key(&object.name) {
        missing_schema(impact, &object.name);
    }
}

fn table<'a>(impact: &mut Impact, resolver: &Resolver<'a>, published: &PublicationTable, tables: &mut Vec<Rel<'a>>) {
    if !published.columns.is_empty() {
        since::require(impact, resolver, Feature::PublicationColumns);
    }
    if published.where_clause.is_some() {
        since::require(impact, resolver, Feature::PublicationFilter);
    }
    let Some(name) = &published.relation else { return };
    let Some(found) = require_relation(impact, resolver, name, false) else { return };
    let permanent = found.relation.persistence == Persistence::Permanent;
    if !found.relation.kind.is_table() || !permanent {
        impact.refuse(
            "22023",
            format!("cannot add relation \"{}\" to publication", found.name.name),
            "Only permanent tables and partitioned tables can be published.",
        );
    }
    if let Some(condition) = published.where_clause.as_deref() {
        filter(impact, resolver, found, condition);
    }
    for column in strings(&published.columns) {
        if found.relation.column(column).is_none() {
            missing_column(impact, column, found.name);
        }
        published_generated(impact, resolver, found, column);
    }
    tables.push(found);
    // Partitions follow their parent without being named; children by inheritance are added one by one.
    if name.inh && found.relation.kind == RelationKind::Table {
        tables.extend(resolver.descendants(found));
    }
}

/// 42P10: up to 17 no generated column is published by name, later no virtual one.
fn published_generated(impact: &mut Impact, resolver: &Resolver<'_>, table: Rel<'_>, name: &str) {
    let generated = table.relation.column(name).and_then(|column| column.generated);
    let refused = match generated {
        None => return,
        Some(Generated::Stored) => resolver.major() < 18,
        Some(Generated::Virtual) => true,
    };
    if refused {
        let message = format!("cannot use generated column \"{name}\" in publication column list");
        impact.refuse("42P10", message, "Leave the column out.");
    }
}

/// A row filter is over the table's own columns, with the server's own immutable functions
/// (`check_simple_rowfilter_expr`).
fn filter(impact: &mut Impact, resolver: &Resolver<'_>, table: Rel<'_>, condition: &Node) {
    if let Err(problem) = expression::check(condition, table.relation, Place::Publication) {
        impact.refuse(problem.sqlstate, problem.message, problem.hint);
    }
    let found = evaluate(condition, resolver);
    if found.mutable || !found.functions.is_empty() || calls_user_function(condition, resolver) {
        impact.refuse(
            "0A000",
            "invalid publication WHERE expression",
            "Use columns, constants, and immutable functions and operators that PostgreSQL brings.",
        );
    }
}

/// Also one that would dissolve into its body.
fn calls_user_function(condition: &Node, resolver: &Resolver<'_>) -> bool {
    if let Some(NodeEnum::FuncCall(call)) = &condition.node
        && let Some(name) = Qualified::from_nodes(&call.funcname)
        && !resolver.functions_named(name).is_empty()
    {
        return true;
    }
    operands(condition).into_iter().flatten().any(|part| calls_user_function(part, resolver))
}

fn publish<'a>(impact: &mut Impact, resolver: &Resolver<'a>, tables: &[Rel<'a>]) {
    for table in tables {
        impact.lock(table.name.clone(), LockMode::ShareUpdateExclusive);
        if !super::dml::has_replica_identity(*table, resolver) {
            impact.hazard(
                HazardId::MayFail,
                Some(table.name),
                "The table has no replica identity: once updates or deletes are published they fail on it.",
            );
        }
    }
}

/// ShareUpdateExclusive on the tables that are added, dropped or set, and on those that SET removes.
pub(super) fn alter_publication(statement: &AlterPublicationStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let Some(publication) = resolver.catalog.publications.get(&statement.pubname) else {
        missing_object(&mut impact, "publication", &statement.pubname);
        return impact;
    };
    known_options(&mut impact, resolver, &statement.options);
    if statement.pubobjects.is_empty() {
        return impact;
    }
    let named = objects(&mut impact, resolver, &statement.pubobjects);
    if publication.all_tables {
        impact.refuse(
            "55000",
            format!("publication \"{}\" is defined as FOR ALL TABLES", statement.pubname),
            "Tables cannot be added to it or taken from it; create another publication.",
        );
    }
    publish_changes(&mut impact, resolver, statement, publication, &named);
    impact
}

fn publish_changes<'a>(
    impact: &mut Impact,
    resolver: &Resolver<'a>,
    statement: &AlterPublicationStmt,
    publication: &Publication,
    named: &Objects<'a>,
) {
    match AlterPublicationAction::try_from(statement.action).unwrap_or_default() {
        AlterPublicationAction::ApAddObjects => {
            if let Some(table) = named.tables.iter().find(|table| publication.tables.contains(table.name)) {
                impact.refuse(
                    "42710",
                    format!(
                        "relation \"{}\" is already member of publication \"{}\"",
                        table.name.name, statement.pubname
                    ),
                    "Leave the table out.",
                );
            }
            publish(impact, resolver, &named.tables);
        }
        AlterPublicationAction::ApDropObjects => {
            for table in &named.tables {
                impact.lock(table.name.clone(), LockMode::ShareUpdateExclusive);
                if !publication.tables.contains(table.name) {
                    missing_member(impact, "relation", &table.name.name);
                }
            }
            for schema in &named.schemas {
                if !publication.schemas.contains(schema) {
                    missing_member(impact, "schema", schema);
                }
            }
        }
        _ => {
            publish(impact, resolver, &named.tables);
            let kept: BTreeSet<&Name> = named.tables.iter().map(|table| table.name).collect();
            for removed in publication.tables.iter().filter(|table| !kept.contains(table)) {
                impact.lock(removed.clone(), LockMode::ShareUpdateExclusive);
            }
        }
    }
}

fn missing_member(impact: &mut Impact, kind: &str, name: &str) {
    impact.refuse(
        "42704",
        format!("{kind} \"{name}\" is not part of the publication"),
        "Leave it out, or check the name of the publication.",
    );
}

/// Forbidden in a transaction when it makes a replication slot at the publisher, as it does unless told
/// otherwise.
pub(super) fn create_subscription(statement: &CreateSubscriptionStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    let on = |name: &str, default: bool| {
        options::find(&statement.options, name).map_or(default, |option| options::boolean(option).unwrap_or(default))
    };
    let connects = on("connect", true);
    let creates_slot = on("create_slot", connects);
    let slot_name = options::find(&statement.options, "slot_name").and_then(options::text);
    let no_slot = slot_name.is_some_and(|name| name.eq_ignore_ascii_case("none"));
    for (name, value) in [("enabled", on("enabled", connects)), ("create_slot", creates_slot)] {
        let given = options::find(&statement.options, name).is_some();
        if no_slot && value && given {
            impact.refuse(
                "42601",
                format!("slot_name = NONE and {name} = true are mutually exclusive options"),
                format!("Say {name} = false as well."),
            );
        } else if no_slot && value {
            impact.refuse(
                "42601",
                format!("subscription with slot_name = NONE must also set {name} = false"),
                format!("Say {name} = false as well."),
            );
        } else if !connects && value && given {
            impact.refuse(
                "42601",
                format!("connect = false and {name} = true are mutually exclusive options"),
                format!("Say {name} = false as well."),
            );
        }
    }
    if creates_slot && !no_slot {
        impact.transaction = TransactionRule::Forbidden;
    }
    if resolver.catalog.subscriptions.contains(&statement.subname) {
        object_exists(&mut impact, "subscription", &statement.subname);
    }
    if connects {
        impact.hazard(HazardId::MayFail, None, "The server connects to the publisher, which may fail.");
    }
    impact
}

/// What refreshes the list of tables, or changes the slot at the publisher, is forbidden in a transaction.
pub(super) fn alter_subscription(statement: &AlterSubscriptionStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    require_subscription(&mut impact, resolver, &statement.subname);
    let given = |name: &str| options::find(&statement.options, name).is_some();
    let refreshes =
        options::find(&statement.options, "refresh").is_none_or(|option| options::boolean(option).unwrap_or(true));
    impact.transaction = match AlterSubscriptionType::try_from(statement.kind).unwrap_or_default() {
        AlterSubscriptionType::AlterSubscriptionRefresh => TransactionRule::Forbidden,
        AlterSubscriptionType::AlterSubscriptionSetPublication
        | AlterSubscriptionType::AlterSubscriptionAddPublication
        | AlterSubscriptionType::AlterSubscriptionDropPublication
            if refreshes =>
        {
            TransactionRule::Forbidden
        }
        AlterSubscriptionType::AlterSubscriptionOptions if given("two_phase") || given("failover") => {
            TransactionRule::Forbidden
        }
        AlterSubscriptionType::Undefined => TransactionRule::Unknown,
        _ => TransactionRule::Allowed,
    };
    impact
}

/// Forbidden in a transaction when the subscription has a replication slot at the publisher.
pub(super) fn drop_subscription(statement: &DropSubscriptionStmt, resolver: &Resolver<'_>) -> Impact {
    let mut impact = Impact::none();
    if !resolver.catalog.subscriptions.contains(&statement.subname) {
        if !statement.missing_ok {
            require_subscription(&mut impact, resolver, &statement.subname);
        }
        return impact;
    }
    if resolver.catalog.slotless_subscriptions.contains(&statement.subname) {
        return impact;
    }
    impact.transaction = TransactionRule::Forbidden;
    impact.hazard(
        HazardId::Irreversible,
        None,
        "The subscription's replication slot at the publisher is dropped; changes after it cannot be fetched again.",
    );
    impact
}

fn require_subscription(impact: &mut Impact, resolver: &Resolver<'_>, name: &str) {
    if !resolver.catalog.subscriptions.iter().any(|known| known == name) {
        missing_object(impact, "subscription", name);
    }
}
