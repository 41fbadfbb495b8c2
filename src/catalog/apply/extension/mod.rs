//! Extensions: what those that PostgreSQL ships bring, read from the servers.

use pg_query::protobuf::{AlterExtensionContentsStmt, CreateExtensionStmt, Node, ObjectType, node};

use super::edit::{Edit, Outcome, fail};
use super::names;
use crate::catalog::types::parse_type;
use crate::catalog::{Cast, Catalog, Column, Function, Name, Relation, RelationKind, Schema, TypeKind, UserType, View};
use crate::sql::quote;

/// Written by `generate`: majors, extension, kind of object, and what belongs to the kind. The extension's
/// schema stands as `@`.
const OBJECTS: &str = include_str!("objects.tsv");

/// `CREATE EXTENSION`. An extension that PostgreSQL does not ship is created without its objects: see
/// [`unlisted_schema`].
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
    let schema = match (own_schema(&statement.extname), wished, edit.server.search_path.first()) {
        (Some(own), _, _) => own.to_owned(),
        (None, Some(schema), _) => schema,
        (None, None, Some(first)) => first.clone(),
        (None, None, None) => fail!("no schema of the search path exists for the extension"),
    };
    if own_schema(&statement.extname).is_some_and(|own| own != "pg_catalog") {
        let schema = Schema { owner: edit.server.user.clone(), privileges: Vec::new(), comment: None };
        edit.small().schemas.entry(own_schema(&statement.extname).unwrap_or_default().to_owned()).or_insert(schema);
    } else if schema != "pg_catalog" && !edit.schemas.contains_key(&schema) {
        fail!("schema {} does not exist", quote::ident(&schema));
    }
    edit.small().extensions.insert(statement.extname.clone(), schema.clone());
    let major = edit.major();
    // Functions and casts mention the types.
    for wanted in ["type", "function", "cast", "view"] {
        for (kind, fields) in rows(&statement.extname, major).filter(|(kind, _)| *kind == wanted) {
            add(edit, &statement.extname, &schema, kind, &fields);
        }
    }
    Ok(())
}

/// The schema that the extension insists on.
fn own_schema(extension: &str) -> Option<&'static str> {
    match extension {
        "plpgsql" | "adminpack" => Some("pg_catalog"),
        "pg_cron" => Some("pg_catalog"),
        _ => None,
    }
}

fn rows(extension: &str, major: i32) -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    OBJECTS.lines().filter_map(move |line| {
        let mut fields = line.split('\t');
        let (first, last) = fields.next()?.split_once('-')?;
        let within = first.parse::<i32>().ok()? <= major.max(14) && major.min(18) <= last.parse::<i32>().ok()?;
        (within && fields.next()? == extension).then_some(())?;
        Some((fields.next()?, fields.collect()))
    })
}

/// The schema of an extension in the catalog that PostgreSQL does not ship (PostGIS, pgvector): types that are
/// not found are taken for its own.
pub(crate) fn unlisted_schema(catalog: &Catalog) -> Option<&str> {
    let is_known = |extension: &str| {
        own_schema(extension).is_some()
            || rows(extension, catalog.server.major()).next().is_some()
            || catalog.types.values().any(|own| own.extension.as_deref() == Some(extension))
            || catalog.functions.iter().any(|own| own.extension.as_deref() == Some(extension))
    };
    let unlisted = catalog.extensions.iter().find(|(extension, _)| !is_known(extension));
    unlisted.map(|(_, schema)| schema.as_str())
}

/// Operator classes of the extensions in the catalog: schema, and the fields name, family, input type, default.
fn classes<'c>(catalog: &'c Catalog, method: &str) -> impl Iterator<Item = (&'c str, [&'static str; 4])> {
    let all = OBJECTS.lines().filter(|line| line.contains("\tclass\t"));
    all.filter_map(move |line| {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [_, extension, "class", name, own_method, family, input, default, ..] = fields[..] else { return None };
        let schema = catalog.extensions.get(extension)?;
        Some((schema.as_str(), own_method, [name, family, input, default]))
    })
    .filter(move |(_, own_method, _)| *own_method == method)
    .map(|(schema, _, fields)| (schema, fields))
    .collect::<Vec<_>>()
    .into_iter()
}

