//! Column definitions: type, default, generated, identity and serial, and the constraints they carry.

use pg_query::protobuf::{self, ColumnDef, ConstrType, Node, TypeName, node};

use super::super::constraint::Wished;
use super::super::edit::{Edit, Outcome, fail};
use super::super::{index, names, sequence};
use crate::catalog::expression::{Cooked, Scope, Type, cook_assigned, resolve_type, strings};
use crate::catalog::types::serial_integer;
use crate::catalog::{Catalog, Column, Generated, Identity, Name, Relation, builtin};
use crate::sql::quote;

/// A column definition taken apart.
pub(in super::super) struct Prepared {
    pub(in super::super) column: Column,
    /// Its constraints, defaults and the like left out.
    pub(in super::super) wished: Vec<Wished>,
    default: Option<Node>,
    generated: Option<(Generated, Node)>,
    sequence: Option<SequenceWish>,
}

/// A sequence that the column brings along.
struct SequenceWish {
    options: Vec<Node>,
    identity: Option<Identity>,
}

impl Prepared {
    /// Whether rows that exist get a value (which is then to be checked).
    pub(in super::super) fn fills_rows(&self) -> bool {
        self.default.is_some() || self.generated.is_some() || self.sequence.is_some()
    }
}

/// Takes a column definition apart; `new` says that its table or the column itself is new.
pub(in super::super) fn prepare(edit: &Edit<'_>, definition: &ColumnDef) -> Outcome<Prepared> {
    let type_name = definition.type_name.as_ref();
    let data_type = match type_name.and_then(serial_integer) {
        Some(integer) => Type::named(integer).to_data_type(),
        None => names::data_type(edit, type_name)?,
    };
    let mut column = Column::new(definition.colname.clone(), data_type);
    if let Some(collate) = &definition.coll_clause {
        column.collation = named_collation(edit, &column, &strings(&collate.collname));
    }
    apply_storage(&mut column, definition);
    column.foreign_options = foreign_options(&definition.fdwoptions);
    let mut prepared = Prepared { column, wished: Vec::new(), default: None, generated: None, sequence: None };
    constraints(&mut prepared, definition)?;
    if type_name.and_then(serial_integer).is_some() {
        prepared.sequence = Some(SequenceWish { options: Vec::new(), identity: None });
        require_not_null(&mut prepared);
    }
    Ok(prepared)
}

/// `COLLATE`, unless it is what the type has anyway.
pub(in super::super) fn named_collation(catalog: &Catalog, column: &Column, parts: &[String]) -> Option<String> {
    let named = index::collation_name(catalog, parts)?;
    (named != index::default_collation(catalog, Some(&Type::of(&column.data_type)))).then_some(named)
}

pub(in super::super) fn foreign_options(nodes: &[Node]) -> Vec<String> {
    names::options(nodes)
        .map(|element| {
            format!("{}={}", element.defname, names::option_text(element.arg.as_deref()).unwrap_or_default())
        })
        .collect()
}

/// `STORAGE` and `COMPRESSION`.
fn apply_storage(column: &mut Column, definition: &ColumnDef) {
    if !definition.storage_name.is_empty() {
        column.storage = storage(&column.data_type, &definition.storage_name);
    }
    if !definition.compression.is_empty() && definition.compression != "default" {
        column.compression = Some(definition.compression.clone());
    }
}

/// The storage strategy, when it is another than the type's own.
pub(in super::super) fn storage(data_type: &crate::catalog::DataType, wished: &str) -> Option<String> {
    let wished = wished.to_ascii_uppercase();
    let own = if data_type.array {
        'x'
    } else {
        builtin::type_by_name(&data_type.name.name, 18).map_or('x', |found| found.storage)
    };
    let own = match own {
        'p' => "PLAIN",
        'e' => "EXTERNAL",
        'm' => "MAIN",
        _ => "EXTENDED",
    };
    (wished != own && wished != "DEFAULT").then_some(wished)
}

fn require_not_null(prepared: &mut Prepared) {
    let has = prepared.wished.iter().any(|wish| wish.kind() == ConstrType::ConstrNotnull);
    if !has {
        let node = protobuf::Constraint {
            contype: ConstrType::ConstrNotnull as i32,
            is_enforced: true,
            initially_valid: true,
            ..protobuf::Constraint::default()
        };
        prepared.wished.push(Wished { node, column: Some(prepared.column.name.clone()), new: true });
    }
}

