//! A file of the author that is read more than once, in parts.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::run::text::{self, NoText};

/// Where the text is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// What can be read only once: standard input, a pipe.
    Memory(Arc<str>),
    /// A regular file.
    File(PathBuf),
}

trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// It, open.
pub(super) struct Open(Box<dyn ReadSeek>);

impl Content {
    /// Of the file with that path.
    ///
    /// # Errors
    /// [`NoText`].
    pub fn of(path: &Path, left: &mut u64) -> Result<Self, NoText> {
        let file = File::open(path)?;
        if file.metadata()?.is_file() {
            return Ok(Self::File(path.to_owned()));
        }
        Self::once(file, left)
    }

    /// Of what can be read only once.
    ///
    /// # Errors
    /// [`NoText`].
    pub fn once(from: impl Read, left: &mut u64) -> Result<Self, NoText> {
        Ok(Self::Memory(text::read(from, left)?.into()))
    }

    /// Opens it.
    pub fn open(&self) -> io::Result<Open> {
        Ok(Open(match self {
            Self::Memory(text) => Box::new(Cursor::new(Arc::<[u8]>::from(Arc::clone(text)))),
            Self::File(path) => Box::new(File::open(path)?),
        }))
    }
}

impl Read for Open {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Open {
    /// The bytes from `start` to before `end`, counted behind the byte order mark; fewer where it ends.
    pub fn part(&mut self, start: usize, end: usize) -> io::Result<Vec<u8>> {
        let mut mark = [0; 3];
        self.0.seek(SeekFrom::Start(0))?;
        let marked = self.0.read_exact(&mut mark).is_ok() && mark == *"\u{feff}".as_bytes();
        let skip = if marked { mark.len() } else { 0 };
        self.0.seek(SeekFrom::Start((start + skip) as u64))?;
        let mut bytes = Vec::new();
        (&mut self.0).take(end.saturating_sub(start) as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
