//! The author's statements as a list of changes: what wraps them, what the session would remember, what has
//! no place in a plan.

use pg_query::NodeEnum;
use pg_query::protobuf::{TransactionStmt, TransactionStmtKind, VariableSetKind, VariableSetStmt};

use super::model::Origin;
use super::planner::PlanError;
use super::postpone::changes_rows;
use super::script::{LongRun, Source};
use crate::catalog::Catalog;
use crate::catalog::apply::is_off;
use crate::sql::{Statement, render};

/// One statement to plan, with the settings that the author made for it.
#[derive(Clone, Debug)]
pub(super) struct Authored<'a> {
    /// The statement; of a long run its first.
    pub statement: &'a Statement,
    /// Its index in the author's list.
    pub index: usize,
    /// The long run that it stands for.
    pub run: Option<&'a dyn LongRun>,
    /// Where it stands.
    pub origin: Origin,
    /// Settings that hold for it.
    pub settings: Settings,
}

/// Session settings that the author changed, in order, each with the statement that makes it hold in one
/// transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    list: Vec<(String, String)>,
    /// Schemas of a changed `search_path`.
    search_path: Option<Vec<String>>,
}

impl Settings {
    /// `SET LOCAL ...` statements.
    pub fn statements(&self) -> Vec<String> {
        self.list.iter().map(|(_, statement)| statement.clone()).collect()
    }

    /// Whether nothing was set.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a role was set: the statements after the author's have to leave it again.
    pub fn role(&self) -> bool {
        self.list.iter().any(|(name, _)| name == "role" || name == "session_authorization")
    }

    /// Makes the catalog's session the one that the author's statement would see.
    pub fn enter(&self, catalog: &mut Catalog) {
        if let Some(path) = &self.search_path {
            catalog.server.search_path.clone_from(path);
        }
        if let Some((_, zone)) = self.list.iter().rev().find(|(name, _)| name == "timezone")
            && let Some(value) = set_value(zone)
        {
            catalog.server.time_zone = value;
        }
        if let Some((_, checked)) = self.list.iter().rev().find(|(name, _)| name == "check_function_bodies")
            && let Some(value) = set_value(checked)
        {
            catalog.server.unchecked_bodies = is_off(&value);
        }
    }

    fn set(&mut self, name: &str, statement: String) {
        self.list.retain(|(known, _)| known != name);
        self.list.push((name.to_owned(), statement));
    }

    fn reset(&mut self, name: &str) {
        self.list.retain(|(known, _)| known != name);
        if name == "search_path" {
            self.search_path = None;
        }
    }
}

/// Timeouts of the session: the executor sets its own for every step.
const TIMEOUTS: [&str; 6] = [
    "lock_timeout",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
    "deadlock_timeout",
];

/// What to do about a file that [`crate::sql::undo_in_file`] finds the undo in.
pub const UNDO_IN_FILE: &str = "behind this mark the file undoes its own change; to SQL that is a comment, and all of \
    the file would run: leave out what follows, `wesley rollback` has an undo of its own";

