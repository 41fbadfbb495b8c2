//! Files of other migration tools that hold both directions: the change and, behind a comment, its undo.

use pg_query::protobuf::Token;

use super::Statement;

/// What stands in the comment behind which the undo begins, in small letters: goose, sql-migrate, micrate, dbmate,
/// tern.
const MARKERS: [&[&str]; 5] = [
    &["+goose", "down"],
    &["+migrate", "down"],
    &["+micrate", "down"],
    &["migrate:down"],
    &["create", "above", "/", "drop", "below"],
];

/// Byte offset of the comment behind which a file undoes its own change; `None` where it holds one direction only.
/// To the server it is a comment like any other: read as one list, the statements end where they began.
pub fn undo_in_file(text: &str, statements: &[Statement]) -> Option<usize> {
    let last = statements.last()?.span.start;
    let small = text.to_ascii_lowercase();
    if !small.contains("down") && !small.contains("drop below") {
        return None;
    }
    let scanned = pg_query::scan(text).ok()?;
    scanned
        .tokens
        .iter()
        .filter(|token| token.token() == Token::SqlComment)
        .filter_map(|token| Some(usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?))
        .find(|comment| comment.start < last && small.get(comment.clone()).is_some_and(marks_undo))
        .map(|comment| comment.start)
}

fn marks_undo(comment: &str) -> bool {
    let words: Vec<&str> = comment.trim_matches(|c: char| c == '-' || c.is_whitespace()).split_whitespace().collect();
    MARKERS.iter().any(|marker| words.starts_with(marker))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse;

    fn found(text: &str) -> Option<&str> {
        undo_in_file(text, &parse(text).unwrap()).and_then(|at| text[at..].lines().next())
    }

    #[test]
    fn an_undo_in_the_same_file_is_found_by_the_marks_of_migration_tools() {
        for mark in [
            "-- +goose Down",
            "-- +goose down",
            "-- +migrate Down notransaction",
            "--migrate:down",
            "-- migrate:down transaction:false",
            "---- create above / drop below ----",
        ] {
            assert_eq!(found(&format!("CREATE TABLE ü ();\n{mark}\nDROP TABLE ü;")), Some(mark));
        }
    }

    #[test]
    fn a_mark_without_statements_behind_it_or_within_one_is_none() {
        for text in [
            "-- +goose Up\nCREATE TABLE a ();\n-- +goose Down\n",
            "-- +goose Up\nSELECT '\n-- +goose Down\n';\nSELECT 1",
            "-- what goes down must come up\nSELECT 1; SELECT 2",
            "-- to +goose down see below\nSELECT 1",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
