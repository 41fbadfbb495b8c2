//! The author's files as what is planned: statements, and long runs of changes of rows that stay where they are.

mod chunks;
mod file;
mod long_run;

use std::path::Path;
use std::sync::Arc;

use chunks::{Broken, Chunk, Chunks, NoChunk};
use file::Content;
use long_run::Building;
pub use long_run::FileRun;
pub(super) use long_run::Reader;

use super::text::{BYTES_MAX, NoText};
use crate::plan::{self, LongRun};
use crate::sql::{self, Span, Statement};

/// Statements of a run, or bytes of their text, from which on it is one step. Below that each is planned for itself, with an
/// undo of its own where it can have one; above that nobody reads them one by one, and the plan would be as large as the
/// text several times over.
const STATEMENTS: usize = 5_000;
/// See [`STATEMENTS`].
const BYTES: usize = 1 << 20;

/// One file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// For people.
    pub name: String,
    content: Content,
    /// What of it is kept, in order.
    pub statements: Vec<Statement>,
    /// Long runs with the index of their first statement.
    pub runs: Vec<(usize, Arc<FileRun>)>,
    /// Whether there is nothing but blanks in it.
    pub blank: bool,
}

/// Why a file cannot be taken.
#[derive(Debug)]
pub enum NoSource {
    /// There is no text.
    Text(NoText),
    /// It does not parse.
    Syntax {
        /// Byte offset.
        at: usize,
        /// The parser's message.
        message: String,
        /// Whether the statement before it copies from the client.
        in_copy: bool,
    },
    /// It undoes its own change behind a mark at that byte offset.
    Undo(usize),
}

/// A file that cannot be taken.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub error: NoSource,
    /// What is known of it, once it is open.
    pub file: Option<Box<SourceFile>>,
}

impl Refused {
    fn unopened(error: NoText) -> Self {
        Self { error: NoSource::Text(error), file: None }
    }
}

/// What of all files together is kept in memory is counted.
#[derive(Debug)]
pub struct Reading {
    left: u64,
    /// Whether long runs are taken out.
    runs: bool,
}

impl Reading {
    /// Where `runs` is false every statement is kept.
    pub fn new(runs: bool) -> Self {
        Self { left: BYTES_MAX, runs }
    }

    /// Reads the file with that path.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn file(&mut self, name: &str, path: &Path) -> Result<SourceFile, Refused> {
        let content = Content::of(path, &mut self.left).map_err(Refused::unopened)?;
        self.read(name, content)
    }

    /// Reads standard input.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn stdin(&mut self, name: &str) -> Result<SourceFile, Refused> {
        let content = Content::once(std::io::stdin().lock(), &mut self.left).map_err(Refused::unopened)?;
        self.read(name, content)
    }

    fn read(&mut self, name: &str, content: Content) -> Result<SourceFile, Refused> {
        let empty =
            SourceFile { name: name.to_owned(), content, statements: Vec::new(), runs: Vec::new(), blank: true };
        let mut fold = Fold { file: empty, open: Open::None, runs: self.runs };
        match self.fold(&mut fold) {
            Ok(()) => Ok(fold.file),
            Err(error) => Err(Refused { error, file: Some(Box::new(fold.file)) }),
        }
    }

    fn fold(&mut self, fold: &mut Fold) -> Result<(), NoSource> {
        let in_memory = matches!(fold.file.content, Content::Memory(_));
        let open = fold.file.content.open().map_err(|error| NoSource::Text(NoText::Unreadable(error)))?;
        let mut chunks = Chunks::new(open);
        while let Some(Chunk { at, text, statements }) = chunks.next()? {
            fold.file.blank &= text.trim().is_empty();
            if let Some(mark) = sql::undo_in_file(&text, &statements) {
                return Err(NoSource::Undo(at + mark));
            }
            for statement in statements {
                let kept = fold.push(statement);
                // What is in memory as a whole is counted already.
                if !in_memory {
                    self.left = self.left.checked_add_signed(-kept).ok_or(NoSource::Text(NoText::TooLarge))?;
                }
            }
        }
        fold.end();
        Ok(())
    }
}

