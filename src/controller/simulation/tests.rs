//! Every single fault, and pairs of them: the same end.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::faults::{Fault, all};
use super::history::{Outcome, run};
use super::scenarios::{Scenario, crowd, scenarios};

/// Of how many single faults one is tried; `WESLEY_SIMULATE` is another number, or `all`.
const SAMPLE: u64 = 500;

/// What is shown of a run that went wrong.
const REASONS: usize = 8;

/// Pairs of faults of each scenario, without `WESLEY_SIMULATE_PAIRS`.
const PAIRS: usize = 1;

#[derive(Default)]
struct Tally {
    runs: AtomicUsize,
    reached: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    fn count(&self, scenario: &Scenario, faults: &[Fault], outcome: &Outcome, reference: &Outcome) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        if outcome.happened {
            self.reached.fetch_add(1, Ordering::Relaxed);
        }
        let mut wrong = outcome.wrong.clone();
        if outcome.end != reference.end {
            wrong.push(format!("another end: {}\n  instead of {}", outcome.end, reference.end));
        }
        if !wrong.is_empty() {
            let more = wrong.len().saturating_sub(REASONS);
            wrong.truncate(REASONS);
            let text = format!("{}, {faults:?}:\n  {}\n  and {more} more", scenario.name, wrong.join("\n  "));
            println!("{text}");
            self.wrong.lock().unwrap().push(text);
        }
    }
}

/// A number for each index, the same every time, that looks like chance.
fn scatter(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

fn pick(faults: &[Fault], seed: u64) -> Fault {
    faults[usize::try_from(scatter(seed) % faults.len() as u64).unwrap()].clone()
}

/// Work of one scenario: every fault or a sample of them, and pairs.
fn work(index: usize, faults: &[Fault]) -> Vec<Vec<Fault>> {
    let wanted = std::env::var("WESLEY_SIMULATE").unwrap_or_default();
    let everything = wanted == "all";
    let sample: u64 = wanted.parse().unwrap_or(SAMPLE);
    let pairs = std::env::var("WESLEY_SIMULATE_PAIRS").ok().and_then(|value| value.parse().ok()).unwrap_or(PAIRS);
    let chosen = |at: &usize| everything || scatter((index * 1_000_003 + at) as u64).is_multiple_of(sample);
    let mut work: Vec<Vec<Fault>> = (0..faults.len()).filter(chosen).map(|at| vec![faults[at].clone()]).collect();
    for pair in 0..pairs {
        let seed = (index * 7_919 + pair * 2) as u64;
        work.push(vec![pick(faults, seed), pick(faults, seed.wrapping_add(1))]);
    }
    work
}

/// Does it with every item, on as many threads as there are processors.
fn on_all_processors<'a, T: Sync>(items: &'a [T], with: impl Fn(&'a T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    with(item);
                }
            });
        }
    });
}

#[test]
fn every_fault_comes_to_the_same_end() {
    let only = std::env::var("WESLEY_SIMULATE_ONLY").ok();
    let tally = Tally::default();
    let chosen: Vec<(usize, Scenario)> = scenarios()
        .into_iter()
        .enumerate()
        .filter(|(_, scenario)| only.as_ref().is_none_or(|only| scenario.name.contains(only.as_str())))
        .collect();
    let prepared = Mutex::new(Vec::new());
    on_all_processors(&chosen, |(index, scenario)| {
        let reference = run(scenario, &[]);
        assert!(reference.wrong.is_empty(), "{} without a fault: {:#?}", scenario.name, reference.wrong);
        let faults = all(&reference.trace);
        let work = work(*index, &faults);
        let line = format!(
            "{:36} {:4} requests and events, {:5} faults, {:5} runs",
            scenario.name,
            reference.trace.len(),
            faults.len(),
            work.len()
        );
        println!("{line}");
        prepared.lock().unwrap().push((scenario, reference, work));
    });
    let prepared = prepared.into_inner().unwrap();
    let work: Vec<_> = prepared
        .iter()
        .flat_map(|(scenario, reference, work)| work.iter().map(move |faults| (*scenario, reference, faults)))
        .collect();
    on_all_processors(&work, |(scenario, reference, faults)| {
        tally.count(scenario, faults, &run(scenario, faults), reference);
    });
    let (runs, reached) = (tally.runs.load(Ordering::Relaxed), tally.reached.load(Ordering::Relaxed));
    let wrong = tally.wrong.into_inner().unwrap();
    println!("{runs} runs, in {reached} of them every fault happened, {} wrong", wrong.len());
    let shown: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{} of {runs} runs went wrong: {shown:#?}", wrong.len());
    assert!(reached * 2 > runs, "most faults were not reached: the points are not the same in every run");
}

/// Many at once: as many work as there are databases, one on each. Two hundred on twenty with `WESLEY_SIMULATE=all`.
#[test]
fn many_at_once_are_bounded_by_the_databases() {
    let everything = std::env::var("WESLEY_SIMULATE").is_ok_and(|value| value == "all");
    let (databases, each) = if everything { (20, 10) } else { (4, 3) };
    let outcome = run(&crowd(databases, each), &[]);
    assert_eq!(outcome.wrong, Vec::<String>::new());
    let (writes, most, migrations) = (outcome.writes, outcome.most_at_once, databases * each);
    println!("{writes} writes for {migrations} Migrations, at most {most} pods at work");
    assert!((2..=databases).contains(&most), "{most}");
    assert_eq!(outcome.most_planning, 2, "Migrations of one database that are planned at a time");
    assert!(writes <= 30 * migrations, "{writes} writes");
}

/// The same run gives the same story: otherwise a fault would not be where it was said to be.
#[test]
fn a_run_can_be_repeated() {
    for scenario in scenarios() {
        let (one, other) = (run(&scenario, &[]), run(&scenario, &[]));
        assert_eq!(one.wrong, Vec::<String>::new(), "{}", scenario.name);
        assert_eq!((&one.end, one.writes), (&other.end, other.writes), "{}", scenario.name);
    }
}

/// What one Migration costs the API server from its first sight to its end, the start of the operator included. What the
/// operator watches it reads from its caches: a request more here is one more for each of thousands.
#[test]
fn a_migration_costs_the_api_server_few_requests() {
    let scenarios = scenarios();
    let plain = scenarios.iter().find(|scenario| scenario.name == "plan and execute").unwrap();
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    let trace = run(plain, &[]).trace;
    for point in &trace {
        *counted.entry(point.what.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    for (verb, most) in [("GET", 19), ("LIST", 12), ("POST", 7), ("PATCH", 17), ("PUT", 0), ("DELETE", 0)] {
        let made = counted.get(verb).copied().unwrap_or_default();
        assert!(made <= most, "{made} times {verb}: {trace:#?}");
    }
}