/// What is to be planned, and remarks on what is not.
pub(super) fn read<'a>(source: Source<'a>, catalog: &Catalog) -> Result<(Vec<Authored<'a>>, Vec<String>), PlanError> {
    let statements = source.statements;
    let mut notes = Vec::new();
    let mut settings = Settings::default();
    let mut list = Vec::new();
    let wrapped = wrapping(statements);
    for (index, statement) in statements.iter().enumerate() {
        if wrapped.is_some_and(|begin| index == begin || index + 1 == statements.len()) {
            continue;
        }
        let unsupported = |message: &str| PlanError::Unsupported { statement: index, message: message.to_owned() };
        match &statement.node {
            NodeEnum::TransactionStmt(transaction) => return Err(unsupported(&transaction_advice(transaction))),
            NodeEnum::CopyStmt(copy) if copy.filename.is_empty() => {
                return Err(unsupported(
                    "COPY from or to the client has no place in a migration: use INSERT, or load the data with psql",
                ));
            }
            NodeEnum::PrepareStmt(_) | NodeEnum::ExecuteStmt(_) | NodeEnum::DeallocateStmt(_) => {
                return Err(unsupported("prepared statements do not outlive a step: write the statement itself"));
            }
            NodeEnum::DeclareCursorStmt(_) | NodeEnum::FetchStmt(_) | NodeEnum::ClosePortalStmt(_) => {
                return Err(unsupported("cursors do not outlive a step: write the statement itself"));
            }
            NodeEnum::LockStmt(_) => {
                notes.push(format!("statement {}: LOCK is left out, every step takes its own locks", index + 1));
            }
            NodeEnum::ConstraintsSetStmt(_) if !changes_follow(statements, index) => {
                notes.push(format!("statement {}: SET CONSTRAINTS is left out, no change of rows follows", index + 1));
            }
            NodeEnum::DiscardStmt(_) => settings = Settings::default(),
            NodeEnum::VariableSetStmt(set) => variable(set, index, catalog, &mut settings, &mut notes)?,
            _ => {
                let run = source.run(index);
                let origin = Origin {
                    statement: position(index),
                    start: position(statement.span.start),
                    end: position(run.map_or(statement.span.end, LongRun::end)),
                };
                list.push(Authored { statement, index, run, origin, settings: settings.clone() });
            }
        }
    }
    if wrapped.is_some() {
        notes.push("BEGIN and COMMIT around the whole are left out: the plan decides the transactions".to_owned());
    }
    Ok((list, notes))
}

fn changes_follow(statements: &[Statement], index: usize) -> bool {
    statements.iter().skip(index + 1).any(|statement| changes_rows(&statement.node))
}

