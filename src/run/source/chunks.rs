//! A text read piece by piece: each piece is whole statements, and only one is in memory.

use std::io::Read;

use pg_query::protobuf::node::Node;

use crate::run::text::{BYTES_MAX, NoText};
use crate::sql::{self, Beginning, Span, Statement, SyntaxError};

/// Bytes that are parsed at once, unless one statement is longer. Trees take some hundred times their text where statements
/// are short.
const CHUNK: usize = 16 << 10;

/// Whole statements of a text.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Where it begins in the text.
    pub at: usize,
    /// Itself.
    pub text: String,
    /// Its statements. Spans are in the whole text.
    pub statements: Vec<Statement>,
}

/// Why there is no next chunk.
#[derive(Debug)]
pub(super) enum NoChunk {
    /// There is no text.
    Text(NoText),
    /// It does not parse.
    Syntax(Broken),
}

/// Where and why a text does not parse.
#[derive(Debug)]
pub(super) struct Broken {
    /// Byte offset in the whole text.
    pub at: usize,
    /// The parser's message.
    pub message: String,
    /// Whether the statement before it copies from the client: then this is rows.
    pub in_copy: bool,
}

/// Reads chunks from a text.
pub(super) struct Chunks<R> {
    from: R,
    /// Read, and not yet given. The byte order mark is gone.
    pending: Vec<u8>,
    /// Offset of the first pending byte.
    at: usize,
    begun: bool,
    ended: bool,
    done: bool,
    /// Pending bytes that are wanted.
    wanted: usize,
    /// Whether the last statement given copies from the client.
    copies: bool,
}

impl<R: Read> Chunks<R> {
    pub fn new(from: R) -> Self {
        Self { from, pending: Vec::new(), at: 0, begun: false, ended: false, done: false, wanted: CHUNK, copies: false }
    }

    /// The next chunk; the last of a text may have no statement.
    pub fn next(&mut self) -> Result<Option<Chunk>, NoChunk> {
        if self.done {
            return Ok(None);
        }
        loop {
            self.fill().map_err(|error| NoChunk::Text(NoText::Unreadable(error)))?;
            let whole = match std::str::from_utf8(&self.pending) {
                Ok(text) => text,
                // The rest of the character is not read yet.
                Err(error) if error.error_len().is_none() && !self.ended => {
                    std::str::from_utf8(&self.pending[..error.valid_up_to()]).unwrap_or_default()
                }
                Err(error) => return Err(NoChunk::Text(NoText::NotUtf8(self.at + error.valid_up_to()))),
            };
            let found = if self.ended {
                sql::parse(whole).map(|statements| Some(Beginning { statements, end: whole.len() }))
            } else {
                sql::beginning(whole)
            };
            match found {
                Ok(Some(Beginning { statements, end })) => {
                    let text = whole[..end].to_owned();
                    return Ok(Some(self.give(text, statements)));
                }
                Ok(None) if self.pending.len() as u64 > BYTES_MAX => return Err(NoChunk::Text(NoText::TooLarge)),
                Ok(None) => self.wanted = self.pending.len().max(CHUNK) * 2,
                Err(error) => return Err(NoChunk::Syntax(self.broken(whole, &error))),
            }
        }
    }

    fn fill(&mut self) -> std::io::Result<()> {
        while !self.ended && self.pending.len() < self.wanted {
            let missing = (self.wanted - self.pending.len()) as u64;
            self.ended = (&mut self.from).take(missing).read_to_end(&mut self.pending)? == 0;
            if !self.begun {
                self.begun = true;
                if self.pending.starts_with("\u{feff}".as_bytes()) {
                    self.pending.drain(..3);
                }
            }
        }
        Ok(())
    }

    fn give(&mut self, text: String, mut statements: Vec<Statement>) -> Chunk {
        let at = self.at;
        for statement in &mut statements {
            statement.span = Span { start: at + statement.span.start, end: at + statement.span.end };
        }
        if let Some(last) = statements.last() {
            self.copies = copies_from_client(last);
        }
        self.pending.drain(..text.len());
        self.at += text.len();
        self.done = self.ended && self.pending.is_empty();
        self.wanted = CHUNK;
        Chunk { at, text, statements }
    }

    fn broken(&self, text: &str, error: &SyntaxError) -> Broken {
        let line = text[..error.offset].rfind('\n').map_or(0, |at| at + 1);
        let in_copy = match sql::parse(&text[..line]) {
            Ok(before) => before.last().map_or(self.copies, copies_from_client),
            Err(_) => false,
        };
        Broken { at: self.at + error.offset, message: error.message.clone(), in_copy }
    }
}

/// Whether rows for it would have to follow.
fn copies_from_client(statement: &Statement) -> bool {
    matches!(&statement.node, Node::CopyStmt(copy) if copy.is_from && !copy.is_program && copy.filename.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let (Some(byte), Some(place)) = (self.0.split_off_first(), into.first_mut()) else { return Ok(0) };
            *place = *byte;
            Ok(1)
        }
    }

    fn read(from: impl Read) -> Result<Vec<(Span, String)>, NoChunk> {
        let (mut chunks, mut all) = (Chunks::new(from), Vec::new());
        while let Some(chunk) = chunks.next()? {
            assert!(chunk.text.len() <= 8 * CHUNK);
            all.extend(chunk.statements.into_iter().map(|statement| (statement.span, statement.text)));
        }
        Ok(all)
    }

    #[test]
    fn chunks_are_the_statements_of_the_whole() {
        let long = "ä".repeat(CHUNK);
        let mut text = String::from("\u{feff}");
        for number in 0..2_000 {
            text += &format!("INSERT INTO t VALUES ({number}, 'ü;\n'); -- ;\n");
        }
        text += &format!("SELECT '{long};\n';\nSELECT 1");
        let plain = &text["\u{feff}".len()..];
        let expected: Vec<_> = sql::parse(plain).unwrap().into_iter().map(|one| (one.span, one.text)).collect();
        assert_eq!(read(text.as_bytes()).unwrap(), expected);
        assert_eq!(read(Slow(text.as_bytes())).unwrap(), expected);
        assert_eq!(read("".as_bytes()).unwrap(), []);
    }

    #[test]
    fn errors_have_their_place_in_the_whole() {
        let rows = "INSERT INTO t VALUES (1);\n".repeat(5_000);
        let broken = |text: &str| match read(text.as_bytes()) {
            Err(NoChunk::Syntax(broken)) => (broken.at, broken.in_copy),
            other => panic!("{other:?}"),
        };
        let text = format!("{rows}ALTER TABEL t;\n{rows}");
        assert_eq!(broken(&text), (text.find("TABEL").unwrap(), false));
        let copy = format!("{rows}COPY t FROM STDIN;\n1\ta\n\\.\n{rows}");
        assert_eq!(broken(&copy), (copy.find("1\ta").unwrap(), true));
        let mut bad = rows.into_bytes();
        bad[100_000] = 0xff;
        assert!(matches!(read(bad.as_slice()), Err(NoChunk::Text(NoText::NotUtf8(100_000)))));
    }
}
