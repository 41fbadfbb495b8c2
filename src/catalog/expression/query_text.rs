//! Texts of queries and expressions: names qualified, stars written out, renamed objects renamed.

use pg_query::protobuf::{Node, Token, TypeName, node};

use super::mention::Mention;
use super::scope::Scope;
use super::{Analysis, outputs};
use crate::catalog::{Catalog, Name};
use crate::sql::quote;

/// What is called differently from now on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Renaming {
    /// Relations, old and new name.
    pub(crate) relation: Option<(Name, Name)>,
    /// A column of a relation: relation, old and new name.
    pub(crate) column: Option<(Name, String, String)>,
    /// Functions.
    pub(crate) function: Option<(Name, Name)>,
    /// Types.
    pub(crate) data_type: Option<(Name, Name)>,
    /// A label of an enum: type, old and new label.
    pub(crate) label: Option<(Name, String, String)>,
    /// A schema.
    pub(crate) schema: Option<(String, String)>,
}

impl Renaming {
    fn map(pair: &Option<(Name, Name)>, schema: &Option<(String, String)>, name: &Name) -> Option<Name> {
        if let Some((old, new)) = pair
            && old == name
        {
            return Some(new.clone());
        }
        let (old, new) = schema.as_ref()?;
        (name.schema == *old).then(|| Name::new(new.as_str(), name.name.as_str()))
    }

    /// The new name of a relation, if it changes.
    pub(crate) fn of_relation(&self, name: &Name) -> Option<Name> {
        Self::map(&self.relation, &self.schema, name)
    }

    /// The new name of a function, if it changes.
    pub(crate) fn of_function(&self, name: &Name) -> Option<Name> {
        Self::map(&self.function, &self.schema, name)
    }

    /// The new name of a type, if it changes. The row type of a relation follows the relation.
    pub(crate) fn of_type(&self, name: &Name) -> Option<Name> {
        Self::map(&self.data_type, &self.schema, name).or_else(|| Self::map(&self.relation, &None, name))
    }

    /// The new name of a relation's column, if it changes.
    pub(crate) fn of_column(&self, relation: &Name, column: &str) -> Option<String> {
        let (table, old, new) = self.column.as_ref()?;
        (table == relation && old == column).then(|| new.clone())
    }
}

/// Bytes to be replaced.
struct Change {
    start: usize,
    end: usize,
    text: String,
}

/// The query's text with every name qualified and every `*` written out. `None` when it cannot be written.
pub(crate) fn qualified(catalog: &Catalog, outer: Option<&Scope<'_>>, query: &Node) -> Option<String> {
    let text = query.deparse(Default::default()).ok()?;
    let parsed = crate::sql::parse(&text).ok()?.into_iter().next()?;
    let tree = Node { node: Some(parsed.node) };
    let analysis = Analysis::new(catalog);
    outputs(&analysis, outer, &tree).ok()?;
    written_out(&analysis, &text)
}

/// The text with bare names qualified and stars written out.
fn written_out(analysis: &Analysis<'_>, text: &str) -> Option<String> {
    let tokens = tokens(text)?;
    let mut changes = Vec::new();
    for (&location, mention) in analysis.mentions.borrow().iter() {
        let Some(at) = token_at(&tokens, location) else { continue };
        match mention {
            Mention::Relation { name, bare: true, .. }
            | Mention::Function { name, bare: true }
            | Mention::Type { name, bare: true } => {
                let start = tokens[at].start;
                changes.push(Change { start, end: start, text: format!("{}.", quote::ident(&name.schema)) });
            }
            Mention::Star(columns) if !columns.is_empty() => {
                let end = tokens[at..].iter().position(|token| token.token == Token::Ascii42 as i32)?;
                changes.push(Change { start: tokens[at].start, end: tokens[at + end].end, text: columns.join(", ") });
            }
            _ => {}
        }
    }
    Some(applied(text, changes))
}

/// A query's text after a renaming; `None` when nothing changes or it cannot be read. `catalog` still has the
/// old names.
pub(crate) fn in_query(catalog: &Catalog, text: &str, renaming: &Renaming) -> Option<String> {
    let parsed = crate::sql::parse(text).ok()?.into_iter().next()?;
    if !matches!(parsed.node, node::Node::SelectStmt(_)) {
        return None;
    }
    let tree = Node { node: Some(parsed.node) };
    let analysis = Analysis::new(catalog);
    let lenient = Scope { lenient: true, ..Scope::default() };
    outputs(&analysis, Some(&lenient), &tree).ok()?;
    let changes = renamed(&analysis, text, renaming)?;
    (!changes.is_empty()).then(|| applied(text, changes))
}

