//! Reading the author's files: statements with the file each stands in.

use std::path::Path;

use pg_query::protobuf::node::Node;

use super::{Failure, SourceArgs, diagnostic};
use crate::exit::Exit;
use crate::plan;
use crate::run::Reason;
use crate::run::text::{self, NoText};
use crate::sql::{self, Statement, SyntaxError};

/// The author's statements in order, and where each stands.
pub(super) struct Input {
    /// Statements of all files, in order. Spans are within their own file.
    pub statements: Vec<Statement>,
    files: Vec<File>,
    /// File of each statement.
    owner: Vec<usize>,
}

struct File {
    name: String,
    text: String,
}

impl Input {
    /// `message` with file, line, column and caret of a statement.
    pub(super) fn at_statement(&self, index: usize, message: &str) -> String {
        match (self.statements.get(index), self.owner.get(index).and_then(|file| self.files.get(*file))) {
            (Some(statement), Some(file)) => diagnostic::at(&file.name, &file.text, statement.span.start, message),
            _ => message.to_owned(),
        }
    }
}

/// Reads and parses the files in order, as they are.
fn read(source: &SourceArgs) -> Result<Input, Failure> {
    read_files(source, |statements| statements)
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
    let input = read_files(source, |statements| if several { plan::unwrapped(statements) } else { statements })?;
    if input.files.iter().all(|file| file.text.trim().is_empty()) {
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

fn read_files(source: &SourceArgs, take: impl Fn(Vec<Statement>) -> Vec<Statement>) -> Result<Input, Failure> {
    if source.files.iter().filter(|file| is_stdin(file)).nth(1).is_some() {
        return Err(Failure::new(Exit::Usage, "standard input can be read once only: name `-` once"));
    }
    let mut input = Input { statements: Vec::new(), files: Vec::new(), owner: Vec::new() };
    let mut left = text::BYTES_MAX;
    for path in &source.files {
        let file = load(path, &mut left)?;
        let parsed = sql::parse(&file.text).map_err(|error| explain(&file.name, &file.text, &error))?;
        if let Some(at) = sql::undo_in_file(&file.text, &parsed) {
            let shown = diagnostic::at(&file.name, &file.text, at, plan::UNDO_IN_FILE);
            return Err(Failure::of(Reason::StatementUnsupported, shown));
        }
        let parsed = take(parsed);
        input.owner.extend(std::iter::repeat_n(input.files.len(), parsed.len()));
        input.statements.extend(parsed);
        input.files.push(file);
    }
    Ok(input)
}

/// Whether the name of a file means standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn load(path: &Path, left: &mut u64) -> Result<File, Failure> {
    let name = if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() };
    let read = if is_stdin(path) {
        text::read(std::io::stdin().lock(), left)
    } else {
        std::fs::File::open(path).map_err(NoText::from).and_then(|file| text::read(file, left))
    };
    let text = read.map_err(|error| match error {
        NoText::Unreadable(_) => Failure::new(Exit::Usage, format!("cannot read {name}: {error}")),
        NoText::NotUtf8(_) => Failure::of(Reason::SourceUnreadable, format!("{name} is {error}")),
        NoText::TooLarge => Failure::of(Reason::SourceTooLarge, format!("{name} is {error}")),
    })?;
    Ok(File { name, text })
}

fn explain(file: &str, text: &str, error: &SyntaxError) -> Failure {
    let shown = diagnostic::at(file, text, error.offset, &error.message);
    let line_start = text[..error.offset].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or("").trim_start();
    let advice = if line.starts_with('\\') {
        "psql commands are not SQL: leave them out; a file is a list of SQL statements"
    } else if ends_in_copy_from_stdin(&text[..line_start]) {
        "COPY data cannot be part of a migration: use INSERT statements, or load the data outside"
    } else {
        return Failure::of(Reason::SyntaxError, shown);
    };
    Failure::of(Reason::StatementUnsupported, format!("{shown}\n  = {advice}"))
}

fn ends_in_copy_from_stdin(text: &str) -> bool {
    let Ok(statements) = sql::parse(text) else {
        return false;
    };
    matches!(statements.last().map(|last| &last.node),
        Some(Node::CopyStmt(copy)) if copy.is_from && !copy.is_program && copy.filename.is_empty())
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
