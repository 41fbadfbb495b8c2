//! Domains.

use pg_query::protobuf::{AlterDomainStmt, ConstrType, Constraint, CreateDomainStmt, Node, node};

use super::super::edit::{Edit, Outcome, fail};
use super::super::{index, names};
use crate::catalog::expression::{Scope, Type, cook_assigned, cook_condition, strings};
use crate::catalog::naming;
use crate::catalog::{DataType, DomainConstraint, Name, TypeKind};
use crate::sql::quote;

/// `CREATE DOMAIN`.
pub(in super::super) fn create(edit: &mut Edit<'_>, statement: &CreateDomainStmt) -> Outcome {
    let base = names::data_type(edit, statement.type_name.as_ref())?;
    let natural = index::default_collation(edit, Some(&Type::of(&base)));
    let collation = statement
        .coll_clause
        .as_ref()
        .and_then(|collate| index::collation_name(edit, &strings(&collate.collname)))
        .filter(|named| *named != natural);
    let kind =
        TypeKind::Domain { base: base.clone(), not_null: false, default: None, constraints: Vec::new(), collation };
    let name = super::add(edit, &strings(&statement.domainname), kind)?;
    for node in &statement.constraints {
        let Some(node::Node::Constraint(wished)) = &node.node else { continue };
        match ConstrType::try_from(wished.contype).unwrap_or(ConstrType::Undefined) {
            ConstrType::ConstrDefault => set_default(edit, &name, wished.raw_expr.as_deref())?,
            ConstrType::ConstrNotnull => set_not_null(edit, &name, &wished.conname)?,
            ConstrType::ConstrCheck => add_check(edit, &name, wished)?,
            _ => {}
        }
    }
    Ok(())
}

/// The parts of a domain, to be changed.
fn domain<'a>(
    edit: &'a mut Edit<'_>,
    name: &Name,
) -> Outcome<(&'a DataType, &'a mut bool, &'a mut Option<String>, &'a mut Vec<DomainConstraint>)> {
    match &mut edit.type_mut(name)?.kind {
        TypeKind::Domain { base, not_null, default, constraints, .. } => Ok((base, not_null, default, constraints)),
        _ => fail!("{name} is not a domain"),
    }
}

fn set_default(edit: &mut Edit<'_>, name: &Name, node: Option<&Node>) -> Outcome {
    let base = Type::of(domain(edit, name)?.0);
    let cooked = node.map(|node| cook_assigned(edit, &Scope::default(), node, &base)).transpose()?;
    let text = cooked.map(|cooked| cooked.text).filter(|text| !text.starts_with("NULL"));
    *domain(edit, name)?.2 = text;
    Ok(())
}

/// From 17 on a constraint with a name.
fn set_not_null(edit: &mut Edit<'_>, name: &Name, wished: &str) -> Outcome {
    let major = edit.major();
    let generated = naming::constraint_name(edit, name, "", "not_null");
    let (_, not_null, _, constraints) = domain(edit, name)?;
    if *not_null {
        return Ok(());
    }
    *not_null = true;
    if major < 17 {
        return Ok(());
    }
    let own = match wished {
        "" => generated,
        wished => wished.to_owned(),
    };
    let definition = "NOT NULL".to_owned();
    constraints.push(DomainConstraint { name: own, definition, validated: true, functions: Vec::new() });
    constraints.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

fn add_check(edit: &mut Edit<'_>, name: &Name, wished: &Constraint) -> Outcome {
    let base = Type::of(domain(edit, name)?.0);
    let Some(node) = wished.raw_expr.as_deref() else { fail!("a check has no expression") };
    let scope = Scope { value: Some(base), ..Scope::default() };
    let cooked = cook_condition(edit, &scope, node)?;
    let own = match wished.conname.as_str() {
        "" => naming::constraint_name(edit, name, "", "check"),
        wished => wished.to_owned(),
    };
    let validated = !wished.skip_validation;
    let tail = if validated { "" } else { " NOT VALID" };
    let constraint = DomainConstraint {
        definition: format!("CHECK ({}){tail}", cooked.text),
        validated,
        functions: cooked.uses.functions(),
        name: own,
    };
    let (_, _, _, constraints) = domain(edit, name)?;
    if constraints.iter().any(|other| other.name == constraint.name) {
        fail!("constraint {} of {name} already exists", quote::ident(&constraint.name));
    }
    constraints.push(constraint);
    constraints.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

/// `ALTER DOMAIN`.
pub(in super::super) fn alter(edit: &mut Edit<'_>, statement: &AlterDomainStmt) -> Outcome {
    let name = names::existing_type(edit, &strings(&statement.type_name))?;
    match statement.subtype.as_str() {
        "T" => set_default(edit, &name, statement.def.as_deref()),
        "N" => {
            let (_, not_null, _, constraints) = domain(edit, &name)?;
            *not_null = false;
            constraints.retain(|constraint| constraint.definition != "NOT NULL");
            Ok(())
        }
        "O" => set_not_null(edit, &name, ""),
        "C" => match statement.def.as_deref().and_then(|def| def.node.as_ref()) {
            Some(node::Node::Constraint(wished)) if wished.contype == ConstrType::ConstrNotnull as i32 => {
                set_not_null(edit, &name, &wished.conname)
            }
            Some(node::Node::Constraint(wished)) => add_check(edit, &name, wished),
            _ => fail!("the statement defines no constraint"),
        },
        "X" => {
            let (_, not_null, _, constraints) = domain(edit, &name)?;
            let Some(at) = constraints.iter().position(|constraint| constraint.name == statement.name) else {
                if statement.missing_ok {
                    return Ok(());
                }
                fail!("constraint {} of {name} does not exist", quote::ident(&statement.name));
            };
            if constraints.remove(at).definition == "NOT NULL" {
                *not_null = false;
            }
            Ok(())
        }
        "V" => {
            let (_, _, _, constraints) = domain(edit, &name)?;
            match constraints.iter_mut().find(|constraint| constraint.name == statement.name) {
                Some(constraint) => {
                    constraint.validated = true;
                    if let Some(valid) = constraint.definition.strip_suffix(" NOT VALID") {
                        constraint.definition = valid.to_owned();
                    }
                    Ok(())
                }
                None => fail!("constraint {} of {name} does not exist", quote::ident(&statement.name)),
            }
        }
        other => fail!("ALTER DOMAIN {other} has no rule"),
    }
}
