//! `wesley watch`: plans again whenever a file changes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{Failure, Format, PlanArgs, catalog, complain, plan, print};
use crate::exit::Exit;

/// How often files are looked at. Well below what a person notices, and next to no work.
const LOOK: Duration = Duration::from_millis(40);

/// What a file looked like: absent, or its time and size. Editors that write anew and rename change both.
type Look = Option<(SystemTime, u64)>;

/// Plans, shows, waits for a change; until interrupted.
pub(super) async fn run(args: &PlanArgs, format: Format) -> Result<(), Failure> {
    if args.source.reads_stdin() {
        return Err(Failure::new(Exit::Usage, "standard input cannot be watched: name files"));
    }
    let files = &args.source.files;
    let mut known = catalog::Known::default();
    loop {
        let seen = look(files);
        let started = Instant::now();
        // A plan that cannot be made is what the author wants to see, not an end.
        if let Err(failure) = plan::run_with(args, format, &mut known).await {
            complain(&format!("error: {}\n", failure.message));
        }
        if format != Format::Json {
            print(&format!("-- planned in {} ms; waiting for a change", started.elapsed().as_millis()));
        }
        wait_for_change(files, &seen).await?;
    }
}

async fn wait_for_change(files: &[PathBuf], seen: &[Look]) -> Result<(), Failure> {
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = tokio::signal::ctrl_c() => return Err(Failure::new(Exit::Interrupted, "stopped")),
        }
        let now = look(files);
        // A file that is gone is being replaced: the next look finds the new one.
        if now != seen && now.iter().all(Option::is_some) {
            return Ok(());
        }
    }
}

fn look(files: &[PathBuf]) -> Vec<Look> {
    files.iter().map(|file| look_at(file)).collect()
}

fn look_at(file: &Path) -> Look {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
