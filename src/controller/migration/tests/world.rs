//! A world around one Migration: what the API server, the Job controller and a runner would do, in memory.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::database::{ApprovalRule, Connection, DatabaseIdentity};
use crate::api::migration::Source;
use crate::api::migration_plan::{Approval, Decision as Verdict};
use crate::api::reference::{LocalRef, TextSource};
use crate::api::{Condition, ConditionType, Database, DatabaseSpec, Migration, MigrationSpec, MigrationStatus, Phase};
use crate::controller::conditions::find;
use crate::controller::migration::decide::{Action, Decision, decide};
use crate::controller::migration::observed::{
    End, JobState, Observed, PlanFacts, SourceMount, SourceState, WindowState,
};
use crate::controller::names;
use crate::plan::{LockMode, RollbackClass, Stage};
use crate::report::{Report, RollbackState, RunAction};

pub struct World {
    pub observed: Observed,
    pub now: Timestamp,
    /// Jobs that were created, in order.
    pub created: Vec<String>,
    /// Everything that was done, in order.
    pub done: Vec<Action>,
    /// Phases that were written, in order, without repetitions.
    pub phases: Vec<Phase>,
}

pub fn spec(sql: &str) -> MigrationSpec {
    serde_json::from_value(serde_json::json!({"databaseRef": {"name": "shop"}, "source": {"sql": sql}})).unwrap()
}

pub fn database() -> Database {
    let text = |value: &str| Some(TextSource { value: Some(value.to_owned()), secret_key_ref: None });
    let connection =
        Connection { host: text("db"), dbname: text("shop"), user: text("owner"), ..Connection::default() };
    let spec = DatabaseSpec {
        connection,
        tls: Default::default(),
        policy: Default::default(),
        timeouts: Default::default(),
        inspection: Default::default(),
        job_template: Default::default(),
    };
    Database::new("shop", spec)
}

pub fn known(sql: &str) -> SourceState {
    SourceState::Known { digest: names::digest([sql]), mount: SourceMount::Inline }
}

impl World {
    /// A fresh Migration with everything it refers to.
    pub fn new() -> Self {
        let mut migration = Migration::new("orders", spec("select 1"));
        migration.metadata.uid = Some("uid-1".to_owned());
        migration.metadata.namespace = Some("team".to_owned());
        migration.metadata.generation = Some(1);
        Self {
            observed: Observed {
                migration,
                database: Some(database()),
                dependencies: Default::default(),
                source: known("select 1"),
                plan: None,
                made: None,
                job: JobState::None,
                window: WindowState::None,
                rival: None,
                ahead_in_planning: 0,
                circuit: Default::default(),
                leftover_jobs: Vec::new(),
                old_plans: Vec::new(),
                backfill: None,
                namespace_ending: false,
            },
            now: "2026-06-10T12:00:00Z".parse().unwrap(),
            created: Vec::new(),
            done: Vec::new(),
            phases: Vec::new(),
        }
    }

    /// Decides and applies until nothing more is to do; checks that the end is a fixpoint.
    pub fn turn(&mut self) -> &mut Self {
        for _ in 0..20 {
            let decision = decide(&self.observed, self.now);
            let again = decide(&self.observed, self.now);
            assert_eq!(decision.status, again.status, "not deterministic");
            let changed = self.observed.migration.status.as_ref() != Some(&decision.status);
            if !changed && decision.actions.is_empty() {
                return self;
            }
            self.apply(&decision);
        }
        panic!("no fixpoint: {:#?}", self.observed.migration.status);
    }

    fn apply(&mut self, decision: &Decision) {
        // What is written is what is read back.
        let json = serde_json::to_value(&decision.status).unwrap();
        let status: MigrationStatus = serde_json::from_value(json).unwrap();
        assert_eq!(status, decision.status, "the status does not survive the API server");
        if status.phase != self.phases.last().copied() {
            self.phases.extend(status.phase);
        }
        let had_run = self.observed.migration.status.as_ref().and_then(|status| status.run.clone());
        if status.run.is_none() || status.run.as_ref().map(|run| &run.job) != had_run.as_ref().map(|run| &run.job) {
            self.observed.job = if status.run.is_some() { JobState::Absent } else { JobState::None };
        }
        self.observed.migration.status = Some(status);
        for action in &decision.actions {
            match action {
                Action::AddFinalizer => self.finalizers().push(names::FINALIZER.to_owned()),
                Action::RemoveFinalizer => self.finalizers().retain(|name| name != names::FINALIZER),
                Action::CreateJob => {
                    let job = self.status().run.clone().expect("a run is in the status before its Job").job;
                    self.created.push(job);
                    self.observed.job = JobState::Active { ending: false, stuck: None };
                }
                Action::TuneBackfill => {
                    self.observed.backfill = crate::controller::jobs::backfill_text(&self.observed.migration);
                }
                Action::StopJob(_) => self.observed.job = JobState::Active { ending: true, stuck: None },
                Action::ExpireJob(job) => self.observed.leftover_jobs.retain(|left| left != job),
                Action::DeletePlan(plan) => self.observed.old_plans.retain(|old| old != plan),
            }
            self.done.push(action.clone());
        }
        // As observe does: the plan of the status is looked up once it is there, the made one while its Job has ended.
        let named = self.status().plan.as_ref().map(|plan| plan.name.clone());
        if let Some(made) = self.observed.made.take_if(|made| named.as_ref() == Some(&made.name)) {
            self.observed.plan = Some(made);
        }
        if self.status().run.is_some() {
            self.observed.made = None;
        }
    }

    pub fn finalizers(&mut self) -> &mut Vec<String> {
        self.observed.migration.metadata.finalizers.get_or_insert_default()
    }

