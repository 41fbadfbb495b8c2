//! Triggers, rewrite rules and row security policies.

use serde::{Deserialize, Serialize};

use super::{ColumnReference, Name, is_default};

/// A user trigger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Name.
    pub name: String,
    /// `pg_get_triggerdef`.
    pub definition: String,
    /// Fires for each row (rather than statement).
    pub for_each_row: bool,
    /// Fires before, after or instead of the event.
    pub timing: TriggerTiming,
    /// Fires on insert.
    pub on_insert: bool,
    /// Fires on update.
    pub on_update: bool,
    /// Fires on delete.
    pub on_delete: bool,
    /// Fires on truncate.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_truncate: bool,
    /// Columns of `UPDATE OF`, and those its WHEN clause mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// `tgenabled`: `O` origin, `D` disabled, `R` replica, `A` always.
    pub enabled: char,
    /// The function it calls.
    pub function: Name,
    /// User-defined functions that its WHEN clause calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// Cloned from a partitioned parent's trigger.
    #[serde(default, skip_serializing_if = "is_default")]
    pub from_parent: bool,
    /// Referenced table of a constraint trigger (`FROM`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<Name>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// When a trigger fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TriggerTiming {
    Before,
    After,
    InsteadOf,
}

/// A rewrite rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Name.
    pub name: String,
    /// `pg_get_ruledef`.
    pub definition: String,
    /// Relations (and columns) it reads or writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ColumnReference>,
    /// User-defined functions it calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// `ev_enabled`.
    pub enabled: char,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A row security policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Name.
    pub name: String,
    /// `PERMISSIVE` (true) or `RESTRICTIVE`.
    pub permissive: bool,
    /// `polcmd`: `r a w d *`.
    pub command: char,
    /// Role names; `public` for all.
    pub roles: Vec<String>,
    /// USING expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub using: Option<String>,
    /// WITH CHECK expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_check: Option<String>,
    /// Columns and relations its expressions depend on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ColumnReference>,
    /// User-defined functions its expressions call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<Name>,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}
