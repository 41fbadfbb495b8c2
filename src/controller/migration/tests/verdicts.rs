//! What Helm, Flux (kstatus) and Argo CD make of every phase.

use super::world::{World, lossless};
use crate::api::{ConditionStatus, ConditionType, MigrationStatus, Phase};
use crate::controller::conditions::{find, is_true};
use crate::controller::migration::observed::{Window, WindowState};
use crate::controller::phase::phase;
use crate::controller::windows::Opening;
use crate::plan::Stage;

/// The rules of `sigs.k8s.io/cli-utils/pkg/kstatus/status/generic.go`.
fn kstatus(generation: i64, status: &MigrationStatus) -> &'static str {
    if status.observed_generation != Some(generation) {
        return "InProgress";
    }
    if is_true(&status.conditions, ConditionType::Reconciling) {
        return "InProgress";
    }
    if is_true(&status.conditions, ConditionType::Stalled) {
        return "Failed";
    }
    match find(&status.conditions, ConditionType::Ready).map(|condition| condition.status) {
        Some(ConditionStatus::True) | None => "Current",
        Some(_) => "InProgress",
    }
}

fn reached(phase: Phase) -> World {
    let mut world = World::new();
    match phase {
        Phase::Pending => unreachable!("nobody sees it: the first decision leaves it"),
        Phase::Blocked => {
            world.observed.database = None;
            world.turn();
        }
        Phase::Planning => {
            world.turn();
        }
        Phase::AwaitingApproval => {
            world.approval_required().turn().planned("a");
        }
        Phase::Executing => {
            world.turn().planned("a");
        }
        Phase::AwaitingWindow | Phase::Validating => {
            let window = |opening| {
                let name = "quiet".to_owned();
                WindowState::Known(Window {
                    name,
                    opening,
                    overrun: Default::default(),
                    longest_seconds: 10_800,
                    overrides: Vec::new(),
                    guards: None,
                    places: 1,
                    has_place: true,
                })
            };
            world.observed.window = window(Opening::Shut { opens_at: None, denied: false });
            world.turn().planned("a").executed(3, Some(Stage::Validate));
            if phase == Phase::Validating {
                world.observed.window = window(Opening::Open { closes_at: None });
                world.turn();
            }
        }
        Phase::Observing | Phase::Contracting => {
            world.observed.migration.spec.contract.policy = crate::api::migration::ContractPolicy::Manual;
            world.turn().planned("a").executed(6, Some(Stage::Contract));
            if phase == Phase::Contracting {
                let digest = world.digest();
                world.edit(|spec| spec.contract.confirmed_plan = Some(digest));
            }
        }
        Phase::Succeeded => {
            world.turn().planned("a").executed(7, None);
        }
        Phase::Failed => {
            world.turn().reports(10, "SyntaxError", |_| {});
        }
        Phase::RollingBack | Phase::RolledBack => {
            world.turn().planned("a").executed(7, None);
            let digest = world.digest();
            world.annotate(crate::api::ROLLBACK_ANNOTATION, &digest);
            if phase == Phase::RolledBack {
                world.reports(0, "RolledBack", |report| report.rollback = Some(lossless(0)));
            }
        }
        Phase::Suspended => {
            world.observed.migration.spec.suspend = true;
            world.turn();
        }
    }
    world
}

#[test]
fn every_phase_has_its_verdict() {
    let expected = [
        (Phase::Blocked, "InProgress"),
        (Phase::Planning, "InProgress"),
        (Phase::AwaitingApproval, "InProgress"),
        (Phase::Executing, "InProgress"),
        (Phase::AwaitingWindow, "InProgress"),
        (Phase::Validating, "InProgress"),
        (Phase::Observing, "InProgress"),
        (Phase::Contracting, "InProgress"),
        (Phase::Succeeded, "Current"),
        (Phase::Failed, "Failed"),
        (Phase::RollingBack, "InProgress"),
        (Phase::RolledBack, "Current"),
        (Phase::Suspended, "InProgress"),
    ];
    for (wanted, verdict) in expected {
        let world = reached(wanted);
        let generation = world.observed.migration.metadata.generation.unwrap();
        assert_eq!(world.phase(), wanted, "{:#?}", world.status());
        assert_eq!(kstatus(generation, world.status()), verdict, "{wanted}");
        assert_eq!(phase(&world.status().conditions), wanted);
        let both = is_true(&world.status().conditions, ConditionType::Reconciling)
            && is_true(&world.status().conditions, ConditionType::Stalled);
        assert!(!both, "{wanted}: Reconciling and Stalled contradict each other");
        for condition in &world.status().conditions {
            assert_eq!(condition.observed_generation, generation, "{wanted}: {}", condition.kind);
        }
        let size = serde_json::to_vec(world.status()).unwrap().len();
        assert!(size < 8_192, "{wanted}: a status of {size} bytes");
    }
}

#[test]
fn a_migration_nobody_looked_at_is_pending() {
    assert_eq!(phase(&[]), Phase::Pending);
}
