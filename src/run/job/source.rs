//! The author's SQL from a mounted folder: files in the order of their paths.

use std::path::{Path, PathBuf};

use crate::plan::{self, Assertion, PlanError};
use crate::run::error::{Reason, RunError};
use crate::run::text::{self, NoText};
use crate::sql::{self, Statement};

/// The statements, and where each stands.
pub(super) struct Source {
    /// Of all files, in order.
    pub statements: Vec<Statement>,
    /// File name, line and column of each.
    places: Vec<String>,
}

/// Reads and parses all files below `folder`.
pub(super) fn read(folder: &Path) -> Result<Source, RunError> {
    let mut files = Vec::new();
    list(folder, &mut files).map_err(|error| unreadable(&format!("the folder with the SQL: {error}")))?;
    files.sort();
    let several = files.len() > 1;
    let mut left = text::BYTES_MAX;
    let mut source = Source { statements: Vec::new(), places: Vec::new() };
    for file in files {
        let name = file.strip_prefix(folder).unwrap_or(&file).display().to_string();
        let opened = std::fs::File::open(&file).map_err(NoText::from);
        let text = opened.and_then(|file| text::read(file, &mut left)).map_err(|error| match error {
            NoText::Unreadable(_) => unreadable(&format!("{name}: {error}")),
            NoText::NotUtf8(_) => unreadable(&format!("{name} is {error}")),
            NoText::TooLarge => RunError::new(Reason::SourceTooLarge, format!("{name} is {error}")),
        })?;
        let text = text.as_str();
        let statements = sql::parse(text).map_err(|error| {
            let place = format!("{name}, line {}, column {}", error.line, error.column);
            RunError::new(Reason::SyntaxError, format!("{place}: {}", without_literal(&error.message)))
        })?;
        if let Some(at) = sql::undo_in_file(text, &statements) {
            let (line, column) = sql::parse::position(text, at);
            let place = format!("{name}, line {line}, column {column}");
            return Err(RunError::new(Reason::StatementUnsupported, format!("{place}: {}", plan::UNDO_IN_FILE)));
        }
        let statements = if several { plan::unwrapped(statements) } else { statements };
        for statement in &statements {
            let (line, column) = sql::parse::position(text, statement.span.start);
            source.places.push(format!("{name}, line {line}, column {column}"));
        }
        source.statements.extend(statements);
    }
    if source.statements.is_empty() {
        return Err(RunError::new(Reason::SourceUnreadable, "the source holds no SQL statement"));
    }
    Ok(source)
}

/// The author's checks of a file; none without one.
pub(super) fn checks(file: Option<&Path>) -> Result<Vec<Assertion>, RunError> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let bytes = std::fs::read(file).map_err(|error| unreadable(&format!("the checks: {error}")))?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&format!("the checks, line {}", error.line())))
}

/// Files of a mounted ConfigMap or of a tree of them. The kubelet keeps its own entries under names with two dots.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("..") {
            continue;
        }
        let path = entry.path();
        // Follows the links that a mounted ConfigMap consists of.
        if std::fs::metadata(&path)?.is_dir() { list(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

fn unreadable(what: &str) -> RunError {
    RunError::new(Reason::SourceUnreadable, format!("cannot be read: {what}"))
}

impl Source {
    /// A planning error with its place. No SQL text: it may hold literals.
    pub fn explain(&self, error: PlanError) -> RunError {
        let place = |statement: usize| {
            self.places.get(statement).cloned().unwrap_or_else(|| format!("statement {}", statement + 1))
        };
        match error {
            PlanError::Refused { statement, refusal } => RunError {
                sqlstate: Some(refusal.sqlstate.clone()),
                ..RunError::new(
                    Reason::StatementRefused,
                    format!(
                        "{}: the server will refuse this: {} ({}). {}",
                        place(statement),
                        refusal.message,
                        refusal.sqlstate,
                        refusal.hint
                    ),
                )
            },
            PlanError::Unsupported { statement, message } => {
                RunError::new(Reason::StatementUnsupported, format!("{}: {message}", place(statement)))
            }
            // Its files are small: no long run is taken out of them.
            PlanError::RefusedInRun { .. } | PlanError::SourceChanged { .. } => RunError::defect(error),
            PlanError::Check(invalid) => RunError::new(Reason::StatementUnsupported, format!("spec.checks: {invalid}")),
            PlanError::NotAllowed { hazards, .. } => {
                let mut ids: Vec<String> = hazards.iter().map(|hazard| hazard.id.to_string()).collect();
                ids.sort();
                ids.dedup();
                let listed: Vec<String> = hazards.iter().map(ToString::to_string).collect();
                let message = format!(
                    "hazards that are not allowed: {}. Change the SQL, or set spec.allowHazards: [{}]",
                    listed.join("; "),
                    ids.join(", ")
                );
                RunError::new(Reason::HazardNotAllowed, message)
            }
        }
    }
}

/// The parser quotes the token it stopped at; a literal among them may be a secret.
fn without_literal(message: &str) -> &str {
    match message.split_once(" at or near \"") {
        Some((before, token)) if !token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => before,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn files_are_read_in_the_order_of_their_paths() {
        let folder = folder(&[
            ("001/b.sql", "select 2"),
            ("000/z.sql", "select 1;"),
            ("001/c.sql", "\u{feff}select 3; select 4"),
            ("..2026/x.sql", "not SQL"),
        ]);
        let source = read(folder.path()).unwrap();
        let texts: Vec<&str> = source.statements.iter().map(|statement| statement.text.as_str()).collect();
        assert_eq!(texts, ["select 1", "select 2", "select 3", "select 4"]);
        assert_eq!(source.places[3], "001/c.sql, line 1, column 11");
    }

    #[test]
    fn each_of_several_files_may_wrap_itself_in_a_transaction() {
        let folder =
            folder(&[("a.sql", "begin; select 1; commit"), ("b.sql", "set timezone = 'UTC'; begin; select 2; end")]);
        let source = read(folder.path()).unwrap();
        let texts: Vec<&str> = source.statements.iter().map(|statement| statement.text.as_str()).collect();
        assert_eq!(texts, ["select 1", "set timezone = 'UTC'", "select 2"]);
        assert_eq!(source.places[2], "b.sql, line 1, column 30");
    }

    #[test]
    fn syntax_errors_have_a_place_and_no_literal() {
        let error = read(folder(&[("a.sql", "select 1;\nalter tabel t")]).path()).err().unwrap();
        assert_eq!(error.reason, Reason::SyntaxError);
        assert!(error.message.contains("a.sql, line 2, column 7") && error.message.contains("tabel"), "{error}");
        for text in ["select 1 'canary' 'x'", "select 'canary"] {
            let error = read(folder(&[("a.sql", text)]).path()).err().unwrap();
            assert!(!error.message.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_file_that_undoes_itself_is_refused_at_its_mark() {
        let text = "-- +goose Up\ncreate table a ();\n-- +goose Down\ndrop table a;";
        let error = read(folder(&[("a.sql", text)]).path()).err().unwrap();
        assert_eq!(error.reason, Reason::StatementUnsupported);
        assert!(error.message.starts_with("a.sql, line 3, column 1: "), "{error}");
    }

    #[test]
    fn nothing_is_not_a_source() {
        assert_eq!(read(folder(&[("a.sql", "-- later")]).path()).err().unwrap().reason, Reason::SourceUnreadable);
        assert_eq!(read(Path::new("/does/not/exist")).err().unwrap().reason, Reason::SourceUnreadable);
    }
}
