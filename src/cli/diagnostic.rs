//! Messages with file, line, column and a caret.

use crate::sql::parse::position;

/// `message` at a byte offset of `text`, as compilers print it.
pub(super) fn at(file: &str, text: &str, offset: usize, message: &str) -> String {
    let (line, column) = position(text, offset);
    let source = text.lines().nth(line - 1).unwrap_or("");
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    // Tabs are kept so that the caret stands below its character.
    let indent: String = source.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    format!("{message}\n{margin}--> {file}:{line}:{column}\n{margin} |\n{number} | {source}\n{margin} | {indent}^")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_below_the_character() {
        let text = "select 1;\n\tselect ü frm t";
        let shown = at("a.sql", text, text.find("frm").unwrap(), "no such thing");
        assert_eq!(shown, "no such thing\n --> a.sql:2:11\n  |\n2 | \tselect ü frm t\n  | \t         ^");
    }
}
