//! Where a text that goes on may be cut: PostgreSQL's grammar decides, never the look of a line.

use super::ffi::NoTree;
use super::parse::{Statement, SyntaxError, byte, statements, syntax_error, tree};

/// The beginning of a text that goes on: statements that are the same whatever follows.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// Its statements.
    pub statements: Vec<Statement>,
    /// First byte behind the semicolon that ends the last of them.
    pub end: usize,
}

/// Semicolons that are tried before more of the text is wanted.
const TRIES: usize = 8;

/// The whole statements that `text`, which goes on, begins with; `None` when more of it has to be known.
///
/// A statement is whole at a semicolon that the grammar takes for its end: that depends on nothing behind it. One in a
/// string, a comment or a body leaves something open, and the parser says so.
///
/// # Errors
/// [`SyntaxError`] when `text` does not parse whatever follows it.
pub fn beginning(text: &str) -> Result<Option<Beginning>, SyntaxError> {
    let mut candidate = text.rfind(';');
    for _ in 0..TRIES {
        let Some(at) = candidate else { return Ok(None) };
        let prefix = text.get(..=at).unwrap_or_default();
        let open = match tree(prefix) {
            Ok(parsed) => match ended(prefix, statements(prefix, parsed)) {
                Some(beginning) => return Ok(Some(beginning)),
                None => at,
            },
            // All from there on is one token.
            Err(NoTree::Syntax { message, position }) if message.starts_with("unterminated ") => {
                position.map_or(at, |position| byte(prefix, position)).min(at)
            }
            Err(NoTree::Syntax { message, .. }) if message.ends_with(" at end of input") => at,
            Err(error) => return Err(syntax_error(text, error)),
        };
        candidate = prefix.get(..open).and_then(|before| before.rfind(';'));
    }
    Ok(None)
}

/// The statements that a semicolon ends. The last semicolon may stand in a comment behind one that goes on.
fn ended(prefix: &str, mut statements: Vec<Statement>) -> Option<Beginning> {
    while let Some(last) = statements.last() {
        let rest = prefix.get(last.span.end..)?;
        let semicolon = rest.trim_start();
        if semicolon.starts_with(';') {
            return Some(Beginning { end: prefix.len() - semicolon.len() + 1, statements });
        }
        statements.pop();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse;

    /// Whatever a text is cut to, its whole statements are those of the text.
    #[test]
    fn a_cut_gives_the_statements_of_the_whole() {
        let whole = "INSERT INTO t VALUES (1, 'a;\n', $x$;\n$x$, $$;$$, E'\\';\n', U&'\\00e4;\n'); -- ; not\n\
            CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1;\n SELECT 2;\n END;\n\
            /* ;\n /* ;\n */ ;\n */ SELECT 1\n-- ;\n, 2 -- ;\n;\n\
            CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1;\n SELECT 2;\n);;;\n SELECT \"ü;\n\" ;\n SELECT 'end';";
        let all = parse(whole).unwrap();
        assert_eq!(all.len(), 6);
        let mut most = 0;
        for cut in (0..=whole.len()).filter(|at| whole.is_char_boundary(*at)) {
            let Some(beginning) = beginning(&whole[..cut]).unwrap() else { continue };
            let found: Vec<_> = beginning.statements.iter().map(|found| (found.span, found.text.as_str())).collect();
            let expected: Vec<_> = all.iter().take(found.len()).map(|one| (one.span, one.text.as_str())).collect();
            assert_eq!(found, expected, "{}", &whole[..cut]);
            assert_eq!(whole.as_bytes()[beginning.end - 1], b';');
            assert!(beginning.end <= all.get(found.len()).map_or(whole.len(), |next| next.span.start));
            most = most.max(found.len());
        }
        assert_eq!(most, 6);
    }

    #[test]
    fn what_no_text_behind_it_mends_is_refused_at_once() {
        for text in ["SELECT 1;\nALTER TABEL t;\nSELECT ';\n", "COPY t FROM STDIN;\n1\ta\n\\.\n;"] {
            assert!(beginning(text).is_err(), "{text}");
        }
        for text in ["SELECT 1", "SELECT ';", "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1;", "/* ;", "-- ;\n"] {
            assert!(beginning(text).unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn texts_are_those_of_the_statements() {
        let text = " -- a\nSELECT 1 ; ;\nSELECT 'ü;' -- b\n;SELECT 3 -- c";
        let statements = parse(text).unwrap();
        let expected: Vec<&str> = statements.iter().map(|statement| statement.text.as_str()).collect();
        assert_eq!(crate::sql::texts(text).unwrap(), expected);
    }
}