impl From<NoChunk> for NoSource {
    fn from(error: NoChunk) -> Self {
        match error {
            NoChunk::Text(error) => Self::Text(error),
            NoChunk::Syntax(Broken { at, message, in_copy }) => Self::Syntax { at, message, in_copy },
        }
    }
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Takes the long runs out of the statements as they come.
struct Fold {
    file: SourceFile,
    open: Open,
    /// Whether runs are taken out from here on.
    runs: bool,
}

/// The run that the last statement belongs to.
enum Open {
    /// It changes no rows.
    None,
    /// Not long yet. Without trees, which are many times larger.
    Short { texts: Vec<(String, Span)>, bytes: usize },
    /// Its first statement stands in the list.
    Long(Box<Building>),
}

impl Fold {
    /// Takes a statement; gives by how many bytes the text that is kept grows.
    fn push(&mut self, statement: Statement) -> i64 {
        if !(self.runs && plan::is_of_rows(&statement)) {
            self.end();
            self.runs &= !plan::binds_what_follows(&statement);
            let kept = length(statement.text.len());
            self.file.statements.push(statement);
            return kept;
        }
        if let Open::Long(building) = &mut self.open {
            building.push(&statement.text, statement.span);
            return 0;
        }
        let grows = statement.text.len();
        let (mut texts, mut bytes) = match std::mem::replace(&mut self.open, Open::None) {
            Open::Short { texts, bytes } => (texts, bytes),
            Open::None | Open::Long(_) => (Vec::new(), 0),
        };
        bytes += grows;
        texts.push((statement.text, statement.span));
        if texts.len() < STATEMENTS && bytes < BYTES {
            self.open = Open::Short { texts, bytes };
            return length(grows);
        }
        let mut building = Box::new(Building::new());
        for (text, span) in &texts {
            building.push(text, *span);
        }
        texts.truncate(1);
        let first = texts.iter().map(|(text, _)| text.len()).sum();
        self.keep(texts);
        self.open = Open::Long(building);
        length(grows) + length(first) - length(bytes)
    }

    /// Ends the run.
    fn end(&mut self) {
        match std::mem::replace(&mut self.open, Open::None) {
            Open::None => {}
            Open::Short { texts, .. } => self.keep(texts),
            Open::Long(building) => {
                let run = building.end(&self.file.name, &self.file.content);
                let first = self.file.statements.len() - 1;
                self.file.runs.push((first, Arc::new(run)));
            }
        }
    }

    fn keep(&mut self, texts: Vec<(String, Span)>) {
        for (text, span) in texts {
            // It parsed in its file; alone it does again.
            let parsed = sql::parse(&text).unwrap_or_default();
            self.file.statements.extend(parsed.into_iter().map(|statement| Statement { span, ..statement }));
        }
    }
}

impl SourceFile {
    /// Leaves out the transaction that it wraps itself in.
    pub fn unwrap(&mut self) {
        let first = |(first, _): &(usize, _)| self.statements.get(*first).map_or(0, |statement| statement.span.start);
        let starts: Vec<usize> = self.runs.iter().map(first).collect();
        self.statements = plan::unwrapped(std::mem::take(&mut self.statements));
        for ((first, _), start) in self.runs.iter_mut().zip(starts) {
            *first = self.statements.partition_point(|statement| statement.span.start < start);
        }
    }

    /// The line with a byte offset: its number from 1, the column (in characters) from 1, and its text as far as it can still
    /// be read.
    pub fn line(&self, offset: usize) -> (usize, usize, String) {
        let read = || -> std::io::Result<(usize, usize, String)> {
            let mut open = self.content.open()?;
            let (mut line, mut start, mut at) = (1, 0, 0);
            while at < offset {
                let part = open.part(at, (at + (1 << 16)).min(offset))?;
                if part.is_empty() {
                    break;
                }
                line += part.iter().filter(|byte| **byte == b'\n').count();
                start = part.iter().rposition(|byte| *byte == b'\n').map_or(start, |found| at + found + 1);
                at += part.len();
            }
            let part = open.part(start, offset + LINE)?;
            let before = part.get(..offset.saturating_sub(start)).unwrap_or_default();
            let column = String::from_utf8_lossy(before).chars().count() + 1;
            let shown = part.split(|byte| *byte == b'\n').next().unwrap_or_default();
            Ok((line, column, String::from_utf8_lossy(shown).trim_end_matches('\r').to_owned()))
        };
        read().unwrap_or((1, 1, String::new()))
    }

