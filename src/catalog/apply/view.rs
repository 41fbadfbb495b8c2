//! Views.

use pg_query::protobuf::{Node, SelectStmt, ViewCheckOption, ViewStmt, node};

use super::edit::{Edit, Outcome, fail};
use super::table::create_as::{analysed, columns_of, view};
use super::{names, options, privileges, sequence};
use crate::catalog::expression::{qualified, strings};
use crate::catalog::naming;
use crate::catalog::{Relation, RelationKind};
use crate::sql::quote;

/// `CREATE [OR REPLACE] VIEW`.
pub(super) fn create(edit: &mut Edit<'_>, statement: &ViewStmt) -> Outcome {
    let (Some(range), Some(query)) = (&statement.view, statement.query.as_deref()) else {
        fail!("the statement has no query");
    };
    let name = names::creation_of(edit, range)?;
    let aliases = strings(&statement.aliases);
    let query = with_aliases(edit, query, &aliases);
    let (shape, uses) = analysed(edit, &query)?;
    let (columns, unknown) = columns_of(edit, &shape, &aliases);
    let mut options = options::of(&statement.options);
    match ViewCheckOption::try_from(statement.with_check_option) {
        Ok(ViewCheckOption::LocalCheckOption) => options.push("check_option=local".to_owned()),
        Ok(ViewCheckOption::CascadedCheckOption) => options.push("check_option=cascaded".to_owned()),
        _ => {}
    }
    let mut relation = match edit.relations.get(&name) {
        None if naming::relation_exists(edit, &name) => fail!("relation {name} already exists"),
        None => {
            let mut relation = Relation::new(RelationKind::View, edit.server.user.clone());
            relation.persistence = sequence::persistence(&range.relpersistence);
            relation.privileges = privileges::initial(edit, 'r', &name.schema, &relation.owner);
            relation
        }
        Some(old) if old.kind == RelationKind::View && statement.replace => old.clone(),
        Some(_) => fail!("relation {name} already exists"),
    };
    relation.options = options;
    relation.view = Some(Box::new(view(edit, &name, &query, &uses, true)));
    let old = std::mem::take(&mut relation.columns);
    // Columns may be added at the end and nothing else.
    for (at, kept) in old.iter().enumerate() {
        let fits = columns.get(at).is_some_and(|column| column.name == kept.name);
        if !fits && !unknown {
            fail!("column {} of view {name} cannot be dropped or renamed", quote::ident(&kept.name));
        }
    }
    relation.columns = old.iter().cloned().chain(columns.into_iter().skip(old.len())).collect();
    relation.columns_unknown = unknown;
    edit.put_relation(name, relation);
    Ok(())
}

/// The query with the names of an alias list as the names of its result columns.
fn with_aliases(edit: &Edit<'_>, query: &Node, aliases: &[String]) -> Node {
    if aliases.is_empty() {
        return query.clone();
    }
    // Stars have to be written out first.
    let text = qualified(edit, None, query);
    let parsed = text.and_then(|text| crate::sql::parse(&text).ok()).and_then(|parsed| parsed.into_iter().next());
    let Some(node::Node::SelectStmt(mut select)) = parsed.map(|parsed| parsed.node) else { return query.clone() };
    name_results(&mut select, aliases);
    Node { node: Some(node::Node::SelectStmt(select)) }
}

/// Names the result columns of the query, of the first one under a set operation.
fn name_results(select: &mut SelectStmt, aliases: &[String]) {
    if let Some(first) = &mut select.larg {
        return name_results(first, aliases);
    }
    for (target, alias) in select.target_list.iter_mut().zip(aliases) {
        if let Some(node::Node::ResTarget(target)) = &mut target.node {
            target.name.clone_from(alias);
        }
    }
}
