//! The statements, one a line, in files by family; each set of them is a folder with its schema.

use std::path::{Path, PathBuf};

/// A statement with what goes before it.
pub struct Case {
    pub family: String,
    pub sql: String,
    /// Run and committed before, from lines `-- after: ...`.
    pub setup: Vec<String>,
    /// Beginnings of deviations that have a reason, from lines `-- but: deviation: reason`.
    excused: Vec<String>,
}

impl Case {
    pub fn excuses(&self, deviation: &str) -> bool {
        self.excused.iter().any(|start| deviation.starts_with(start.as_str()))
    }
}

/// Lines `-- after:` and `-- but:` belong to the statement that follows them; other remarks say nothing.
fn read(family: &str, text: &str) -> Vec<Case> {
    let (mut cases, mut setup, mut excused) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(statement) = line.strip_prefix("-- after: ") {
            setup.push(statement.trim_end_matches(';').to_owned());
        } else if let Some(excuse) = line.strip_prefix("-- but: ") {
            let (deviation, reason) = excuse.split_once(": ").expect("a deviation and its reason");
            assert!(!reason.is_empty(), "no reason: {excuse}");
            excused.push(deviation.to_owned());
        } else if !line.starts_with("--") {
            let sql = line.trim_end_matches(';').to_owned();
            let (setup, excused) = (std::mem::take(&mut setup), std::mem::take(&mut excused));
            cases.push(Case { family: family.to_owned(), sql, setup, excused });
        }
    }
    cases
}

/// A schema and the statements that meet it.
pub struct Set {
    pub name: String,
    pub schema: String,
    pub cases: Vec<Case>,
}

/// The sets of the repository, or the one folder that `WESLEY_CLAIMS_FOLDER` names.
pub fn sets() -> Vec<Set> {
    match std::env::var_os("WESLEY_CLAIMS_FOLDER") {
        Some(folder) => vec![set(&PathBuf::from(folder))],
        None => {
            let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claims");
            entries(&folder).iter().map(|folder| set(folder)).collect()
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn set(folder: &Path) -> Set {
    let stem = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let read = |path: &PathBuf| read(&stem(path), &std::fs::read_to_string(path).unwrap());
    Set {
        name: stem(folder),
        schema: std::fs::read_to_string(folder.join("schema.sql")).unwrap(),
        cases: entries(&folder.join("statements")).iter().flat_map(read).collect(),
    }
}
