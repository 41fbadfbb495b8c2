//! An application for demo and benchmarks: several connections that read and write the shop schema and write down
//! what they felt.
//!
//! `shop_load URL FILE [CONNECTIONS [RATE]]` runs until SIGTERM or SIGINT. Each connection sends RATE statements a second,
//! 250 unless told, and a statement's time counts from the moment at which it was due: who waits behind a stall has felt
//! it too. Every second it appends a line to FILE:
//! `seconds-since-epoch statements failed longest-milliseconds`; at the end it prints a JSON summary with the
//! failures by SQLSTATE.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::{Client, Statement};
use wesley::run::connect::Settings;

/// What one second, or the whole run, felt like.
#[derive(Default, Clone)]
struct Felt {
    statements: u64,
    longest: Duration,
    failures: BTreeMap<String, u64>,
}

impl Felt {
    fn add(&mut self, took: Duration, failure: Option<String>) {
        self.statements += 1;
        self.longest = self.longest.max(took);
        if let Some(code) = failure {
            *self.failures.entry(code).or_default() += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.statements += other.statements;
        self.longest = self.longest.max(other.longest);
        for (code, count) in &other.failures {
            *self.failures.entry(code.clone()).or_default() += count;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(file)) = (args.next(), args.next()) else {
        return Err("usage: shop_load URL FILE [CONNECTIONS [RATE]]".into());
    };
    let connections: usize = args.next().map_or(Ok(4), |count| count.parse())?;
    let rate: u32 = args.next().map_or(Ok(250), |rate| rate.parse())?;
    let pace = Duration::from_secs(1).checked_div(rate).ok_or("RATE is 1 at least")?;
    let settings = Settings::from_url(&url)?.with_application_name("shop");
    let stop = Arc::new(AtomicBool::new(false));
    let second = Arc::new(Mutex::new(Felt::default()));
    let mut workers = Vec::new();
    for number in 0..connections {
        let client = settings.connect().await?;
        workers.push(tokio::spawn(work(client, number as u64, pace, stop.clone(), second.clone())));
    }
    let mut log = std::fs::File::create(file)?;
    let mut whole = Felt::default();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut running = true;
    while running {
        tokio::select! {
            _ = tick.tick() => {}
            _ = term.recv() => running = false,
            _ = int.recv() => running = false,
        }
        if !running {
            stop.store(true, Ordering::Relaxed);
            for worker in workers.drain(..) {
                worker.await?;
            }
        }
        let felt = std::mem::take(&mut *second.lock().map_err(|_| "a worker panicked")?);
        whole.merge(&felt);
        let failed: u64 = felt.failures.values().sum();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        writeln!(log, "{now} {} {failed} {}", felt.statements, felt.longest.as_millis())?;
    }
    let summary = serde_json::json!({
        "statements": whole.statements,
        "failed": whole.failures.values().sum::<u64>(),
        "failures": whole.failures,
        "longestMilliseconds": i64::try_from(whole.longest.as_millis())?,
    });
    println!("{summary}");
    Ok(())
}

/// What the application does, again and again.
struct Shop {
    insert: Statement,
    update: Statement,
    one: Statement,
    recent: Statement,
}

async fn prepare(client: &Client) -> Result<Shop, tokio_postgres::Error> {
    Ok(Shop {
        insert: client
            .prepare("insert into shop.orders (number, customer_id, status, total_cents) values ($1, $2, 'new', $3)")
            .await?,
        update: client.prepare("update shop.orders set status = 'paid', updated_at = now() where id = $1").await?,
        one: client.prepare("select id, number, status, total_cents from shop.orders where id = $1").await?,
        recent: client
            .prepare("select id, number from shop.orders where customer_id = $1 order by id desc limit 10")
            .await?,
    })
}

async fn work(client: Client, number: u64, pace: Duration, stop: Arc<AtomicBool>, second: Arc<Mutex<Felt>>) {
    let shop = match prepare(&client).await {
        Ok(shop) => shop,
        Err(error) => return note(&second, Duration::ZERO, Some(code(&error))),
    };
    // A plain multiplicative generator: repeatable, and enough to spread keys.
    let mut seed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut round: u64 = 0;
    let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    // What was missed during a stall is sent in a burst behind it.
    let mut due = tokio::time::interval(pace);
    while !stop.load(Ordering::Relaxed) {
        let started = due.tick().await;
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let order = i64::try_from(seed >> 33).unwrap_or(0) % 1_000_000 + 1;
        let customer = order % 50_000 + 1;
        let done = match round % 4 {
            0 => client
                .execute(&shop.insert, &[&format!("L{run}-{number}-{round}"), &customer, &4200_i64])
                .await
                .map(drop),
            1 => client.execute(&shop.update, &[&order]).await.map(drop),
            2 => client.query(&shop.one, &[&order]).await.map(drop),
            _ => client.query(&shop.recent, &[&customer]).await.map(drop),
        };
        note(&second, started.elapsed(), done.err().map(|error| code(&error)));
        round += 1;
        if client.is_closed() {
            return;
        }
    }
}

fn note(second: &Mutex<Felt>, took: Duration, failure: Option<String>) {
    if let Ok(mut felt) = second.lock() {
        felt.add(took, failure);
    }
}

fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| "connection".to_owned(), |state| state.code().to_owned())
}