/// The constraints of a column definition; `DEFERRABLE` and `NOT ENFORCED` belong to the one before.
fn constraints(prepared: &mut Prepared, definition: &ColumnDef) -> Outcome {
    let mut nullable = false;
    let mut nodes: Vec<&Node> = definition.constraints.iter().collect();
    if let Some(default) = definition.raw_default.as_deref() {
        prepared.default = Some(default.clone());
    }
    nodes.retain(|node| matches!(node.node, Some(node::Node::Constraint(_))));
    for node in nodes {
        let Some(node::Node::Constraint(found)) = &node.node else { continue };
        let kind = ConstrType::try_from(found.contype).unwrap_or(ConstrType::Undefined);
        match kind {
            ConstrType::ConstrNull => nullable = true,
            ConstrType::ConstrDefault => prepared.default = found.raw_expr.as_deref().cloned(),
            ConstrType::ConstrIdentity => {
                let identity = if found.generated_when == "a" { Identity::Always } else { Identity::ByDefault };
                prepared.sequence = Some(SequenceWish { options: found.options.clone(), identity: Some(identity) });
                prepared.column.identity = Some(identity);
                require_not_null(prepared);
            }
            ConstrType::ConstrGenerated => {
                let Some(expression) = found.raw_expr.as_deref() else { fail!("a generated column has no expression") };
                let kind = if found.generated_kind == "v" { Generated::Virtual } else { Generated::Stored };
                prepared.generated = Some((kind, expression.clone()));
            }
            ConstrType::ConstrNotnull
            | ConstrType::ConstrCheck
            | ConstrType::ConstrPrimary
            | ConstrType::ConstrUnique
            | ConstrType::ConstrForeign => {
                if kind == ConstrType::ConstrNotnull {
                    // What identity implied has a name now.
                    prepared.wished.retain(|wish| wish.kind() != ConstrType::ConstrNotnull);
                }
                let node = protobuf::Constraint { is_enforced: true, ..(**found).clone() };
                prepared.wished.push(Wished { node, column: Some(definition.colname.clone()), new: true });
            }
            attribute => apply_attribute(prepared, attribute),
        }
    }
    if nullable && prepared.sequence.as_ref().is_some_and(|wish| wish.identity.is_some()) {
        fail!("identity column {} cannot be NULL", quote::ident(&definition.colname));
    }
    Ok(())
}

fn apply_attribute(prepared: &mut Prepared, attribute: ConstrType) {
    let Some(last) = prepared.wished.last_mut() else { return };
    match attribute {
        ConstrType::ConstrAttrDeferrable => last.node.deferrable = true,
        ConstrType::ConstrAttrNotDeferrable => last.node.deferrable = false,
        ConstrType::ConstrAttrDeferred => {
            last.node.deferrable = true;
            last.node.initdeferred = true;
        }
        ConstrType::ConstrAttrImmediate => last.node.initdeferred = false,
        ConstrType::ConstrAttrNotEnforced => {
            last.node.is_enforced = false;
            last.node.skip_validation = true;
        }
        _ => {}
    }
}

/// Creates the sequences that columns bring along. Comes before the table, as on the server, so that their names
/// are chosen without it. Gives the sequence of each column.
pub(in super::super) fn create_sequences(
    edit: &mut Edit<'_>,
    table: &Name,
    relation: &Relation,
    prepared: &[Prepared],
) -> Outcome<Vec<Option<Name>>> {
    let mut out = Vec::new();
    for item in prepared {
        out.push(match &item.sequence {
            None => None,
            Some(wish) => {
                let column = &item.column;
                let data_type = sequence::data_type(&column.data_type.name.name);
                let of = (relation.persistence, relation.owner.clone());
                Some(sequence::add_for_column(edit, table, &column.name, data_type, &wish.options, of)?)
            }
        });
    }
    Ok(out)
}

