//! Extensions: what the common ones bring, read from the servers that ship them.

use pg_query::protobuf::{AlterExtensionContentsStmt, CreateExtensionStmt, Node, ObjectType, node};

use super::edit::{Edit, Outcome, fail};
use super::names;
use crate::catalog::{Cast, Function, Name, TypeKind, UserType};
use crate::sql::quote;

/// Objects of extensions, one a line: extension, kind, and what belongs to the kind. Types and functions of an
/// extension that is not listed stay unknown, and what uses them is not worked out.
const OBJECTS: &str = include_str!("extensions.tsv");

/// `CREATE EXTENSION`.
pub(super) fn create(edit: &mut Edit<'_>, statement: &CreateExtensionStmt) -> Outcome {
    if edit.extensions.contains_key(&statement.extname) {
        if statement.if_not_exists {
            return Ok(());
        }
        fail!("extension {} already exists", quote::ident(&statement.extname));
    }
    let wished = names::options(&statement.options)
        .find(|element| element.defname == "schema")
        .and_then(|element| names::option_text(element.arg.as_deref()));
    let fixed = rows(&statement.extname).find(|(kind, _)| *kind == "schema").and_then(|(_, mut fields)| fields.next());
    let schema = match (fixed, wished, edit.server.search_path.first()) {
        (Some(fixed), _, _) => fixed.to_owned(),
        (None, Some(schema), _) => schema,
        (None, None, Some(first)) => first.clone(),
        (None, None, None) => fail!("no schema of the search path exists for the extension"),
    };
    let is_system = schema == "pg_catalog";
    if !is_system && !edit.schemas.contains_key(&schema) {
        if fixed.is_none() {
            fail!("schema {} does not exist", quote::ident(&schema));
        }
        let owner = edit.server.user.clone();
        let new = crate::catalog::Schema { owner, privileges: Vec::new(), comment: None };
        edit.small().schemas.insert(schema.clone(), new);
    }
    edit.small().extensions.insert(statement.extname.clone(), schema.clone());
    if is_system {
        return Ok(());
    }
    for (kind, fields) in rows(&statement.extname) {
        add(edit, &statement.extname, &schema, kind, &fields.collect::<Vec<_>>());
    }
    Ok(())
}

fn rows(extension: &str) -> impl Iterator<Item = (&'static str, std::str::Split<'static, char>)> {
    OBJECTS.lines().filter_map(move |line| {
        let mut fields = line.split('\t');
        (fields.next()? == extension).then_some(())?;
        Some((fields.next()?, fields))
    })
}

fn add(edit: &mut Edit<'_>, extension: &str, schema: &str, kind: &str, fields: &[&str]) {
    let owner = edit.server.user.clone();
    // The schema stands as `@` in texts.
    let here = |text: &str| text.replace('@', &quote::ident(schema));
    match (kind, fields) {
        ("type", [name]) => {
            let base = UserType {
                kind: TypeKind::Base,
                owner,
                privileges: Vec::new(),
                comment: None,
                extension: Some(extension.to_owned()),
            };
            edit.put_type(Name::new(schema, *name), base);
        }
        ("function", [majors, name, kind, arguments, result, volatility, language, strict]) => {
            let major = edit.major();
            let (first, last) = majors.split_once('-').unwrap_or((majors, majors));
            let within = first.parse::<i32>().is_ok_and(|first| major.max(14) >= first)
                && last.parse::<i32>().is_ok_and(|last| major.min(18) <= last);
            if !within {
                return;
            }
            let letter = |field: &str, default: char| field.chars().next().unwrap_or(default);
            let arguments = here(arguments);
            let mut types: Vec<Name> = edit
                .types
                .iter()
                .filter(|(name, own)| {
                    own.extension.as_deref() == Some(extension)
                        && (mentions(&arguments, name) || mentions(&here(result), name))
                })
                .map(|(name, _)| name.clone())
                .collect();
            types.sort();
            let function = Function {
                name: Name::new(schema, *name),
                kind: letter(kind, 'f'),
                arguments,
                result: here(result),
                volatility: letter(volatility, 'v'),
                language: (*language).to_owned(),
                strict: *strict == "t",
                references: Vec::new(),
                functions: Vec::new(),
                types,
                definition: String::new(),
                extension: Some(extension.to_owned()),
                owner,
                privileges: Vec::new(),
                comment: None,
            };
            edit.add_function(function);
        }
        ("cast", [source, target, method, context]) => {
            let name = |text: &str| match text.strip_prefix("@.") {
                Some(name) => Name::new(schema, name),
                None => Name::new("pg_catalog", text),
            };
            let letter = |field: &str| field.chars().next().unwrap_or('e');
            let cast = Cast { source: name(source), target: name(target), method: letter(method), context: letter(context) };
            let casts = &mut edit.small().casts;
            casts.push(cast);
            casts.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
        }
        _ => {}
    }
}

/// Whether a type's name stands in the text as a whole word.
fn mentions(text: &str, name: &Name) -> bool {
    let wanted = name.to_string();
    text.match_indices(&wanted).any(|(at, _)| {
        let after = text[at + wanted.len()..].chars().next();
        after.is_none_or(|next| !next.is_alphanumeric() && next != '_')
    })
}

/// `ALTER EXTENSION .. ADD | DROP member`.
pub(super) fn contents(edit: &mut Edit<'_>, statement: &AlterExtensionContentsStmt) -> Outcome {
    let owner = (statement.action > 0).then(|| statement.extname.clone());
    let object = statement.object.as_deref();
    let parts = names::parts(object);
    match ObjectType::try_from(statement.objtype).unwrap_or(ObjectType::Undefined) {
        ObjectType::ObjectTable
        | ObjectType::ObjectView
        | ObjectType::ObjectMatview
        | ObjectType::ObjectSequence
        | ObjectType::ObjectForeignTable => {
            let name = names::relation_of(edit, &parts)?;
            edit.relation_mut(&name)?.extension = owner;
        }
        ObjectType::ObjectType | ObjectType::ObjectDomain => {
            let name = names::existing_type(edit, &parts)?;
            edit.type_mut(&name)?.extension = owner;
        }
        ObjectType::ObjectFunction | ObjectType::ObjectProcedure | ObjectType::ObjectAggregate => {
            let Some(Node { node: Some(node::Node::ObjectWithArgs(object)) }) = object else {
                fail!("the statement names no function");
            };
            let at = names::function(edit, object)?;
            edit.function_mut(at).extension = owner;
        }
        _ => {}
    }
    Ok(())
}
