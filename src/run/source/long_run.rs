//! Long runs of statements that change rows, read again from the author's file a block at a time. A block whose digest is
//! not the one that was planned is never given: what runs is what was read first.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::file::{Content, Open};
use crate::plan::LongRun;
use crate::sql::{self, Span, Statement};

/// Bytes of text that are read, compared and parsed at once, unless one statement is longer.
const BLOCK: usize = 16 << 10;

/// A part of the run.
#[derive(Clone, Debug)]
struct Block {
    span: Span,
    /// Number of its first statement in the run, from 0.
    first: i64,
    digest: [u8; 32],
}

/// A long run in a file.
#[derive(Clone, Debug)]
pub struct FileRun {
    name: String,
    content: Content,
    blocks: Vec<Block>,
    statements: i64,
    bytes: i64,
    digest: String,
}

/// A run in the making.
pub(super) struct Building {
    blocks: Vec<Block>,
    open: Option<(Block, Sha256)>,
    whole: Sha256,
    statements: i64,
    bytes: i64,
}

impl Building {
    pub fn new() -> Self {
        Self { blocks: Vec::new(), open: None, whole: Sha256::new(), statements: 0, bytes: 0 }
    }

    /// Adds a statement.
    pub fn push(&mut self, text: &str, span: Span) {
        if self.open.as_ref().is_some_and(|(block, _)| span.end - block.span.start > BLOCK) {
            self.close();
        }
        let first = self.statements;
        let (block, hash) = self.open.get_or_insert_with(|| (Block { span, first, digest: [0; 32] }, Sha256::new()));
        block.span.end = span.end;
        add(hash, text);
        add(&mut self.whole, text);
        self.statements += 1;
        self.bytes += i64::try_from(text.len()).unwrap_or(i64::MAX);
    }

    fn close(&mut self) {
        if let Some((mut block, hash)) = self.open.take() {
            block.digest = hash.finalize().into();
            self.blocks.push(block);
        }
    }

    /// The run, in the file of that name.
    pub fn end(mut self: Box<Self>, name: &str, content: &Content) -> FileRun {
        self.close();
        FileRun {
            name: name.to_owned(),
            content: content.clone(),
            blocks: self.blocks,
            statements: self.statements,
            bytes: self.bytes,
            digest: format!("sha256:{}", hex::encode(self.whole.finalize())),
        }
    }
}

/// As the digest of a source does.
fn add(hash: &mut Sha256, text: &str) {
    hash.update(text.as_bytes());
    hash.update(b";\n");
}

impl FileRun {
    /// Reads its statements from the one with that number (from 0) on.
    pub(in crate::run) fn reader(self: &Arc<Self>, from: i64) -> Reader {
        let block = self.blocks.partition_point(|block| block.first <= from).saturating_sub(1);
        Reader { run: Arc::clone(self), open: None, block, skip: from, queue: VecDeque::new() }
    }

    /// The text of a block, when it is still what it was.
    fn text(&self, open: &mut Open, block: &Block) -> Result<String, String> {
        let bytes = open.part(block.span.start, block.span.end).map_err(|error| self.unreadable(&error))?;
        String::from_utf8(bytes).map_err(|_| self.changed())
    }

    /// Refuses texts that are not those of the block with that index.
    fn require<'a>(&self, index: usize, texts: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let (mut hash, mut count) = (Sha256::new(), 0);
        for text in texts {
            add(&mut hash, text);
            count += 1;
        }
        let digest: [u8; 32] = hash.finalize().into();
        let end = self.blocks.get(index + 1).map_or(self.statements, |next| next.first);
        let same = |block: &Block| digest == block.digest && count == end - block.first;
        if self.blocks.get(index).is_some_and(same) { Ok(()) } else { Err(self.changed()) }
    }

    fn unreadable(&self, error: &std::io::Error) -> String {
        format!("{} cannot be read any more: {error}", self.name)
    }

    fn changed(&self) -> String {
        format!(
            "{} has changed since it was read; what is done is recorded, nothing else ran: put the text back and run it \
             again",
            self.name
        )
    }
}

impl LongRun for FileRun {
    fn statements(&self) -> i64 {
        self.statements
    }

    fn bytes(&self) -> i64 {
        self.bytes
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    fn end(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.span.end)
    }

    fn each(&self, see: &mut dyn FnMut(&Statement) -> ControlFlow<()>) -> Result<(), String> {
        let mut open = self.content.open().map_err(|error| self.unreadable(&error))?;
        for (index, block) in self.blocks.iter().enumerate() {
            let text = self.text(&mut open, block)?;
            let mut statements = sql::parse(&text).map_err(|_| self.changed())?;
            self.require(index, statements.iter().map(|statement| statement.text.as_str()))?;
            for statement in &mut statements {
                let span = &mut statement.span;
                (span.start, span.end) = (block.span.start + span.start, block.span.start + span.end);
                if see(statement).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The statements of a run, one after another.
pub(in crate::run) struct Reader {
    run: Arc<FileRun>,
    open: Option<Open>,
    /// Index of the next block.
    block: usize,
    /// Number of the statement to begin at.
    skip: i64,
    queue: VecDeque<String>,
}

impl Reader {
    /// The next statement without taking it; `None` behind the last.
    ///
    /// # Errors
    /// Why it cannot be read any more, or is not what it was.
    pub fn peek(&mut self) -> Result<Option<&str>, String> {
        while self.queue.is_empty() {
            let Some(block) = self.run.blocks.get(self.block).cloned() else { return Ok(None) };
            if self.open.is_none() {
                self.open = Some(self.run.content.open().map_err(|error| self.run.unreadable(&error))?);
            }
            let Some(open) = &mut self.open else { return Ok(None) };
            let text = self.run.text(open, &block)?;
            let found = sql::texts(&text).map_err(|_| self.run.changed())?;
            self.run.require(self.block, found.iter().copied())?;
            let done = usize::try_from(self.skip.saturating_sub(block.first)).unwrap_or(0);
            self.queue.extend(found.into_iter().skip(done).map(str::to_owned));
            self.block += 1;
        }
        Ok(self.queue.front().map(String::as_str))
    }

    /// Takes the statement that [`Self::peek`] shows.
    pub fn take(&mut self) -> Option<String> {
        self.queue.pop_front()
    }
}