/// Sets defaults, generation expressions and owned sequences of columns that are in the table by now.
pub(in super::super) fn finish(
    edit: &mut Edit<'_>,
    table: &Name,
    prepared: &[Prepared],
    sequences: &[Option<Name>],
) -> Outcome {
    for (item, sequence) in prepared.iter().zip(sequences) {
        let name = &item.column.name;
        if let Some(sequence) = sequence {
            let identity = item.sequence.as_ref().is_some_and(|wish| wish.identity.is_some());
            sequence::own(edit, sequence, table, name, identity)?;
            if !identity {
                let text = format!("nextval('{}'::regclass)", sequence.to_string().replace('\'', "''"));
                let node = index::parse(&text)?;
                set_default(edit, table, name, Some(&node))?;
            }
        }
        if let Some((kind, expression)) = &item.generated {
            set_generated(edit, table, name, *kind, expression)?;
        } else if let Some(default) = &item.default {
            set_default(edit, table, name, Some(default))?;
        }
    }
    Ok(())
}

/// Sets or drops a default. `NULL` is no default at all, except over one that a domain brings, or where the server has
/// to cast it: to another type or a length.
pub(in super::super) fn set_default(edit: &mut Edit<'_>, table: &Name, column: &str, node: Option<&Node>) -> Outcome {
    let relation = edit.relation(table)?;
    let Some(target) = names::column_type(relation, column) else {
        fail!("column {} of {table} does not exist", quote::ident(column));
    };
    let cooked = match node {
        Some(node) if !is_null(edit, node, &target) => Some(cook_assigned(edit, &Scope::default(), node, &target)?),
        _ => None,
    };
    store(edit, table, column, cooked)
}

/// Whether the expression is the constant `NULL` of the type, with nothing to do for the server.
fn is_null(edit: &Edit<'_>, node: &Node, target: &Type) -> bool {
    // A literal of an interval is read with the length.
    let cast = target.modifier >= 0 && target.id != "interval";
    if cast || target.is_domain(edit) {
        return false;
    }
    match &node.node {
        Some(node::Node::AConst(constant)) => constant.isnull,
        Some(node::Node::TypeCast(cast)) => {
            let own = cast.type_name.as_ref().and_then(|name| resolve_type(edit, name));
            own.as_ref() == Some(target) && cast.arg.as_deref().is_some_and(|arg| is_null(edit, arg, target))
        }
        _ => false,
    }
}

/// Sets the generation expression of a column.
pub(in super::super) fn set_generated(
    edit: &mut Edit<'_>,
    table: &Name,
    column: &str,
    kind: Generated,
    node: &Node,
) -> Outcome {
    let relation = edit.relation(table)?;
    let Some(target) = names::column_type(relation, column) else {
        fail!("column {} of {table} does not exist", quote::ident(column));
    };
    let cooked = cook_assigned(edit, &Scope::table(table, relation), node, &target)?;
    store(edit, table, column, Some(cooked))?;
    if let Some(found) = edit.relation_mut(table)?.columns.iter_mut().find(|found| found.name == column) {
        found.generated = Some(kind);
    }
    Ok(())
}

fn store(edit: &mut Edit<'_>, table: &Name, column: &str, cooked: Option<Cooked>) -> Outcome {
    let Some(found) = edit.relation_mut(table)?.columns.iter_mut().find(|found| found.name == column) else {
        return Ok(());
    };
    match cooked {
        Some(cooked) => {
            found.references = cooked.uses.references();
            // Every default depends on its own column.
            found.references.retain(|own| own.relation != *table || own.column.as_deref() != Some(column));
            found.functions = cooked.uses.functions();
            found.default = Some(cooked.text);
        }
        None => {
            found.default = None;
            found.references.clear();
            found.functions.clear();
        }
    }
    Ok(())
}

/// The type a column definition names, if it names one.
pub(in super::super) fn has_type(definition: &ColumnDef) -> bool {
    definition.type_name.as_ref().is_some_and(|name: &TypeName| !name.names.is_empty())
}

/// A column with a merged definition: for `PARTITION OF` and typed tables, whose columns have no type of their own.
pub(in super::super) fn prepare_options(definition: &ColumnDef, column: &Column) -> Outcome<Prepared> {
    let mut prepared =
        Prepared { column: column.clone(), wished: Vec::new(), default: None, generated: None, sequence: None };
    constraints(&mut prepared, definition)?;
    Ok(prepared)
}
