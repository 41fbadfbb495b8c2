//! The author's text, as it comes from a file or a stream.

use std::io::Read;

/// Most bytes of SQL of one migration that are held in memory, all files together: all but long runs of changes of rows. A
/// plan holds every statement with its parse tree, which is some ten times the text.
pub const BYTES_MAX: u64 = 64 << 20;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum NoText {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// It is not UTF-8.
    #[error("not UTF-8 (byte {0}): save it as UTF-8")]
    NotUtf8(usize),
    /// It does not fit into what is left of [`BYTES_MAX`].
    #[error(
        "too large: a migration has at most {} MiB of SQL, all files together, besides long runs of INSERT, UPDATE, DELETE \
         and MERGE in regular files. Split it into several, which can depend on each other, or load rows with COPY (psql's \
         \\copy)",
        BYTES_MAX >> 20
    )]
    TooLarge,
}

/// Reads a text to its end, and takes its bytes from those that are `left`. A byte order mark is no part of the SQL. Never
/// more than that is held in memory.
///
/// # Errors
/// [`NoText`].
pub fn read(from: impl Read, left: &mut u64) -> Result<String, NoText> {
    let mut bytes = Vec::new();
    // One more than fits tells that there is more.
    from.take(left.saturating_add(1)).read_to_end(&mut bytes)?;
    *left = left.checked_sub(bytes.len() as u64).ok_or(NoText::TooLarge)?;
    let text = String::from_utf8(bytes).map_err(|error| NoText::NotUtf8(error.utf8_error().valid_up_to()))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_without_being_read_whole() {
        let mut left = 10;
        assert_eq!(read("\u{feff}123".as_bytes(), &mut left).unwrap(), "123");
        assert_eq!(left, 4);
        assert_eq!(read("4567".as_bytes(), &mut left).unwrap(), "4567");
        assert!(matches!(read(std::io::repeat(b' '), &mut left), Err(NoText::TooLarge)));
        assert!(matches!(read([b'a', 0xff].as_slice(), &mut 10), Err(NoText::NotUtf8(1))));
    }
}
