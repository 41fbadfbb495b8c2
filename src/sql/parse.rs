//! Text to statements, with byte spans and error positions.

use pg_query::protobuf::node::Node;
use serde::{Deserialize, Serialize};

use super::ffi::{self, NoTree};

/// Half-open byte range in the text that was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// One statement of the author, with PostgreSQL's parse tree of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// The author's text, without the terminating semicolon.
    pub text: String,
    /// Where it stands in the input.
    pub span: Span,
    /// The raw parse tree. Boxed enum of libpg_query's protobuf nodes.
    pub node: Node,
}

/// Text that PostgreSQL's grammar does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line}, column {column}")]
pub struct SyntaxError {
    /// The parser's message.
    pub message: String,
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// Byte offset of the error in the text.
    pub offset: usize,
}

/// Stack that reading a tree as deep as the parser allows (a hundred levels) may take, in bytes, and how much is got
/// where there is less: threads that tests and the runtime start have two megabytes.
const STACK: (usize, usize) = (4 << 20, 16 << 20);

/// The parse tree of a text.
///
/// # Errors
/// [`NoTree`].
pub(crate) fn tree(text: &str) -> Result<pg_query::protobuf::ParseResult, NoTree> {
    stacker::maybe_grow(STACK.0, STACK.1, || ffi::parse(text))
}

/// Splits and parses `text` with PostgreSQL's grammar.
///
/// # Errors
/// [`SyntaxError`] with the position when the text does not parse; nothing is returned in part.
pub fn parse(text: &str) -> Result<Vec<Statement>, SyntaxError> {
    Ok(statements(text, tree(text).map_err(|error| syntax_error(text, error))?))
}

/// The texts of the statements, found by the same grammar without their trees being kept.
///
/// # Errors
/// [`SyntaxError`] when the text does not parse.
pub fn texts(text: &str) -> Result<Vec<&str>, SyntaxError> {
    let split = stacker::maybe_grow(STACK.0, STACK.1, || pg_query::split_with_parser(text));
    match split {
        Ok(found) => Ok(found.into_iter().map(str::trim_end).collect()),
        Err(_) => Err(parse(text).err().unwrap_or_else(|| syntax_error(text, NoTree::Nul))),
    }
}

/// The statements of a text with that tree.
pub(super) fn statements(text: &str, parsed: pg_query::protobuf::ParseResult) -> Vec<Statement> {
    parsed
        .stmts
        .into_iter()
        .filter_map(|raw| {
            let start = usize::try_from(raw.stmt_location).ok()?;
            let end = match usize::try_from(raw.stmt_len) {
                Ok(0) | Err(_) => text.len(),
                Ok(length) => start + length,
            };
            let slice = text.get(start..end)?;
            let trimmed = slice.trim_end();
            let span = Span { start, end: start + trimmed.len() };
            Some(Statement { text: trimmed.to_owned(), span, node: raw.stmt?.node? })
        })
        .collect()
}

/// 1-based line and column (in characters) of a byte offset.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

pub(super) fn syntax_error(text: &str, error: NoTree) -> SyntaxError {
    let (message, position_in_characters) = match error {
        NoTree::Syntax { message, position } => (message, position.unwrap_or(1)),
        NoTree::TooDeep => {
            ("the statement is nested too deeply, break it up (a chain of operators counts a level each)".to_owned(), 1)
        }
        NoTree::Nul => ("the text contains a NUL byte".to_owned(), 1),
    };
    let offset = byte(text, position_in_characters);
    let (line, column) = position(text, offset);
    SyntaxError { message, line, column, offset }
}

/// Whether it reads or changes rows and nothing else.
pub fn is_query(node: &Node) -> bool {
    matches!(
        node,
        Node::SelectStmt(_) | Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_)
    )
}

/// Byte offset of a 1-based position in characters, as the parser gives it.
pub(super) fn byte(text: &str, position: usize) -> usize {
    text.char_indices().nth(position.saturating_sub(1)).map_or(text.len(), |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_with_spans() {
        let text = "-- first\nselect 1; create function f() returns int language sql begin atomic select 1; select 2; end;\nselect 'ü;' ";
        let statements = parse(text).unwrap();
        let texts: Vec<_> = statements.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(texts[0], "select 1");
        assert!(texts[1].ends_with("end"));
        assert_eq!(texts[2], "select 'ü;'");
        assert!(statements.iter().all(|s| text[s.span.start..s.span.end] == s.text));
    }

    #[test]
    fn names_the_position_of_an_error() {
        let error = parse("select 1;\nselect 'ü' frm;\nalter tabel t").unwrap_err();
        assert_eq!((error.line, error.column), (3, 7));
        assert!(error.message.contains("tabel"), "{}", error.message);
    }
}