/// An expression's text after a renaming; `None` when nothing changes or it cannot be read.
pub(crate) fn in_expression(catalog: &Catalog, scope: &Scope<'_>, text: &str, renaming: &Renaming) -> Option<String> {
    const BEFORE: &str = "SELECT ";
    let whole = format!("{BEFORE}{text}");
    let parsed = crate::sql::parse(&whole).ok()?.into_iter().next()?;
    let node::Node::SelectStmt(select) = parsed.node else { return None };
    let analysis = Analysis::new(catalog);
    for target in &select.target_list {
        if let Some(node::Node::ResTarget(target)) = &target.node
            && let Some(value) = target.val.as_deref()
        {
            super::expression(&analysis, scope, value).ok()?;
        }
    }
    let changes = renamed(&analysis, &whole, renaming)?;
    if changes.is_empty() {
        return None;
    }
    applied(&whole, changes).strip_prefix(BEFORE).map(str::to_owned)
}

/// What a rule's definition mentions, where its table is the scope's.
fn rule_analysis<'a>(catalog: &'a Catalog, scope: &Scope<'_>, text: &str) -> Option<Analysis<'a>> {
    let parsed = crate::sql::parse(text).ok()?.into_iter().next()?;
    let node::Node::RuleStmt(rule) = parsed.node else { return None };
    let analysis = Analysis::new(catalog);
    let row = |alias: &str| {
        let mut item = scope.items.first().cloned().unwrap_or_default();
        alias.clone_into(&mut item.alias);
        item.qualified_only = true;
        item
    };
    let inner = Scope { items: vec![row("old"), row("new")], lenient: true, ..Scope::default() };
    if let Some(range) = &rule.relation {
        super::statement::note_target(&analysis, range);
    }
    for action in &rule.actions {
        super::statement_uses(&analysis, &inner, action).ok()?;
    }
    if let Some(condition) = rule.where_clause.as_deref() {
        super::expression(&analysis, &inner, condition).ok()?;
    }
    Some(analysis)
}

/// A rule's definition with every name qualified.
pub(crate) fn qualified_rule(catalog: &Catalog, scope: &Scope<'_>, text: &str) -> Option<String> {
    let analysis = rule_analysis(catalog, scope, text)?;
    written_out(&analysis, text)
}

/// A rule's definition after a renaming; `None` when nothing changes or it cannot be read.
pub(crate) fn in_statement(catalog: &Catalog, scope: &Scope<'_>, text: &str, renaming: &Renaming) -> Option<String> {
    let analysis = rule_analysis(catalog, scope, text)?;
    let changes = renamed(&analysis, text, renaming)?;
    (!changes.is_empty()).then(|| applied(text, changes))
}

/// A function's definition after a renaming: its own name, the types it mentions, the body if it is parsed one.
pub(crate) fn in_function(catalog: &Catalog, text: &str, renaming: &Renaming) -> Option<String> {
    let parsed = crate::sql::parse(text).ok()?.into_iter().next()?;
    let node::Node::CreateFunctionStmt(statement) = parsed.node else { return None };
    let analysis = Analysis::new(catalog);
    let types = statement.return_type.iter().chain(statement.parameters.iter().filter_map(|node| match &node.node {
        Some(node::Node::FunctionParameter(parameter)) => parameter.arg_type.as_ref(),
        _ => None,
    }));
    for type_name in types {
        let one = TypeName { setof: false, ..type_name.clone() };
        if let Some(found) = super::type_name::resolve(catalog, &one) {
            analysis.note_type(type_name.location, &found, type_name.names.len() == 1);
        }
    }
    let lenient = Scope { lenient: true, ..Scope::default() };
    if let Some(body) = statement.sql_body.as_deref() {
        super::statement_uses(&analysis, &lenient, body).ok()?;
    }
    let mut changes = renamed(&analysis, text, renaming)?;
    let own = super::strings(&statement.funcname);
    if let [schema, name] = own.as_slice()
        && let Some(new) = renaming.of_function(&Name::new(schema.as_str(), name.as_str()))
        && let Some(start) = text.find(&quote::qualified(schema, name))
    {
        let end = start + quote::qualified(schema, name).len();
        changes.push(Change { start, end, text: new.to_string() });
    }
    (!changes.is_empty()).then(|| applied(text, changes))
}

/// A list of types, as of the arguments of a function, after the renaming of one of them.
pub(crate) fn in_types(text: &str, old: &Name, new: &Name) -> String {
    let (old, places) = (old.to_string(), tokens(text).unwrap_or_default());
    let is_old = |place: &&Place| {
        let end = place.start + old.len();
        text.get(place.start..end).is_some_and(|name| name == old) && places.iter().any(|other| other.end == end)
    };
    let changed = places.iter().filter(is_old);
    let changes =
        changed.map(|place| Change { start: place.start, end: place.start + old.len(), text: new.to_string() });
    applied(text, changes.collect())
}

