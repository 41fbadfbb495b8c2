//! A plan for people: one screen first (what, who is blocked, how long, can it be undone), details after.

mod markdown;
mod text;
mod words;

use super::model::Plan;

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    Text {
        /// With ANSI colours.
        color: bool,
    },
    /// For a pull request.
    Markdown,
}

/// The plan in words. Holds the SQL as it will run, with the author's literals: it is for those who may read the
/// migration.
pub fn render(plan: &Plan, format: Format) -> String {
    match format {
        Format::Text { color } => text::render(plan, color),
        Format::Markdown => markdown::render(plan),
    }
}

#[cfg(test)]
mod tests;
