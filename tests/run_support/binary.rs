//! The program as its users start it: `wesley apply` and `wesley rollback` in processes of their own.

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A command line of one run.
#[derive(Clone)]
pub struct Program {
    url: String,
    name: String,
    change: std::path::PathBuf,
    _folder: std::sync::Arc<tempfile::TempDir>,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// `None`: by a signal.
    pub code: Option<i32>,
    /// Every progress object.
    pub progress: Vec<Value>,
    pub stderr: String,
}

impl Program {
    /// To run `change` as `name` in the database at `url`.
    pub fn new(url: &str, name: &str, change: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("change.sql");
        std::fs::write(&file, change).unwrap();
        Self { url: url.to_owned(), name: name.to_owned(), change: file, _folder: std::sync::Arc::new(folder) }
    }

    fn command(&self, verb: &str) -> Command {
        // Another build of the program, where one is given.
        let program = std::env::var("WESLEY_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_wesley").to_owned());
        let mut command = Command::new(program);
        command
            .args([verb, "--yes", "--format", "json", "--name", &self.name])
            .env("DATABASE_URL", &self.url)
            .env_remove("WESLEY_FAILPOINT")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if verb == "apply" {
            // No table is small: the safe forms have to work.
            command.args(["--allow", "all", "--in-place-bytes", "0", "--index-builds", "3"]).arg(&self.change);
        }
        command
    }

    /// Runs `apply` or `rollback` to its end, or to the failpoint.
    pub fn run(&self, verb: &str, failpoint: Option<&str>) -> Ended {
        let mut command = self.command(verb);
        if let Some(failpoint) = failpoint {
            command.env("WESLEY_FAILPOINT", failpoint);
        }
        Ended::from(command.output().unwrap())
    }

    pub fn start(&self, verb: &str) -> Child {
        self.command(verb).spawn().unwrap()
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = String::from_utf8(output.stdout).unwrap();
        // The last line may be cut where the process was killed.
        let progress = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Self { code: output.status.code(), progress, stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }
}

impl Ended {
    /// The object with the result.
    pub fn last(&self) -> &Value {
        self.progress.last().unwrap_or(&Value::Null)
    }

    /// What is wrong with the output of a process that was not killed; empty when nothing is.
    pub fn breach(&self) -> String {
        let Some((last, steps)) = self.progress.split_last() else { return "no output".into() };
        let of_all = ["step", "stage", "state", "rowsDone", "rowsTotal", "elapsedMilliseconds"];
        let of_last = ["result", "steps", "resumedAt", "batchesRedone", "durationMilliseconds"];
        for object in &self.progress {
            if let Some(missing) = of_all.iter().find(|field| object.get(field).is_none()) {
                return format!("{missing} is missing in {object}");
            }
            if !object["rowsDone"].is_i64() || !object["elapsedMilliseconds"].is_i64() || !object["state"].is_string() {
                return format!("types of {object}");
            }
        }
        if let Some(missing) = of_last.iter().find(|field| last.get(field).is_none()) {
            return format!("{missing} is missing in {last}");
        }
        if let Some(early) = steps.iter().find(|object| object.get("result").is_some()) {
            return format!("a result before the end: {early}");
        }
        let mut before = 0;
        for object in &self.progress {
            let now = object["elapsedMilliseconds"].as_i64().unwrap_or(-1);
            if now < before {
                return format!("time runs backwards at {object}");
            }
            before = now;
        }
        String::new()
    }
}
