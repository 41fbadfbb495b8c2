//! Reading the author's files: statements with the file each stands in.

use std::path::Path;
use std::sync::Arc;

use pg_query::protobuf::node::Node;

use super::{Failure, SourceArgs, diagnostic};
use crate::exit::Exit;
use crate::plan::{self, LongRun, Source};
use crate::run::Reason;
use crate::run::source::{FileRun, NoSource, Reading, Refused, SourceFile};
use crate::run::text::NoText;
use crate::sql::{self, Statement};

/// The author's statements in order, and where each stands.
pub(super) struct Input {
    /// Statements of all files, in order, with the first of each long run in its place. Spans are within their own file.
    pub statements: Vec<Statement>,
    /// The long runs, for the planner.
    runs: Vec<(usize, Arc<dyn LongRun>)>,
    /// And for the executor.
    pub file_runs: Vec<Arc<FileRun>>,
    files: Vec<SourceFile>,
    /// File of each statement.
    owner: Vec<usize>,
}

impl Input {
    /// For the planner.
    pub(super) fn source(&self) -> Source<'_> {
        Source { statements: &self.statements, runs: &self.runs }
    }

    /// `message` with file, line, column and caret of a statement.
    pub(super) fn at_statement(&self, index: usize, message: &str) -> String {
        match self.statements.get(index) {
            Some(statement) => self.at_byte_of(index, statement.span.start, message),
            None => message.to_owned(),
        }
    }

    /// `message` with file, line, column and caret of a byte in the file of a statement.
    pub(super) fn at_byte_of(&self, index: usize, at: usize, message: &str) -> String {
        match self.owner.get(index).and_then(|file| self.files.get(*file)) {
            Some(file) => shown(file, at, message),
            None => message.to_owned(),
        }
    }
}

/// `message` at a byte offset of the file.
fn shown(file: &SourceFile, at: usize, message: &str) -> String {
    diagnostic::at_line(&file.name, &file.line(at), message)
}

/// Reads and parses the files in order, as they are.
fn read(source: &SourceArgs) -> Result<Input, Failure> {
    read_files(source, Reading::new(false), false)
}

/// Like [`read`], to be analysed as it is. A single statement is answered for whatever it is; a file is a
/// migration, and what has no place in one is refused as the plan does.
pub(super) fn read_for_analysis(source: &SourceArgs) -> Result<Input, Failure> {
    let input = read(source)?;
    if input.statements.len() < 2 {
        return Ok(input);
    }
    let owner = &input.owner;
    for file in 0..input.files.len() {
        let of_file = || input.statements.iter().enumerate().filter(move |(index, _)| owner[*index] == file);
        if !of_file().any(|(_, statement)| misplaced(statement).is_some()) {
            continue;
        }
        // Spans are within the file, so that they tell its statements apart.
        let kept = plan::unwrapped(of_file().map(|(_, statement)| statement.clone()).collect());
        let found = kept.iter().find_map(|statement| misplaced(statement).map(|advice| (statement.span, advice)));
        if let Some((span, advice)) = found {
            let at = of_file().find(|(_, statement)| statement.span == span).map_or(0, |(index, _)| index);
            return Err(Failure::of(Reason::StatementUnsupported, input.at_statement(at, advice)));
        }
    }
    Ok(input)
}

fn misplaced(statement: &Statement) -> Option<&'static str> {
    match &statement.node {
        Node::TransactionStmt(_) => Some(
            "transaction control has no place here: the plan decides the transactions; leave it out \
             (one BEGIN ... COMMIT around the whole is allowed)",
        ),
        Node::CopyStmt(copy) if copy.filename.is_empty() => {
            Some("COPY from or to the client has no place in a migration: use INSERT, or load the data with psql")
        }
        _ => None,
    }
}

/// Like [`read`], to be planned as one list: each of several files may wrap itself in a transaction. Text of comments
/// alone is a plan of nothing, as some histories have it; blank text is a mistake: the wrong file, or one that was
/// not saved.
pub(super) fn read_for_plan(source: &SourceArgs) -> Result<Input, Failure> {
    let several = source.files.len() > 1;
    let input = read_files(source, Reading::new(true), several)?;
    if input.files.iter().all(|file| file.blank) {
        let names: Vec<&str> = input.files.iter().map(|file| file.name.as_str()).collect();
        return Err(Failure::of(Reason::SourceUnreadable, format!("{}: no SQL statement in it", names.join(", "))));
    }
    Ok(input)
}

/// `text` if it can name a run; what is wanted for the user otherwise.
pub(super) fn run_name(text: &str) -> Result<String, String> {
    crate::run::require_name(text).map(|()| text.to_owned()).map_err(|error| error.message)
}

