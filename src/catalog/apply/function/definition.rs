//! `pg_get_functiondef`.

use pg_query::protobuf::{CreateFunctionStmt, DefElem, Node, VariableSetKind, VariableSetStmt, node};

use super::super::edit::Edit;
use super::super::names::{option_text, options};
use crate::catalog::Name;
use crate::catalog::expression::strings;
use crate::sql::quote;

/// The options of a function, defaults filled in.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    pub(super) language: Option<String>,
    pub(super) volatility: char,
    pub(super) strict: bool,
    pub(super) window: bool,
    security_definer: bool,
    leakproof: bool,
    parallel: String,
    cost: Option<String>,
    rows: Option<String>,
    support: Option<String>,
    settings: Vec<(String, String)>,
    body: Vec<String>,
}

impl Attributes {
    pub(super) fn of(edit: &Edit<'_>, nodes: &[Node]) -> Self {
        let mut out = Self::default();
        for element in options(nodes) {
            out.set(element, edit.server.search_path.as_slice());
        }
        out
    }

    fn set(&mut self, element: &DefElem, search_path: &[String]) {
        let text = option_text(element.arg.as_deref());
        let is_true = text.as_deref() == Some("true");
        match element.defname.as_str() {
            "language" => self.language = text.map(|language| language.to_ascii_lowercase()),
            "volatility" => self.volatility = text.and_then(|text| text.chars().next()).unwrap_or('v'),
            "strict" => self.strict = is_true,
            "window" => self.window = is_true,
            "security" => self.security_definer = is_true,
            "leakproof" => self.leakproof = is_true,
            "parallel" => self.parallel = text.unwrap_or_default().to_ascii_lowercase(),
            "cost" => self.cost = text,
            "rows" => self.rows = text,
            "support" => self.support = text,
            "as" => {
                if let Some(node::Node::List(list)) = element.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
                    self.body = strings(&list.items);
                }
            }
            "set" => {
                if let Some(node::Node::VariableSetStmt(setting)) =
                    element.arg.as_deref().and_then(|arg| arg.node.as_ref())
                {
                    self.setting(setting, search_path);
                }
            }
            _ => {}
        }
    }

    fn setting(&mut self, setting: &VariableSetStmt, search_path: &[String]) {
        self.settings.retain(|(name, _)| *name != setting.name);
        let values: Vec<String> = setting.args.iter().filter_map(|node| option_text(Some(node))).collect();
        let value = match VariableSetKind::try_from(setting.kind) {
            Ok(VariableSetKind::VarSetCurrent) => search_path.join(", "),
            Ok(VariableSetKind::VarSetValue) if is_list(&setting.name) => {
                values.iter().map(|value| literal(value)).collect::<Vec<_>>().join(", ")
            }
            Ok(VariableSetKind::VarSetValue) => literal(&values.join(", ")),
            Ok(VariableSetKind::VarResetAll) => {
                self.settings.clear();
                return;
            }
            _ => return,
        };
        self.settings.push((setting.name.clone(), value));
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            language: None,
            volatility: 'v',
            strict: false,
            window: false,
            security_definer: false,
            leakproof: false,
            parallel: String::new(),
            cost: None,
            rows: None,
            support: None,
            settings: Vec::new(),
            body: Vec::new(),
        }
    }
}