/// Class and family that an extension makes the default of a type.
pub(crate) fn default_class(catalog: &Catalog, method: &str, type_id: &str) -> Option<(String, String)> {
    let (schema, [name, family, ..]) = classes(catalog, method).find(|(schema, [_, _, input, default])| {
        *default == "t" && input.replace("@.", &format!("{}.", quote::ident(schema))) == type_id
    })?;
    Some((quote::qualified(schema, name), quote::qualified(schema, family)))
}

/// Schema and family of an extension's class of that name.
pub(super) fn class(catalog: &Catalog, method: &str, name: &str) -> Option<(String, String)> {
    let (schema, [_, family, ..]) = classes(catalog, method).find(|(_, [own, ..])| *own == name)?;
    Some((schema.to_owned(), family.to_owned()))
}

fn add(edit: &mut Edit<'_>, extension: &str, schema: &str, kind: &str, fields: &[&str]) {
    // The schema stands as `@` in texts.
    let here = |text: &str| text.replace("@.", &format!("{}.", quote::ident(schema)));
    match (kind, fields) {
        ("type", [name, letter, attributes, ..]) => {
            data_type(edit, extension, Name::new(schema, *name), letter, &here(attributes))
        }
        ("function", [name, kind, arguments, result, volatility, language, strict, called]) => {
            let letter = |field: &str, default: char| field.chars().next().unwrap_or(default);
            let (arguments, result) = (here(arguments), here(result));
            let own = edit.types.iter().filter(|(_, own)| own.extension.as_deref() == Some(extension));
            let types = own.filter(|(name, _)| mentions(&arguments, name) || mentions(&result, name));
            let function = Function {
                name: Name::new(schema, *name),
                kind: letter(kind, 'f'),
                types: types.map(|(name, _)| name.clone()).collect(),
                arguments,
                result,
                volatility: letter(volatility, 'v'),
                language: (*language).to_owned(),
                strict: *strict == "t",
                references: Vec::new(),
                functions: called.split(',').filter(|own| !own.is_empty()).map(|own| Name::new(schema, own)).collect(),
                definition: String::new(),
                extension: Some(extension.to_owned()),
                owner: edit.server.user.clone(),
                privileges: Vec::new(),
                comment: None,
            };
            edit.add_function(function);
        }
        ("cast", [source, method, target, context, ..]) => {
            let name = |text: &str| parse_type(&here(text), edit).map(|found| found.name);
            let letter = |field: &str| field.chars().next().unwrap_or('e');
            let (Some(source), Some(target)) = (name(source), name(target)) else { return };
            let cast = Cast { source, target, method: letter(method), context: letter(context) };
            let casts = &mut edit.small().casts;
            casts.push(cast);
            casts.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
        }
        ("view", [name, _, columns, definition, privileges, ..]) => {
            let mut view = Relation::new(RelationKind::View, edit.server.user.clone());
            view.columns = self::columns(edit, &here(columns));
            let called = edit.functions.iter().filter(|own| own.extension.as_deref() == Some(extension));
            let mut functions: Vec<Name> =
                called.map(|own| own.name.clone()).filter(|own| mentions(&here(definition), own)).collect();
            functions.dedup();
            view.view = Some(Box::new(View {
                definition: here(definition),
                references: Vec::new(),
                functions,
                types: Vec::new(),
                constraints: Vec::new(),
                populated: true,
            }));
            let owner = &edit.server.user;
            let list = privileges.trim_matches(['{', '}']).split(',').filter(|item| !item.is_empty());
            view.privileges = list.map(|item| item.replace("postgres", owner)).collect();
            view.extension = Some(extension.to_owned());
            edit.put_relation(Name::new(schema, *name), view);
        }
        _ => {}
    }
}

fn data_type(edit: &mut Edit<'_>, extension: &str, name: Name, letter: &str, attributes: &str) {
    let kind = match letter {
        "c" => TypeKind::Composite { attributes: columns(edit, attributes) },
        _ => TypeKind::Base,
    };
    let user_type = UserType {
        kind,
        owner: edit.server.user.clone(),
        privileges: Vec::new(),
        comment: None,
        extension: Some(extension.to_owned()),
    };
    edit.put_type(name, user_type);
}

/// `name type,name type`: no type of these has a comma in it.
fn columns(edit: &Edit<'_>, list: &str) -> Vec<Column> {
    list.split(',')
        .filter_map(|item| item.split_once(' '))
        .filter_map(|(name, data_type)| Some(Column::new(name, parse_type(data_type, edit)?)))
        .collect()
}

/// Whether a name stands in the text as a whole word.
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