/// `text` if it is one SELECT; the reason why not for the user otherwise.
pub(super) fn one_select(text: &str) -> Result<String, String> {
    let statements = sql::parse(text).map_err(|error| error.message)?;
    match statements.as_slice() {
        [Statement { node: Node::SelectStmt(_), .. }] => Ok(text.to_owned()),
        _ => Err("one SELECT is wanted that answers with one boolean".to_owned()),
    }
}

/// `text` if a request can be sent there.
pub(super) fn address(text: &str) -> Result<String, String> {
    crate::run::require_address(text).map(|_| text.to_owned())
}

fn read_files(source: &SourceArgs, mut reading: Reading, unwrapped: bool) -> Result<Input, Failure> {
    if source.files.iter().filter(|file| is_stdin(file)).nth(1).is_some() {
        return Err(Failure::new(Exit::Usage, "standard input can be read once only: name `-` once"));
    }
    let mut input =
        Input { statements: Vec::new(), runs: Vec::new(), file_runs: Vec::new(), files: Vec::new(), owner: Vec::new() };
    for path in &source.files {
        let mut file = load(path, &mut reading)?;
        if unwrapped {
            file.unwrap();
        }
        let kept = std::mem::take(&mut file.statements);
        input.owner.extend(std::iter::repeat_n(input.files.len(), kept.len()));
        let before = input.statements.len();
        input.runs.extend(file.long_runs().map(|(first, run)| (before + first, run)));
        input.file_runs.extend(file.runs.iter().map(|(_, run)| Arc::clone(run)));
        input.statements.extend(kept);
        input.files.push(file);
    }
    Ok(input)
}

/// Whether the name of a file means standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn load(path: &Path, reading: &mut Reading) -> Result<SourceFile, Failure> {
    let name = if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() };
    let read = if is_stdin(path) { reading.stdin(&name) } else { reading.file(&name, path) };
    read.map_err(|Refused { error, file }| {
        let place = |at: usize, message: &str| match &file {
            Some(file) => shown(file, at, message),
            None => format!("{name}: {message}"),
        };
        match error {
            NoSource::Text(error @ NoText::Unreadable(_)) => {
                Failure::new(Exit::Usage, format!("cannot read {name}: {error}"))
            }
            NoSource::Text(error @ NoText::NotUtf8(_)) => {
                Failure::of(Reason::SourceUnreadable, format!("{name} is {error}"))
            }
            NoSource::Text(error @ NoText::TooLarge) => {
                Failure::of(Reason::SourceTooLarge, format!("{name} is {error}"))
            }
            NoSource::Undo(at) => Failure::of(Reason::StatementUnsupported, place(at, plan::UNDO_IN_FILE)),
            NoSource::Syntax { at, message, in_copy } => {
                let shown = place(at, &message);
                let command = file.is_some_and(|file| file.line(at).2.trim_start().starts_with('\\'));
                let advice = if in_copy {
                    "COPY data cannot be part of a migration: use INSERT statements, or load the data outside"
                } else if command {
                    "psql commands are not SQL: leave them out; a file is a list of SQL statements"
                } else {
                    return Failure::of(Reason::SyntaxError, shown);
                };
                Failure::of(Reason::StatementUnsupported, format!("{shown}\n  = {advice}"))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analysed(text: &str) -> Result<usize, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let source = SourceArgs { files: vec![file.path().to_owned()] };
        read_for_analysis(&source).map(|input| input.statements.len())
    }

    #[test]
    fn an_analysis_refuses_what_a_plan_refuses_except_in_a_single_statement() {
        for (text, count) in [
            ("", 0),
            ("COMMIT", 1),
            ("PREPARE TRANSACTION 'x'", 1),
            ("COPY t FROM STDIN", 1),
            ("BEGIN; ALTER TABLE t ADD c int; COMMIT", 3),
        ] {
            assert_eq!(analysed(text).unwrap(), count, "{text}");
        }
        for (text, line) in [
            ("ALTER TABLE t ADD c int;\nCOMMIT;\nSELECT 1", ":2:1"),
            ("BEGIN;\nSELECT 1;\nROLLBACK", ":1:1"),
            ("BEGIN;\nSAVEPOINT a;\nCOMMIT", ":2:1"),
            ("SELECT 1;\nCOPY t TO STDOUT", ":2:1"),
            ("SELECT 1;\n\\d t", ":2:1"),
            ("COPY t FROM STDIN;\n1\ta\n\\.\n", ":2:1"),
            ("-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2", ":3:1"),
        ] {
            let failure = analysed(text).err().unwrap();
            assert_eq!(failure.reason, Some(Reason::StatementUnsupported), "{text}: {}", failure.message);
            assert!(failure.message.contains(line), "{text}: {}", failure.message);
        }
    }
}
