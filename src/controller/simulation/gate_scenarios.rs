//! Stories of what a Migration has to pass: guards, freezes, checks.

use serde_json::{Value, json};

use super::people::{annotate, answer, done, edit, lag, orders, phase, quiet, quiet_and, reason, shop, succeeded};
use super::scenarios::{Act, Scenario};
use super::server::State;

/// All of them.
pub fn stories() -> Vec<Scenario> {
    let act = |when, what| Act { when, after: 0, what };
    let scenario = |name, objects, acts, end| Scenario { name, objects, acts, end, exact: true };
    let window = json!({"validation": {"windowRef": {"name": "quiet"}}});
    let guarded = json!({"guards": {"replicationLagSecondsMax": 10}});
    let checked = |when: &str, more: Value| {
        let mut spec = json!({"checks": [{"name": "calm", "when": when, "sql": "select true"}]});
        super::store::merge(&mut spec, &more);
        spec
    };
    let untrue: fn(&mut State) = |state| answer(state, "calm", false);
    let put_right: fn(&mut State) = |state| answer(state, "calm", true);
    vec![
        scenario(
            "a guard that is not met, then is",
            vec![
                shop(),
                quiet_and("20 * * * *", 1_800, "Finish", &guarded),
                orders("expand validate validate switch", &window),
            ],
            vec![
                act(|state| done(state) >= 1, |state| lag(state, 60)),
                Act { when: |state| reason(state, "orders") == "GuardNotMet", after: 30, what: |state| lag(state, 10) },
            ],
            succeeded,
        ),
        scenario(
            "a guard that is met in the next opening only",
            vec![
                shop(),
                quiet_and("20,40 * * * *", 120, "Cancel", &guarded),
                orders("expand validate validate validate switch", &window),
            ],
            vec![
                act(|state| done(state) >= 2, |state| lag(state, 60)),
                Act { when: |state| reason(state, "orders") == "GuardNotMet", after: 150, what: |state| lag(state, 0) },
            ],
            succeeded,
        ),
        scenario(
            "a validation that does not fit behind another",
            vec![
                shop(),
                quiet("*/10 * * * *", 60, "Finish"),
                orders("expand validate:30 validate:40 validate:90 switch", &window),
            ],
            vec![],
            succeeded,
        ),
        scenario(
            "a freeze that is in the calendar",
            vec![
                shop(),
                quiet_and(
                    "20 * * * *",
                    900,
                    "Finish",
                    &json!({"deny": [{"cron": "21 12 * * *", "durationSeconds": 3_600, "timeZone": "UTC"}]}),
                ),
                orders("expand validate:25 validate:25 validate:25 switch", &window),
            ],
            vec![],
            succeeded,
        ),
        scenario(
            "a freeze that somebody declares",
            vec![
                shop(),
                quiet("20 * * * *", 900, "Cancel"),
                orders(&format!("expand {}switch", "validate:60 ".repeat(6)), &window),
            ],
            vec![act(
                |state| done(state) >= 2,
                |state| {
                    let freeze = json!({"startTime": "2026-06-10T12:00:00Z", "endTime": "2026-06-10T13:30:00Z"});
                    edit(state, "validationwindows", "quiet", |window| window["spec"]["freezes"] = json!([freeze]));
                },
            )],
            succeeded,
        ),
        scenario(
            "a contract that becomes somebody's word while it runs",
            vec![shop(), orders("expand backfill expand switch contract", &json!({}))],
            vec![
                act(
                    |state| done(state) >= 1,
                    |state| {
                        edit(state, "migrations", "orders", |object| {
                            object["spec"]["contract"] = json!({"policy": "Manual"});
                        });
                    },
                ),
                // A run may have been faster than the word.
                act(
                    |state| phase(state, "orders") == "Observing" || succeeded(state),
                    |state| annotate(state, "wesley.dev/contract"),
                ),
            ],
            succeeded,
        ),
        scenario(
            "a check before that somebody puts right",
            vec![shop(), orders("expand switch contract", &checked("Before", json!({})))],
            vec![
                act(|_| true, untrue),
                Act { when: |state| reason(state, "orders") == "PreconditionFailed", after: 30, what: put_right },
            ],
            succeeded,
        ),
        scenario(
            "a check after that has it undone",
            vec![
                shop(),
                orders("expand switch contract", &checked("After", json!({"rollback": {"policy": "OnFailure"}}))),
            ],
            vec![act(|_| true, untrue)],
            |state| phase(state, "orders") == "RolledBack" && done(state) == 0,
        ),
        scenario(
            "a check after that somebody puts right",
            vec![shop(), orders("expand switch contract", &checked("After", json!({})))],
            vec![
                act(|_| true, untrue),
                Act { when: |state| reason(state, "orders") == "CheckFailed", after: 30, what: put_right },
                act(|state| reason(state, "orders") == "CheckFailed", |state| annotate(state, "wesley.dev/retry")),
            ],
            succeeded,
        ),
    ]
}