    /// The long runs as the planner takes them.
    pub fn long_runs(&self) -> impl Iterator<Item = (usize, Arc<dyn LongRun>)> {
        self.runs.iter().map(|(first, run)| (*first, Arc::clone(run) as Arc<dyn LongRun>))
    }
}

/// Bytes of a line that are shown behind the place in question.
const LINE: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;

    fn read(text: &str) -> (tempfile::NamedTempFile, SourceFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let source = Reading::new(true).file("a.sql", file.path()).unwrap();
        (file, source)
    }

    fn rows(count: usize) -> String {
        (0..count).map(|number| format!("INSERT INTO t VALUES ({number}, 'ü;\n');\n")).collect()
    }

    #[test]
    fn a_long_run_stays_in_its_file_and_is_read_from_anywhere() {
        let text = format!("\u{feff}CREATE TABLE t ();\n{}-- ;\nDROP TABLE u;\n{}", rows(STATEMENTS + 7), rows(10));
        let plain = text.trim_start_matches('\u{feff}');
        let all = sql::parse(plain).unwrap();
        let (file, source) = read(&text);
        assert_eq!(source.statements.len(), 1 + 1 + 1 + 10);
        let [(1, run)] = source.runs.as_slice() else { panic!("{:?}", source.runs) };
        let expected: Vec<_> = all[1..=STATEMENTS + 7].iter().map(|one| (one.span, one.text.as_str())).collect();
        let mut found = Vec::new();
        let mut see = |one: &Statement| {
            found.push((one.span, one.text.clone()));
            ControlFlow::Continue(())
        };
        run.each(&mut see).unwrap();
        assert!(found.iter().map(|(span, text)| (*span, text.as_str())).eq(expected.iter().copied()));
        for from in [0, 1, 299, 300, STATEMENTS + 6, STATEMENTS + 7] {
            let mut reader = run.reader(i64::try_from(from).unwrap());
            for (_, text) in &expected[from..] {
                assert_eq!(reader.peek().unwrap(), Some(*text));
                reader.take();
            }
            assert_eq!(reader.peek().unwrap(), None);
        }
        assert_eq!(source.line(all[1].span.start), (2, 1, "INSERT INTO t VALUES (0, 'ü;".to_owned()));
        let last = all.last().unwrap().span.start;
        assert_eq!(source.line(last + 26).1, 27);
        std::fs::write(file.path(), text.replacen("(4000,", "(4001,", 1)).unwrap();
        assert!(run.each(&mut |_| ControlFlow::Continue(())).unwrap_err().contains("has changed"));
    }

    #[test]
    fn what_needs_the_transaction_of_another_is_no_run() {
        let long = rows(STATEMENTS);
        for (text, runs) in [
            (format!("SET search_path = a; {long}"), 1),
            (format!("SET CONSTRAINTS ALL DEFERRED; {long}"), 0),
            (format!("CREATE TEMP TABLE t (a int, b text); {long}"), 0),
            (format!("{long} CREATE TEMP TABLE x (); {long}"), 1),
            (rows(STATEMENTS - 1), 0),
            (format!("INSERT INTO t VALUES ('{}')", "x".repeat(BYTES)), 1),
        ] {
            assert_eq!(read(&text).1.runs.len(), runs, "{}", &text[..40]);
        }
    }

    #[test]
    fn a_wrapping_transaction_is_left_out_around_a_run() {
        let (_file, mut source) = read(&format!("SET timezone = 'UTC'; BEGIN; {} COMMIT", rows(STATEMENTS)));
        source.unwrap();
        assert_eq!(source.statements.len(), 2);
        assert_eq!(source.runs[0].0, 1);
    }
}
