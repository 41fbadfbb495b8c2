//! Where in a text a name stands, so that it can be qualified or renamed there and nothing else changes.

use super::Analysis;
use super::scope::Visible;
use super::types::Type;
use crate::catalog::{ColumnReference, Name};
use crate::sql::quote;

/// A name in a text.
#[derive(Clone, Debug)]
pub(super) enum Mention {
    Relation {
        name: Name,
        bare: bool,
    },
    Column {
        source: ColumnReference,
        parts: Vec<String>,
    },
    Function {
        name: Name,
        bare: bool,
    },
    Type {
        name: Name,
        bare: bool,
    },
    /// A literal of an enum.
    Label {
        of: Name,
        label: String,
    },
    /// `*` or `t.*`, and what it stands for; `None` when that is not known.
    Star(Vec<String>),
}

impl Analysis<'_> {
    fn note(&self, location: i32, mention: Mention) {
        self.mentions.borrow_mut().insert(location, mention);
    }

    pub(super) fn note_relation(&self, location: i32, name: &Name, bare: bool) {
        self.note(location, Mention::Relation { name: name.clone(), bare });
    }

    pub(super) fn note_column(&self, location: i32, source: &ColumnReference, parts: &[String]) {
        self.note(location, Mention::Column { source: source.clone(), parts: parts.to_vec() });
    }

    pub(super) fn note_function(&self, location: i32, name: &Name, bare: bool) {
        self.note(location, Mention::Function { name: name.clone(), bare });
    }

    pub(super) fn note_type(&self, location: i32, found: &Type, bare: bool) {
        if let Some(name) = found.user_defined() {
            self.note(location, Mention::Type { name, bare });
        }
    }

    pub(super) fn note_label(&self, location: i32, of: &Type, label: &str) {
        if let Some(of) = of.user_defined() {
            self.note(location, Mention::Label { of, label: label.to_owned() });
        }
    }

    pub(super) fn note_star(&self, location: i32, columns: &[(String, Visible)]) {
        let spelled = |(alias, visible): &(String, Visible)| {
            let column = quote::ident(&visible.name);
            if alias.is_empty() { column } else { format!("{}.{column}", quote::ident(alias)) }
        };
        self.note(location, Mention::Star(columns.iter().map(spelled).collect()));
    }

    pub(super) fn note_bare_target(&self, location: i32) {
        self.bare_targets.borrow_mut().insert(location);
    }
}