/// A query with other names for its result columns; `None` when it cannot be read.
pub(crate) fn name_results(text: &str, columns: &[String]) -> Option<String> {
    let parsed = crate::sql::parse(text).ok()?.into_iter().next()?;
    let node::Node::SelectStmt(mut select) = parsed.node else { return None };
    let mut first = &mut select;
    while first.larg.is_some() {
        first = first.larg.as_mut()?;
    }
    for (target, column) in first.target_list.iter_mut().zip(columns) {
        if let Some(node::Node::ResTarget(target)) = &mut target.node {
            target.name.clone_from(column);
        }
    }
    let text = Node { node: Some(node::Node::SelectStmt(select)) }.deparse(Default::default()).ok()?;
    Some(format!(" {text};"))
}

struct Place {
    start: usize,
    end: usize,
    token: i32,
}

fn tokens(text: &str) -> Option<Vec<Place>> {
    let scanned = pg_query::scan(text).ok()?;
    scanned
        .tokens
        .iter()
        .map(|token| {
            Some(Place {
                start: usize::try_from(token.start).ok()?,
                end: usize::try_from(token.end).ok()?,
                token: token.token,
            })
        })
        .collect()
}

fn token_at(tokens: &[Place], location: i32) -> Option<usize> {
    let location = usize::try_from(location).ok()?;
    tokens.binary_search_by_key(&location, |token| token.start).ok()
}

fn renamed(analysis: &Analysis<'_>, text: &str, renaming: &Renaming) -> Option<Vec<Change>> {
    let tokens = tokens(text)?;
    let mut changes = Vec::new();
    for (&location, mention) in analysis.mentions.borrow().iter() {
        let Some(at) = token_at(&tokens, location) else { continue };
        match mention {
            Mention::Relation { name, bare } => {
                if let Some(new) = renaming.of_relation(name) {
                    changes.extend(whole_name(&tokens, at, *bare, &new));
                }
            }
            Mention::Function { name, bare } => {
                changes.extend(renaming.of_function(name).and_then(|new| whole_name(&tokens, at, *bare, &new)));
            }
            Mention::Type { name, bare } => {
                changes.extend(renaming.of_type(name).and_then(|new| whole_name(&tokens, at, *bare, &new)));
            }
            Mention::Column { source, parts } => {
                let own = source.relation.name == *parts.get(parts.len().wrapping_sub(2)).unwrap_or(&String::new());
                if let Some(new) = renaming.of_relation(&source.relation).filter(|_| own)
                    && let Some(token) = tokens.get(at + 2 * parts.len().saturating_sub(2))
                {
                    changes.push(Change { start: token.start, end: token.end, text: quote::ident(&new.name) });
                }
                let column = source.column.as_deref().unwrap_or("");
                if let Some(new) = renaming.of_column(&source.relation, column)
                    && let Some(token) = tokens.get(at + 2 * (parts.len() - 1))
                {
                    // The result keeps its name when the column behind it gets another.
                    let alias = match analysis.bare_targets.borrow().contains(&location) {
                        true => format!(" AS {}", quote::ident(column)),
                        false => String::new(),
                    };
                    changes.push(Change {
                        start: token.start,
                        end: token.end,
                        text: format!("{}{alias}", quote::ident(&new)),
                    });
                }
            }
            Mention::Label { of, label } => {
                if let Some((data_type, old, new)) = &renaming.label
                    && data_type == of
                    && old == label
                {
                    let text = format!("'{}'", new.replace('\'', "''"));
                    changes.push(Change { start: tokens[at].start, end: tokens[at].end, text });
                }
            }
            Mention::Star(_) => {}
        }
    }
    Some(changes)
}

/// Replaces `name` or `schema.name` that begins at a token.
fn whole_name(tokens: &[Place], at: usize, bare: bool, new: &Name) -> Option<Change> {
    let last = tokens.get(if bare { at } else { at + 2 })?;
    let text = if bare { quote::ident(&new.name) } else { quote::qualified(&new.schema, &new.name) };
    Some(Change { start: tokens[at].start, end: last.end, text })
}

fn applied(text: &str, mut changes: Vec<Change>) -> String {
    changes.sort_by_key(|change| std::cmp::Reverse(change.start));
    let mut out = text.to_owned();
    for change in changes {
        if out.is_char_boundary(change.start) && out.is_char_boundary(change.end) && change.start <= change.end {
            out.replace_range(change.start..change.end, &change.text);
        }
    }
    out
}
