//! The statements, one a paragraph, in files by family.

/// A statement with what goes before it.
pub struct Case {
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

    fn read(paragraph: &str) -> Option<Self> {
        let mut case = Self { sql: String::new(), setup: Vec::new(), excused: Vec::new() };
        for line in paragraph.lines() {
            if let Some(setup) = line.strip_prefix("-- after: ") {
                case.setup.push(setup.trim_end_matches(';').to_owned());
            } else if let Some(excuse) = line.strip_prefix("-- but: ") {
                let (deviation, reason) = excuse.split_once(": ").expect("a deviation and its reason");
                assert!(!reason.is_empty(), "no reason: {excuse}");
                case.excused.push(deviation.to_owned());
            } else if !line.starts_with("--") {
                case.sql.push_str(line);
                case.sql.push('\n');
            }
        }
        case.sql = case.sql.trim().trim_end_matches(';').to_owned();
        (!case.sql.is_empty()).then_some(case)
    }
}

pub fn all() -> Vec<Case> {
    let files = [
        include_str!("../fixtures/claims/add_column.sql"),
        include_str!("../fixtures/claims/column.sql"),
        include_str!("../fixtures/claims/column_type.sql"),
        include_str!("../fixtures/claims/constraint.sql"),
        include_str!("../fixtures/claims/drop.sql"),
        include_str!("../fixtures/claims/other.sql"),
        include_str!("../fixtures/claims/partition.sql"),
    ];
    files.iter().flat_map(|file| file.split("\n\n")).filter_map(Case::read).collect()
}