fn position(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

/// The statements of one file of several without the transaction that it wraps itself in: they become parts of one
/// list, whose transactions the plan decides.
pub fn unwrapped(mut statements: Vec<Statement>) -> Vec<Statement> {
    if let Some(begin) = wrapping(&statements) {
        statements.pop();
        statements.remove(begin);
    }
    statements
}

/// The statement that opens one transaction around everything but settings before it, which the last one commits.
fn wrapping(statements: &[Statement]) -> Option<usize> {
    let kind = |statement: &Statement| match &statement.node {
        NodeEnum::TransactionStmt(transaction) => Some(transaction.kind()),
        _ => None,
    };
    let begin = statements.iter().position(|statement| !matches!(statement.node, NodeEnum::VariableSetStmt(_)))?;
    let opens = matches!(
        kind(&statements[begin]),
        Some(TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart)
    );
    let commits = statements.last().and_then(kind) == Some(TransactionStmtKind::TransStmtCommit);
    (opens && commits).then_some(begin)
}

fn transaction_advice(transaction: &TransactionStmt) -> String {
    let what = match transaction.kind() {
        TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart => "BEGIN",
        TransactionStmtKind::TransStmtCommit => "COMMIT",
        TransactionStmtKind::TransStmtRollback => "ROLLBACK",
        TransactionStmtKind::TransStmtSavepoint
        | TransactionStmtKind::TransStmtRelease
        | TransactionStmtKind::TransStmtRollbackTo => "a savepoint",
        _ => "a prepared transaction",
    };
    format!(
        "{what} has no place here: the plan decides the transactions; leave it out (one BEGIN ... COMMIT around the whole is allowed)"
    )
}

fn variable(
    set: &VariableSetStmt,
    index: usize,
    catalog: &Catalog,
    settings: &mut Settings,
    notes: &mut Vec<String>,
) -> Result<(), PlanError> {
    let name = set.name.to_ascii_lowercase();
    if TIMEOUTS.contains(&name.as_str()) {
        notes.push(format!("statement {}: {name} is left out, every step sets its own timeouts", index + 1));
        return Ok(());
    }
    match set.kind() {
        VariableSetKind::VarReset => settings.reset(&name),
        VariableSetKind::VarResetAll => *settings = Settings::default(),
        VariableSetKind::VarSetMulti => {
            notes.push(format!(
                "statement {}: SET TRANSACTION is left out, every step has its own transaction",
                index + 1
            ));
        }
        _ => {
            let mut local = set.clone();
            local.is_local = true;
            let text = render::render(&NodeEnum::VariableSetStmt(local)).ok_or_else(|| PlanError::Unsupported {
                statement: index,
                message: format!("SET {name} cannot be repeated for each step: leave it out"),
            })?;
            settings.set(&name, text);
            if name == "search_path" {
                settings.search_path = Some(search_path(set, catalog));
            }
        }
    }
    Ok(())
}

/// The schemas of a `SET search_path`, in order. Those that do not exist find nothing, here as on the server.
fn search_path(set: &VariableSetStmt, catalog: &Catalog) -> Vec<String> {
    if set.kind() == VariableSetKind::VarSetDefault {
        return catalog.server.search_path.clone();
    }
    set.args
        .iter()
        .filter_map(constant)
        .flat_map(|schema| if schema == "$user" { vec![catalog.server.user.clone()] } else { vec![schema] })
        .collect()
}

fn constant(node: &pg_query::protobuf::Node) -> Option<String> {
    use pg_query::protobuf::a_const::Val;
    match node.node.as_ref()? {
        NodeEnum::AConst(value) => match value.val.as_ref()? {
            Val::Sval(text) => Some(text.sval.clone()),
            _ => None,
        },
        NodeEnum::String(text) => Some(text.sval.clone()),
        _ => None,
    }
}

/// The value of a rendered `SET LOCAL x TO 'v'`.
fn set_value(statement: &str) -> Option<String> {
    let parsed = crate::sql::parse(statement).ok()?;
    match &parsed.first()?.node {
        NodeEnum::VariableSetStmt(set) => set.args.first().and_then(constant),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Vec<String>, Vec<Settings>, Vec<String>);

    fn read_text(text: &str) -> Result<Read, PlanError> {
        let statements = crate::sql::parse(text).unwrap();
        let (list, notes) = read(Source::of(&statements), &Catalog::default())?;
        let texts = list.iter().map(|authored| authored.statement.text.clone()).collect();
        Ok((texts, list.into_iter().map(|authored| authored.settings).collect(), notes))
    }

    #[test]
    fn one_wrapping_transaction_is_left_out() {
        let (texts, _, notes) = read_text("BEGIN; CREATE TABLE a (); CREATE TABLE b (); COMMIT;").unwrap();
        assert_eq!(texts, ["CREATE TABLE a ()", "CREATE TABLE b ()"]);
        assert_eq!(notes.len(), 1, "{notes:?}");
        let (texts, settings, _) = read_text("SET search_path = app; BEGIN; CREATE TABLE a (); COMMIT;").unwrap();
        assert_eq!(texts, ["CREATE TABLE a ()"]);
        assert_eq!(settings[0].statements(), ["SET LOCAL search_path TO app"]);
    }

    #[test]
    fn other_transaction_control_is_refused_with_its_place() {
        for (text, at) in [
            ("CREATE TABLE a (); COMMIT;", 1),
            ("BEGIN; CREATE TABLE a (); COMMIT; CREATE TABLE b ();", 0),
            ("BEGIN; SAVEPOINT s; CREATE TABLE a (); COMMIT;", 1),
            ("BEGIN; CREATE TABLE a (); ROLLBACK;", 0),
            ("CREATE TABLE a (); BEGIN; CREATE TABLE b (); COMMIT;", 1),
        ] {
            match read_text(text) {
                Err(PlanError::Unsupported { statement, message }) => {
                    assert_eq!(statement, at, "{text}");
                    assert!(message.contains("leave it out"), "{message}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn settings_hold_for_what_follows_until_reset() {
        let (texts, settings, notes) = read_text(
            "SET lock_timeout = '1s'; CREATE TABLE a (); SET search_path = app, public; SET TIME ZONE 'UTC'; \
             CREATE TABLE b (); RESET search_path; CREATE TABLE c ();",
        )
        .unwrap();
        assert_eq!(texts.len(), 3);
        assert!(settings[0].statements().is_empty());
        assert_eq!(settings[1].statements(), ["SET LOCAL search_path TO app, public", "SET LOCAL TIME ZONE \"UTC\""]);
        assert_eq!(settings[2].statements(), ["SET LOCAL TIME ZONE \"UTC\""]);
        assert!(notes[0].contains("lock_timeout"), "{notes:?}");
        let mut catalog = Catalog::default();
        settings[1].enter(&mut catalog);
        assert_eq!(catalog.server.search_path, ["app", "public"]);
        assert_eq!(catalog.server.time_zone, "UTC");
    }
}
