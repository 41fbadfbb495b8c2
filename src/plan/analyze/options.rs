//! Options in parentheses: `(CONCURRENTLY, VERBOSE off)`.

use pg_query::NodeEnum;
use pg_query::protobuf::{DefElem, Node, a_const};

/// The options of a list, with their names.
pub(super) fn elements(options: &[Node]) -> impl Iterator<Item = &DefElem> {
    options.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::DefElem(element)) => Some(element.as_ref()),
        _ => None,
    })
}

/// The option of that name; the last one wins, as on the server.
pub(super) fn find<'n>(options: &'n [Node], name: &str) -> Option<&'n DefElem> {
    elements(options).filter(|element| element.defname.eq_ignore_ascii_case(name)).last()
}

/// Whether a boolean option is on: given without a value, or with a true one (`defGetBoolean`).
pub(super) fn is_on(options: &[Node], name: &str) -> bool {
    find(options, name).is_some_and(|element| boolean(element).unwrap_or(true))
}

/// The value of a boolean option; `None` when it is none.
pub(super) fn boolean(element: &DefElem) -> Option<bool> {
    let Some(value) = element.arg.as_ref().and_then(|arg| arg.node.as_ref()) else { return Some(true) };
    match value {
        NodeEnum::Boolean(value) => Some(value.boolval),
        NodeEnum::Integer(value) => match value.ival {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        _ => match text_of(value)?.to_ascii_lowercase().as_str() {
            "true" | "on" => Some(true),
            "false" | "off" => Some(false),
            _ => None,
        },
    }
}

/// The value of an option as text.
pub(super) fn text(element: &DefElem) -> Option<String> {
    text_of(element.arg.as_ref()?.node.as_ref()?)
}

/// The value of an option as an integer.
pub(super) fn number(element: &DefElem) -> Option<i32> {
    text(element)?.parse().ok()
}

fn text_of(value: &NodeEnum) -> Option<String> {
    match value {
        NodeEnum::String(value) => Some(value.sval.clone()),
        NodeEnum::Integer(value) => Some(value.ival.to_string()),
        NodeEnum::Float(value) => Some(value.fval.clone()),
        NodeEnum::Boolean(value) => Some(value.boolval.to_string()),
        NodeEnum::TypeName(name) => super::names::Qualified::from_type(name).map(|name| name.shown()),
        NodeEnum::AConst(constant) => match constant.val.as_ref()? {
            a_const::Val::Sval(value) => Some(value.sval.clone()),
            a_const::Val::Ival(value) => Some(value.ival.to_string()),
            a_const::Val::Fval(value) => Some(value.fval.clone()),
            a_const::Val::Boolval(value) => Some(value.boolval.to_string()),
            a_const::Val::Bsval(_) => None,
        },
        _ => None,
    }
}
