//! What a runner does that changes nothing of the application's: plan, inspect, observe, sample.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cluster::{Ended, Process};
use super::ledger::State as RunState;
use super::store::key;
use crate::inspect::activity::Activity;
use crate::inspect::statements::Verdict;
use crate::plan::{Assertion, Stage};
use crate::report::Observation;

impl Process {
    pub async fn plan(&self, arguments: &BTreeMap<String, String>) -> Ended {
        if self.takes(Duration::from_secs(1)).await {
            return self.report(75, "Interrupted", |_| {});
        }
        let Some(sql) = self.file("source") else { return Ended::Killed };
        let (uid, generation) = (&arguments["uid"], &arguments["generation"]);
        let checks = if arguments.contains_key("checks") { self.file("checks") } else { Some("[]".to_owned()) };
        let Some(checks) = checks else { return Ended::Killed };
        let plan = super::plans::plan(&sql, &serde_json::from_str::<Vec<Assertion>>(&checks).unwrap());
        let name = format!("{}-{}", arguments["migration"], &plan.digest[7..17]);
        let name = format!("{name}-{generation}");
        let object = super::plans::plan_object(&plan, &arguments["migration"], uid, generation);
        let made =
            self.server.change(|state| state.store.create(&key("migrationplans", &self.job.namespace, &name), object));
        if made.is_err_and(|refused| refused.reason != "AlreadyExists") {
            return self.report(75, "ApiUnavailable", |_| {});
        }
        self.report(0, "Planned", |report| {
            report.plan = Some(name);
            report.digest = Some(plan.digest.clone());
            report.steps_total = i32::try_from(plan.steps.len()).unwrap();
        })
    }

    /// What a volume has mounted; nothing when a ConfigMap of it is missing.
    pub fn file(&self, volume: &str) -> Option<String> {
        let volumes = self.object["spec"]["template"]["spec"]["volumes"].as_array()?;
        let sources = volumes.iter().find(|found| found["name"] == volume)?["projected"]["sources"].as_array()?;
        let state = self.server.lock();
        let mut text = Vec::new();
        for source in sources {
            let map = &source["configMap"];
            let object = state.store.get(&key("configmaps", &self.job.namespace, map["name"].as_str()?))?;
            text.push(object["data"][map["items"][0]["key"].as_str()?].as_str()?.to_owned());
        }
        Some(text.join(" "))
    }

    pub fn run_name(&self, arguments: &BTreeMap<String, String>) -> String {
        format!("{}.{}", arguments["migration"], arguments["uid"])
    }

    pub async fn inspect(&self, arguments: &BTreeMap<String, String>) -> Ended {
        if self.takes(Duration::from_secs(1)).await {
            return self.report(75, "Interrupted", |_| {});
        }
        let name = self.run_name(arguments);
        let run = self.server.lock().ledgers.entry(self.database()).or_default().runs.get(&name).cloned();
        match run.map(|run| run.state) {
            None => self.report(0, "NotRecorded", |_| {}),
            Some(RunState::Running) => self.tell(0, "Inspected", &name),
            Some(RunState::Done) => self.tell(0, "Done", &name),
            Some(RunState::RollingBack) => self.tell(0, "RollbackUnfinished", &name),
            Some(RunState::RolledBack) => self.tell(0, "RolledBack", &name),
        }
    }

    /// What the observation of the statements says: a plan with the word `slow` makes one slower.
    pub fn observe(&self, ended: Ended, arguments: &BTreeMap<String, String>, measure: bool) -> Ended {
        let Ended::Reported(mut report) = ended else { return ended };
        let changed = report.exit_code == 0 && matches!(report.next_stage, None | Some(Stage::Contract));
        if !changed || !arguments.contains_key("regression-percent-max") {
            return Ended::Reported(report);
        }
        let now = self.server.clock.now();
        let mut state = self.server.lock();
        let slow = super::plans::notes(&state, &arguments["plan"]).contains("slow");
        let name = self.run_name(arguments);
        let run = state.ledgers.get_mut(&self.database()).unwrap().runs.get_mut(&name).unwrap();
        let late = run.changed_at.is_none();
        let since = run.changed_at.get_or_insert(now).as_second();
        if measure {
            let verdict = if slow { Verdict::NoGo } else { Verdict::Go };
            let verdict = Some(verdict).filter(|_| !late);
            report.observation = Some(Observation { since: Some(since), verdict, ..Observation::default() });
        }
        Ended::Reported(report)
    }

    /// What a Database's Job finds: one more hour each time.
    pub async fn sample(&self) -> Ended {
        if self.takes(Duration::from_secs(1)).await {
            return self.report(75, "Interrupted", |_| {});
        }
        let mut state = self.server.lock();
        let ledger = state.ledgers.entry(self.database()).or_default();
        ledger.hours_measured += 1;
        let hours_measured = ledger.hours_measured;
        drop(state);
        self.report(0, "Inspected", |report| {
            let activity = Activity { hours_measured, reason: "TooFewSamples".to_owned(), ..Activity::default() };
            report.activity = Some(activity);
        })
    }
}
