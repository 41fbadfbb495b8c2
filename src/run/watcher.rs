//! The second connection, which looks at the first one from outside. It is made again when it was lost, or could not be had
//! when the run began.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::connect::Settings;
use super::preflight;

/// Between the first two tries to connect; doubled with each, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The connection, if there is one.
pub(super) struct Watcher {
    client: Option<Client>,
    again: Instant,
    pause: Duration,
}

impl Watcher {
    /// With the connection that the run began with.
    pub fn new(client: Option<Client>) -> Self {
        Self { client, again: Instant::now() + FIRST_PAUSE, pause: FIRST_PAUSE }
    }

    /// Whether there is a connection.
    pub fn is_there(&self) -> bool {
        self.client.as_ref().is_some_and(|client| !client.is_closed())
    }

    /// The connection, made anew where there is none and it is time for the next try.
    pub async fn client(&mut self, settings: &Settings) -> Option<&Client> {
        if !self.is_there() {
            self.client = None;
            if Instant::now() < self.again {
                return None;
            }
            // Before the try: whoever waits for it may go away in the middle.
            self.again = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            let fresh = settings.connect().await.ok()?;
            preflight::prepare_watcher(&fresh).await.ok()?;
            self.client = Some(fresh);
            self.pause = FIRST_PAUSE;
        }
        self.client.as_ref()
    }
}
