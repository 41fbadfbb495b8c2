//! `SET`, `RESET`, `DISCARD`, and `set_config` calls: what later statements see differently.

use pg_query::protobuf::{DiscardMode, DiscardStmt, Node, SelectStmt, VariableSetKind, VariableSetStmt, node};

use super::edit::{Edit, Outcome};
use super::names::option_text;
use crate::catalog::expression::strings;

/// `SET` and `RESET`. `SET LOCAL` counts too: what it sets holds to the end of the author's transaction.
pub(super) fn set(edit: &mut Edit<'_>, statement: &VariableSetStmt) -> Outcome {
    let values: Vec<String> = statement.args.iter().filter_map(|node| option_text(Some(node))).collect();
    let given = match VariableSetKind::try_from(statement.kind) {
        Ok(VariableSetKind::VarSetValue) => Some(values),
        Ok(VariableSetKind::VarSetCurrent | VariableSetKind::VarSetMulti) => return Ok(()),
        Ok(VariableSetKind::VarResetAll) => {
            for name in ["search_path", "default_tablespace", "default_table_access_method", "check_function_bodies"] {
                setting(edit, name, None);
            }
            return Ok(());
        }
        _ => None,
    };
    setting(edit, &statement.name, given.as_deref());
    Ok(())
}

/// One setting gets its values; `None` for its default.
fn setting(edit: &mut Edit<'_>, name: &str, values: Option<&[String]>) {
    let first = values.and_then(<[String]>::first).cloned();
    match name.to_ascii_lowercase().as_str() {
        "search_path" => {
            let default = ["$user".to_owned(), "public".to_owned()];
            search_path(edit, values.unwrap_or(&default).to_vec());
        }
        "timezone" => {
            if let Some(zone) = first {
                edit.small().server.time_zone = zone;
            }
        }
        "role" | "session_authorization" => {
            if let Some(role) = first.filter(|role| role != "none" && role != "default") {
                edit.small().server.user = role;
            }
        }
        "check_function_bodies" => edit.small().server.unchecked_bodies = first.is_some_and(|value| is_off(&value)),
        "default_tablespace" => edit.small().server.session_tablespace = first.unwrap_or_default(),
        "default_table_access_method" => {
            edit.small().server.default_table_access_method = first.unwrap_or_else(|| "heap".to_owned());
        }
        _ => {}
    }
}

/// Whether the value of a setting is false, as the server writes it or people do.
pub(crate) fn is_off(value: &str) -> bool {
    ["off", "false", "no", "f", "n", "0"].contains(&value.to_ascii_lowercase().as_str())
}

fn search_path(edit: &mut Edit<'_>, wished: Vec<String>) {
    edit.small().server.search_path_setting = wished.into_iter().filter(|schema| !schema.is_empty()).collect();
    if edit.server.search_path_setting.is_empty() {
        edit.small().server.search_path.clear();
        return;
    }
    refresh_search_path(edit);
}

/// Works the path out of the setting again: a schema of it may exist by now.
pub(super) fn refresh_search_path(edit: &mut Edit<'_>) {
    if edit.server.search_path_setting.is_empty() {
        return;
    }
    let user = edit.server.user.clone();
    let mut path: Vec<String> = Vec::new();
    for wished in &edit.server.search_path_setting {
        let name = if wished == "$user" { &user } else { wished };
        let exists = edit.schemas.contains_key(name) || matches!(name.as_str(), "pg_catalog" | "information_schema");
        if exists && !path.contains(name) {
            path.push(name.clone());
        }
    }
    edit.small().server.search_path = path;
}

/// A schema is new: a path that has its name reaches it. Without a setting the default path is assumed.
pub(super) fn schema_created(edit: &mut Edit<'_>, schema: &str) {
    if edit.server.search_path_setting.is_empty() {
        let is_public = schema == "public";
        let first_wanted = edit.server.user == schema;
        if (is_public || first_wanted) && !edit.server.search_path.iter().any(|own| own == schema) {
            let at = if first_wanted { 0 } else { edit.server.search_path.len() };
            edit.small().server.search_path.insert(at, schema.to_owned());
        }
        return;
    }
    refresh_search_path(edit);
}

/// `DISCARD ALL` resets the session and drops its temporary tables.
pub(super) fn discard(edit: &mut Edit<'_>, statement: &DiscardStmt) -> Outcome {
    let mode = DiscardMode::try_from(statement.target).unwrap_or(DiscardMode::Undefined);
    if matches!(mode, DiscardMode::DiscardAll | DiscardMode::DiscardTemp) {
        let temporary: Vec<super::drop::Object> = edit
            .relations
            .keys()
            .filter(|name| name.is_temporary())
            .map(|name| super::drop::Object::Relation(name.clone()))
            .collect();
        super::drop::objects(edit, &temporary, true)?;
    }
    Ok(())
}

/// `SELECT pg_catalog.set_config('search_path', '', false)`, as dumps write it.
pub(super) fn set_config(edit: &mut Edit<'_>, select: &SelectStmt) {
    for target in &select.target_list {
        let Some(node::Node::ResTarget(target)) = &target.node else { continue };
        let Some(node::Node::FuncCall(call)) = target.val.as_deref().and_then(|value| value.node.as_ref()) else {
            continue;
        };
        if strings(&call.funcname).last().is_none_or(|name| name != "set_config") {
            continue;
        }
        let arguments: Vec<Option<String>> = call.args.iter().map(|node| option_text(Some(node))).collect();
        if let [Some(name), Some(value), ..] = arguments.as_slice() {
            let values =
                if name.eq_ignore_ascii_case("search_path") { identifiers(value) } else { vec![value.clone()] };
            setting(edit, name, Some(&values));
        }
    }
}

/// The identifiers of a list as the setting's text has it.
fn identifiers(text: &str) -> Vec<String> {
    let parsed = crate::sql::parse(&format!("SET search_path TO {text}")).ok();
    let statement = parsed.and_then(|parsed| parsed.into_iter().next()).map(|statement| statement.node);
    match statement {
        Some(node::Node::VariableSetStmt(set)) => {
            set.args.iter().filter_map(|node: &Node| option_text(Some(node))).collect()
        }
        _ => Vec::new(),
    }
}