/// Settings whose value is a list of identifiers (`GUC_LIST_QUOTE`).
fn is_list(name: &str) -> bool {
    matches!(name, "search_path" | "temp_tablespaces" | "session_preload_libraries" | "local_preload_libraries")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The whole definition.
pub(super) fn write(
    name: &Name,
    statement: &CreateFunctionStmt,
    (arguments, result): (&str, &str),
    attributes: &Attributes,
    language: &str,
) -> String {
    let word = if statement.is_procedure { "PROCEDURE" } else { "FUNCTION" };
    let mut out = format!("CREATE OR REPLACE {word} {name}({arguments})\n");
    if !statement.is_procedure {
        out.push_str(&format!(" RETURNS {result}\n"));
    }
    out.push_str(&format!(" LANGUAGE {}\n", quote::ident(language)));
    let flags = flags(attributes, language);
    if !flags.is_empty() {
        out.push_str(&format!("{flags}\n"));
    }
    for (name, value) in &attributes.settings {
        out.push_str(&format!(" SET {} TO {value}\n", quote::ident(name)));
    }
    match statement.sql_body.as_deref() {
        Some(_) => out.push_str(&parsed_body(statement)),
        None => out.push_str(&body(&attributes.body, word)),
    }
    out
}

fn flags(attributes: &Attributes, language: &str) -> String {
    let mut out = String::new();
    let mut add = |condition: bool, text: &str| {
        if condition {
            out.push(' ');
            out.push_str(text);
        }
    };
    add(attributes.window, "WINDOW");
    add(attributes.volatility == 'i', "IMMUTABLE");
    add(attributes.volatility == 's', "STABLE");
    add(attributes.parallel == "safe", "PARALLEL SAFE");
    add(attributes.parallel == "restricted", "PARALLEL RESTRICTED");
    add(attributes.strict, "STRICT");
    add(attributes.security_definer, "SECURITY DEFINER");
    add(attributes.leakproof, "LEAKPROOF");
    let default_cost = if matches!(language, "c" | "internal") { "1" } else { "100" };
    if let Some(cost) = attributes.cost.as_deref().filter(|cost| *cost != default_cost) {
        add(true, &format!("COST {cost}"));
    }
    if let Some(rows) = attributes.rows.as_deref().filter(|rows| *rows != "1000") {
        add(true, &format!("ROWS {rows}"));
    }
    if let Some(support) = &attributes.support {
        add(true, &format!("SUPPORT {support}"));
    }
    out
}

fn body(parts: &[String], word: &str) -> String {
    let Some(text) = parts.last() else { return String::new() };
    let library = match parts {
        [library, _] => format!("{}, ", literal(library)),
        _ => String::new(),
    };
    let mut tag = word.to_ascii_lowercase();
    while text.contains(&format!("${tag}")) {
        tag.push('x');
    }
    if !library.is_empty() {
        return format!("AS {library}{}\n", literal(text));
    }
    format!("AS ${tag}${text}${tag}$\n")
}

/// A body that was parsed at creation, by the parser's printer.
fn parsed_body(statement: &CreateFunctionStmt) -> String {
    let alone =
        CreateFunctionStmt { options: Vec::new(), parameters: Vec::new(), return_type: None, ..statement.clone() };
    let text = Node { node: Some(node::Node::CreateFunctionStmt(Box::new(alone))) }.deparse(Default::default());
    let text = text.unwrap_or_default();
    let begin = ["BEGIN ATOMIC", "RETURN "].into_iter().filter_map(|word| text.find(word)).min();
    begin.map(|at| format!("{}\n", &text[at..])).unwrap_or_default()
}

/// The definition after `ALTER FUNCTION`.
pub(super) fn altered(definition: &str, changes: &[&DefElem]) -> Option<String> {
    let parsed = crate::sql::parse(definition).ok()?.into_iter().next()?;
    let node::Node::CreateFunctionStmt(statement) = parsed.node else { return None };
    let mut attributes = Attributes::default();
    for element in options(&statement.options).chain(changes.iter().copied()) {
        if element.defname == "set" {
            reset(&mut attributes, element);
        }
        attributes.set(element, &[]);
    }
    let own = strings(&statement.funcname);
    let name = match own.as_slice() {
        [schema, name] => Name::new(schema.as_str(), name.as_str()),
        _ => return None,
    };
    let head = definition.split_once('(')?.1;
    let end = if statement.is_procedure { ")\n LANGUAGE" } else { ")\n RETURNS " };
    let arguments = head.split_once(end)?.0;
    let result = if statement.is_procedure { "" } else { head.split_once(end)?.1.split_once('\n')?.0 };
    let language = attributes.language.clone()?;
    Some(write(&name, &statement, (arguments, result), &attributes, &language))
}

fn reset(attributes: &mut Attributes, element: &DefElem) {
    if let Some(node::Node::VariableSetStmt(setting)) = element.arg.as_deref().and_then(|arg| arg.node.as_ref()) {
        match VariableSetKind::try_from(setting.kind) {
            Ok(VariableSetKind::VarReset | VariableSetKind::VarSetDefault) => {
                attributes.settings.retain(|(name, _)| *name != setting.name);
            }
            Ok(VariableSetKind::VarResetAll) => attributes.settings.clear(),
            _ => {}
        }
    }
}

/// The definition under another name.
pub(in super::super) fn renamed(definition: &str, old: &Name, new: &Name) -> String {
    definition.replacen(&format!(" {old}("), &format!(" {new}("), 1)
}
