//! What a statement looks like without what it is about: no literal, no comment.

use pg_query::protobuf::Token;

use super::{is_query, parse};

/// Most characters of a shape.
const LONGEST: usize = 160;

/// The query with `$1`, `$2`, ... in the place of its literals, on one line, cut where it is long. `None` for what is no query
/// and no change of rows (utility statements have literals that are not replaced: passwords, bodies of code), for text that
/// does not parse, as when the server has cut it off, and where a literal is left.
pub fn shape(query: &str) -> Option<String> {
    let parsed = parse(query).ok()?;
    let [statement] = parsed.as_slice() else { return None };
    if !is_query(&statement.node) {
        return None;
    }
    let normalized = pg_query::normalize(query).ok()?;
    let mut words: Vec<&str> = Vec::new();
    for token in pg_query::scan(&normalized).ok()?.tokens {
        let text = normalized.get(usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?)?;
        match token.token() {
            Token::SqlComment | Token::CComment => {}
            Token::Sconst | Token::Usconst | Token::Bconst | Token::Xconst | Token::Fconst | Token::Iconst => {
                return None;
            }
            _ => words.push(text),
        }
    }
    let mut shape = String::new();
    for word in words {
        let tight = matches!(word, "," | ")" | "." | ";" | "::" | "]") || shape.ends_with(['(', '.', ':', '[']);
        if !shape.is_empty() && !tight {
            shape.push(' ');
        }
        shape.push_str(word);
    }
    let shape = shape.trim_end_matches(';');
    Some(match shape.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ...", &shape[..end]),
        None => shape.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::shape;

    #[test]
    fn nothing_of_the_values_is_left() {
        for (query, expected) in [
            ("SELECT * FROM s.t WHERE name = 'Ada' -- for Ada", Some("SELECT * FROM s.t WHERE name = $1")),
            (
                "update t set a = 7,\n b = b || E'x\\'y' where id in (1, 2) /* id 1 */;",
                Some("update t set a = $1, b = b || $2 where id in ($3, $4)"),
            ),
            ("INSERT INTO t VALUES (1, B'01', 1.5, x'ff')", Some("INSERT INTO t VALUES ($1, $2, $3, $4)")),
            ("ALTER ROLE r PASSWORD 'secret'", None),
            ("DO $$ BEGIN PERFORM 'secret'; END $$", None),
            ("SELECT 'cut of", None),
            ("SELECT 1; SELECT 2", None),
        ] {
            assert_eq!(shape(query).as_deref(), expected, "{query}");
        }
        let long = shape(&format!("SELECT {} FROM t", vec!["a_column"; 100].join(", "))).unwrap();
        assert!(long.ends_with(" ...") && long.len() < 170, "{long}");
    }
}