    pub fn status(&self) -> &MigrationStatus {
        self.observed.migration.status.as_ref().expect("a status was written")
    }

    pub fn phase(&self) -> Phase {
        self.status().phase.expect("a phase")
    }

    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        find(&self.status().conditions, kind)
    }

    /// Reason and message of `Ready`.
    pub fn ready(&self) -> (&str, &str) {
        let ready = self.condition(ConditionType::Ready).expect("always there");
        (&ready.reason, &ready.message)
    }

    pub fn running(&self) -> Option<RunAction> {
        self.status().run.as_ref().map(|run| run.action)
    }

    pub fn digest(&self) -> String {
        self.status().plan.as_ref().expect("a plan").digest.clone()
    }

    /// The user edits the spec.
    pub fn edit(&mut self, change: impl FnOnce(&mut MigrationSpec)) -> &mut Self {
        change(&mut self.observed.migration.spec);
        *self.observed.migration.metadata.generation.as_mut().unwrap() += 1;
        if let Some(sql) = self.observed.migration.spec.source.sql.clone() {
            self.observed.source = known(&sql);
        }
        self.turn()
    }

    pub fn edit_sql(&mut self, sql: &str) -> &mut Self {
        self.edit(|spec| spec.source = Source { sql: Some(sql.to_owned()), ..Source::default() })
    }

    pub fn annotate(&mut self, name: &str, value: &str) -> &mut Self {
        let annotations = self.observed.migration.metadata.annotations.get_or_insert_with(BTreeMap::new);
        annotations.insert(name.to_owned(), value.to_owned());
        self.turn()
    }

    pub fn policy(&mut self, change: impl FnOnce(&mut crate::api::database::DatabasePolicy)) -> &mut Self {
        change(&mut self.observed.database.as_mut().unwrap().spec.policy);
        self.turn()
    }

    pub fn later(&mut self, seconds: i64) -> &mut Self {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        self.turn()
    }

    /// The Job of the present run ends.
    pub fn ends(&mut self, end: End) -> &mut Self {
        assert!(matches!(self.observed.job, JobState::Active { .. }), "no Job is active: {:?}", self.observed.job);
        self.observed.job = JobState::Ended(end);
        self.turn()
    }

    /// Ends with a report.
    pub fn reports(&mut self, exit_code: i32, reason: &str, change: impl FnOnce(&mut Report)) -> &mut Self {
        let action = self.running().expect("a run");
        let message = format!("the runner says {reason}");
        let mut report = Report { steps_total: 7, ..Report::new(action, exit_code, reason, message) };
        change(&mut report);
        self.ends(End { exit_code: Some(exit_code), report: Some(Box::new(report)), cause: None })
    }

    /// The deleted Job is gone, its pods with it.
    pub fn gone(&mut self) -> &mut Self {
        assert!(matches!(self.observed.job, JobState::Active { ending: true, .. }), "{:?}", self.observed.job);
        self.observed.job = JobState::Absent;
        self.turn()
    }

    pub fn plan_facts(&self, name: &str) -> PlanFacts {
        PlanFacts {
            name: name.to_owned(),
            migration_uid: "uid-1".to_owned(),
            digest: names::digest([name]),
            steps: 7,
            strongest_lock: Some(LockMode::ShareUpdateExclusive),
            needs_validation: true,
            validations: vec![(3, 60), (4, 60)],
            has_contract: true,
            rollback: RollbackClass::Lossless,
            rollback_reason: String::new(),
            target: DatabaseIdentity { server_version: 180_004, database: "shop".to_owned(), ..Default::default() },
            approval: None,
            steps_done: 0,
            running_stage: None,
        }
    }

    /// The planning Job ends well with a plan of that name.
    pub fn planned(&mut self, name: &str) -> &mut Self {
        let facts = self.plan_facts(name);
        self.planned_as(facts)
    }

    pub fn planned_as(&mut self, facts: PlanFacts) -> &mut Self {
        assert_eq!(self.running(), Some(RunAction::Plan));
        self.observed.plan = None;
        self.observed.made = Some(facts.clone());
        self.reports(0, "Done", |report| {
            report.plan = Some(facts.name);
            report.digest = Some(facts.digest);
        })
    }

    /// The executing Job ends at a gate, or at the end.
    pub fn executed(&mut self, steps_done: i32, next_stage: Option<Stage>) -> &mut Self {
        assert_eq!(self.running(), Some(RunAction::Execute));
        let reason = if next_stage.is_some() { "Paused" } else { "Done" };
        self.reports(0, reason, |report| {
            report.steps_done = steps_done;
            report.next_stage = next_stage;
            report.rollback = Some(lossless(steps_done));
        })
    }

    pub fn decided(&mut self, decision: Verdict) -> &mut Self {
        let approval =
            Approval { decision, by: Some("ada".to_owned()), at: Some(Time(self.now)), expires_at: None, note: None };
        self.observed.plan.as_mut().expect("a plan").approval = Some(approval);
        self.turn()
    }

    pub fn approval_required(&mut self) -> &mut Self {
        self.observed.migration.spec.approval = ApprovalRule::Required;
        self
    }

    pub fn window_ref(&mut self, name: &str) -> &mut Self {
        self.observed.migration.spec.validation.window_ref = Some(LocalRef { name: name.to_owned() });
        self
    }

    pub fn delete(&mut self) -> &mut Self {
        self.observed.migration.metadata.deletion_timestamp = Some(Time(self.now));
        self.turn()
    }
}

pub fn lossless(steps: i32) -> RollbackState {
    RollbackState { class: RollbackClass::Lossless, reason: String::new(), steps, ..RollbackState::default() }
}
