//! Types: of columns, user-defined ones, casts.

use serde::{Deserialize, Serialize};

use super::{Column, Name, is_default};

/// A type with its modifier. Built-in types have schema `pg_catalog` and their internal name (`int4`,
/// `varchar`, `timestamptz`); the element type's name is used for arrays, with `array` set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataType {
    /// Type (element type for arrays).
    pub name: Name,
    /// `atttypmod`, -1 when there is none.
    pub modifier: i32,
    /// Whether it is an array of `name`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub array: bool,
    /// As `format_type` prints it.
    pub sql: String,
}

/// A user-defined type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserType {
    /// What it is.
    pub kind: TypeKind,
    /// Owning role.
    pub owner: String,
    /// Access privileges as `typacl` prints them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Extension that owns the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

/// `typtype` with what belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[allow(missing_docs)]
pub enum TypeKind {
    Enum {
        labels: Vec<String>,
    },
    #[serde(rename_all = "camelCase")]
    Domain {
        base: DataType,
        not_null: bool,
        /// The domain's own default expression.
        default: Option<String>,
        constraints: Vec<DomainConstraint>,
        /// Collation when it is not the base type's default, as `schema.name`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        collation: Option<String>,
    },
    /// Free-standing composite type: its attributes.
    Composite {
        attributes: Vec<Column>,
    },
    Range {
        subtype: String,
    },
    Base,
}

/// A CHECK of a domain; from 17 on its NOT NULL too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainConstraint {
    /// Name.
    pub name: String,
    /// `pg_get_constraintdef`.
    pub definition: String,
    /// `convalidated`.
    pub validated: bool,
    /// User-defined functions it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
}

/// A cast that is not built in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cast {
    /// Source type.
    pub source: Name,
    /// Target type.
    pub target: Name,
    /// `pg_cast.castmethod`: `b` binary, `f` function, `i` in/out.
    pub method: char,
    /// `pg_cast.castcontext`: `i` implicit, `a` assignment, `e` explicit.
    pub context: char,
}
