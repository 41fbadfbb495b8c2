//! Messages with file, line, column and a caret.

/// `message` at a line (number from 1, column from 1, text) of a file, as compilers print it.
pub(super) fn at_line(file: &str, (line, column, source): &(usize, usize, String), message: &str) -> String {
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    // Tabs are kept so that the caret stands below its character.
    let indent: String =
        source.chars().take(column.saturating_sub(1)).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    format!("{message}\n{margin}--> {file}:{line}:{column}\n{margin} |\n{number} | {source}\n{margin} | {indent}^")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_below_the_character() {
        let line = (2, 11, "\tselect ü frm t".to_owned());
        let shown = at_line("a.sql", &line, "no such thing");
        assert_eq!(shown, "no such thing\n --> a.sql:2:11\n  |\n2 | \tselect ü frm t\n  | \t         ^");
    }
}
