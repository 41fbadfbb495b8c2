//! Objects of kinds that the catalog does not hold: where the author's own statement makes one, and fails where it is
//! there already, the way back drops it.

use pg_query::NodeEnum;
use pg_query::protobuf::{DefElem, DefineStmt, DropBehavior, DropStmt, List, Node, ObjectType, ObjectWithArgs};

use crate::catalog::Catalog;
use crate::catalog::expression::strings;
use crate::plan::analyze::Resolver;
use crate::sql::{Statement, render};

/// The statements that drop what the statements make, the last made first, with their kinds; and the positions of those statements.
/// What they change of an object that one of them has made goes with it.
pub(super) fn drops(statements: &[Statement], before: &Catalog) -> (Vec<(ObjectType, String)>, Vec<usize>) {
    let mut made: Vec<(ObjectType, Vec<String>)> = Vec::new();
    let (mut drops, mut covered) = (Vec::new(), Vec::new());
    for (position, statement) in statements.iter().enumerate() {
        if let Some((object, kind, name)) = made_by(&statement.node, before) {
            let drop = DropStmt {
                objects: vec![object],
                remove_type: kind as i32,
                behavior: DropBehavior::DropRestrict as i32,
                missing_ok: true,
                concurrent: false,
            };
            if let Some(text) = render::render(&NodeEnum::DropStmt(drop)) {
                drops.insert(0, (kind, text));
                covered.push(position);
                made.push((kind, name));
            }
        } else if changed_by(&statement.node).is_some_and(|(kind, names)| {
            let name = qualified(&names, before);
            made.iter().any(|(other, made)| *other == kind && *made == name)
        }) {
            covered.push(position);
        }
    }
    (drops, covered)
}

/// What the statement makes: for `DROP`, its kind, and its name.
fn made_by(node: &NodeEnum, before: &Catalog) -> Option<(Node, ObjectType, Vec<String>)> {
    let plain = |kind: ObjectType, name: &str| Some((string(name), kind, vec![name.to_owned()]));
    match node {
        NodeEnum::DefineStmt(define) if !define.if_not_exists && !define.replace => {
            let name = qualified(&strings(&define.defnames), before);
            let object = match define.kind() {
                ObjectType::ObjectCollation
                | ObjectType::ObjectTsconfiguration
                | ObjectType::ObjectTsdictionary
                | ObjectType::ObjectTsparser
                | ObjectType::ObjectTstemplate => list(&name),
                ObjectType::ObjectOperator => operator(define, &name),
                _ => return None,
            };
            Some((object, define.kind(), name))
        }
        NodeEnum::CreateFdwStmt(fdw) => plain(ObjectType::ObjectFdw, &fdw.fdwname),
        NodeEnum::CreateForeignServerStmt(server) if !server.if_not_exists => {
            plain(ObjectType::ObjectForeignServer, &server.servername)
        }
        NodeEnum::CreatePlangStmt(language) if !language.replace => plain(ObjectType::ObjectLanguage, &language.plname),
        NodeEnum::CreateAmStmt(method) => plain(ObjectType::ObjectAccessMethod, &method.amname),
        NodeEnum::CreateConversionStmt(conversion) => {
            let name = qualified(&strings(&conversion.conversion_name), before);
            Some((list(&name), ObjectType::ObjectConversion, name))
        }
        _ => None,
    }
}

/// The object of such a kind that the statement changes.
fn changed_by(node: &NodeEnum) -> Option<(ObjectType, Vec<String>)> {
    let named = |object: Option<&Node>| match object?.node.as_ref()? {
        NodeEnum::List(list) => Some(strings(&list.items)),
        NodeEnum::String(name) => Some(vec![name.sval.clone()]),
        _ => None,
    };
    Some(match node {
        NodeEnum::AlterTsconfigurationStmt(alter) => (ObjectType::ObjectTsconfiguration, strings(&alter.cfgname)),
        NodeEnum::AlterTsdictionaryStmt(alter) => (ObjectType::ObjectTsdictionary, strings(&alter.dictname)),
        NodeEnum::CommentStmt(comment) => (comment.objtype(), named(comment.object.as_deref())?),
        NodeEnum::AlterOwnerStmt(owner) => (owner.object_type(), named(owner.object.as_deref())?),
        _ => return None,
    })
}

/// With the schema that the server would choose, where the kind has one.
fn qualified(name: &[String], before: &Catalog) -> Vec<String> {
    match name {
        [name] => {
            let full = Resolver::new(before).creation_name("", name);
            vec![full.schema, full.name]
        }
        other => other.to_vec(),
    }
}

fn operator(define: &DefineStmt, name: &[String]) -> Node {
    let side = |wanted: &str| {
        let found = define.definition.iter().find_map(|node| match &node.node {
            Some(NodeEnum::DefElem(element)) if element.defname == wanted => Some(&**element),
            _ => None,
        });
        found.and_then(|element: &DefElem| element.arg.as_deref()).cloned().unwrap_or_default()
    };
    let object = ObjectWithArgs {
        objname: name.iter().map(|part| string(part)).collect(),
        objargs: vec![side("leftarg"), side("rightarg")],
        ..ObjectWithArgs::default()
    };
    Node { node: Some(NodeEnum::ObjectWithArgs(object)) }
}

fn string(text: &str) -> Node {
    Node { node: Some(NodeEnum::String(pg_query::protobuf::String { sval: text.to_owned() })) }
}

fn list(parts: &[String]) -> Node {
    Node { node: Some(NodeEnum::List(List { items: parts.iter().map(|part| string(part)).collect() })) }
}
