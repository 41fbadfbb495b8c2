//! What people do, and what they expect in the end.

use std::time::Duration;

use serde_json::{Value, json};

use super::people::{
    annotate, approve, approve_until, at, circuit, database, digest, done, down, edit, gone, lock, migration, orders,
    phase, quiet, reason, sampling, shop, succeeded, suspend, with_canary,
};
use super::server::{Command, State};

/// Something that somebody does when the time has come.
pub struct Act {
    pub when: fn(&State) -> bool,
    /// Seconds between then and now.
    pub after: u64,
    pub what: fn(&mut State),
}

/// A story with one end.
pub struct Scenario {
    pub name: &'static str,
    /// What is there at the beginning: kind, name, spec.
    pub objects: Vec<(&'static str, &'static str, Value)>,
    pub acts: Vec<Act>,
    /// What there must be in the end.
    pub end: fn(&State) -> bool,
    /// Whether the same steps are done in every run: not where somebody stops it in the middle for good.
    pub exact: bool,
}

/// All of them. A new one comes last: the sample of faults goes by the place in the list.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = stories();
    all.extend(super::gate_scenarios::stories());
    all
}

#[allow(clippy::too_many_lines)]
fn stories() -> Vec<Scenario> {
    let act = |when, what| Act { when, after: 0, what };
    let scenario = |name, objects, acts, end| Scenario { name, objects, acts, end, exact: true };
    let everything = "expand backfill validate switch contract";
    let observed = json!({"observation": {"seconds": 300}});
    let window = json!({"validation": {"windowRef": {"name": "quiet"}}});
    vec![
        scenario("plan and execute", vec![shop(), orders(everything, &json!({}))], vec![], succeeded),
        scenario(
            "approval",
            vec![shop(), orders("expand switch", &json!({"approval": "Required"}))],
            vec![act(|state| phase(state, "orders") == "AwaitingApproval", approve)],
            succeeded,
        ),
        scenario(
            "a new source before the approval",
            vec![shop(), orders("expand", &json!({"approval": "Required"}))],
            vec![
                act(
                    |state| phase(state, "orders") == "AwaitingApproval",
                    |state| {
                        edit(state, "migrations", "orders", |object| {
                            object["spec"]["source"]["sql"] = "expand switch".into()
                        })
                    },
                ),
                act(
                    |state| {
                        let plan = state.store.get(&at("migrations", "orders")).unwrap()["status"]["plan"].clone();
                        phase(state, "orders") == "AwaitingApproval" && plan["steps"] == 2
                    },
                    approve,
                ),
            ],
            succeeded,
        ),
        scenario(
            "validation in its window",
            vec![shop(), quiet("20 * * * *", 600, "Finish"), orders("expand validate switch", &window)],
            vec![],
            succeeded,
        ),
        scenario(
            "a window that closes too early",
            vec![
                shop(),
                quiet("*/10 * * * *", 60, "Cancel"),
                orders(&format!("expand {}switch", "validate ".repeat(24)), &window),
            ],
            vec![],
            succeeded,
        ),
        scenario(
            "a window that is missed",
            vec![shop(), quiet("20 * * * *", 600, "Finish"), orders("expand validate switch", &window)],
            vec![act(
                |state| phase(state, "orders") == "AwaitingWindow",
                |state| state.commands.send(Command::Down(Duration::from_secs(3_600))).unwrap(),
            )],
            succeeded,
        ),
        scenario(
            "let in by hand",
            vec![shop(), quiet("0 2 1 1 *", 600, "Cancel"), orders("expand validate validate switch", &window)],
            vec![act(
                |state| phase(state, "orders") == "AwaitingWindow",
                |state| {
                    let entry =
                        json!({"migration": "orders", "plan": digest(state, "orders"), "by": "ada", "note": "now"});
                    edit(state, "validationwindows", "quiet", |window| window["spec"]["overrides"] = json!([entry]));
                },
            )],
            succeeded,
        ),
        scenario(
            "rollback of what was done",
            vec![shop(), orders("expand backfill switch", &json!({}))],
            vec![act(succeeded, |state| annotate(state, "wesley.dev/rollback"))],
            |state| phase(state, "orders") == "RolledBack",
        ),
        scenario(
            "rollback by the policy",
            vec![shop(), orders("expand backfill switch fail:2", &json!({"rollback": {"policy": "OnFailure"}}))],
            vec![],
            |state| phase(state, "orders") == "RolledBack",
        ),
        Scenario {
            exact: false,
            ..scenario(
                "deletion in the middle",
                vec![shop(), orders("expand backfill backfill switch", &json!({}))],
                vec![act(
                    |state| done(state) == 1,
                    |state| drop(state.store.delete(&at("migrations", "orders"), false)),
                )],
                |state| gone(state, "orders"),
            )
        },
        scenario(
            "deletion with rollback",
            vec![shop(), orders("expand backfill switch", &json!({"deletionPolicy": "Rollback"}))],
            vec![act(succeeded, |state| drop(state.store.delete(&at("migrations", "orders"), false)))],
            |state| gone(state, "orders") && done(state) == 0,
        ),
        scenario(
            "a new source in the middle",
            vec![shop(), orders("expand backfill backfill switch", &json!({}))],
            vec![
                act(
                    |state| done(state) == 1,
                    |state| {
                        edit(state, "migrations", "orders", |object| object["spec"]["source"]["sql"] = "expand".into())
                    },
                ),
                act(
                    |state| reason(state, "orders") == "SourceChanged",
                    |state| {
                        let sql = with_canary("expand backfill backfill switch");
                        edit(state, "migrations", "orders", |object| object["spec"]["source"]["sql"] = sql.into());
                    },
                ),
            ],
            succeeded,
        ),
        scenario(
            "suspended and resumed",
            vec![shop(), orders("expand backfill backfill switch", &json!({}))],
            vec![
                act(
                    |state| done(state) == 1,
                    |state| edit(state, "migrations", "orders", |object| object["spec"]["suspend"] = true.into()),
                ),
                Act {
                    when: |state| matches!(phase(state, "orders").as_str(), "Suspended" | "Succeeded"),
                    after: 60,
                    what: |state| {
                        edit(state, "migrations", "orders", |object| object["spec"]["suspend"] = false.into())
                    },
                },
            ],
            succeeded,
        ),
        scenario(
            "two on one database",
            vec![
                shop(),
                orders("expand backfill switch", &json!({})),
                ("migrations", "parts", migration("expand switch", &json!({}))),
            ],
            vec![],
            |state| succeeded(state) && phase(state, "parts") == "Succeeded",
        ),
        scenario(
            "one after another",
            vec![
                shop(),
                ("databases", "store", database()),
                ("migrations", "parts", {
                    let mut other = migration("expand switch", &json!({"dependsOn": [{"name": "orders"}]}));
                    other["databaseRef"]["name"] = "store".into();
                    other
                }),
                orders("expand", &json!({})),
            ],
            vec![],
            |state| succeeded(state) && phase(state, "parts") == "Succeeded",
        ),
        scenario(
            "a circle that somebody breaks",
            vec![
                shop(),
                ("migrations", "parts", migration("expand", &json!({"dependsOn": [{"name": "orders"}]}))),
                orders("expand switch", &json!({"dependsOn": [{"name": "parts"}]})),
            ],
            vec![act(
                |state| reason(state, "orders") == "DependencyCycle" && reason(state, "parts") == "DependencyCycle",
                |state| edit(state, "migrations", "orders", |object| object["spec"]["dependsOn"] = json!([])),
            )],
            |state| succeeded(state) && phase(state, "parts") == "Succeeded",
        ),
        scenario(
            "two in one window",
            vec![
                shop(),
                ("databases", "store", database()),
                quiet("20 * * * *", 900, "Finish"),
                orders("expand validate switch", &window),
                ("migrations", "parts", {
                    let mut other = migration("expand validate", &window);
                    other["databaseRef"]["name"] = "store".into();
                    other
                }),
            ],
            vec![],
            |state| succeeded(state) && phase(state, "parts") == "Succeeded",
        ),
        scenario(
            "contract after a soak",
            vec![
                shop(),
                orders("expand switch contract", &json!({"contract": {"policy": "AfterSoak", "soakSeconds": 300}})),
            ],
            vec![],
            succeeded,
        ),
        scenario(
            "contract on somebody's word",
            vec![shop(), orders("expand switch contract", &json!({"contract": {"policy": "Manual"}}))],
            vec![act(|state| phase(state, "orders") == "Observing", |state| annotate(state, "wesley.dev/contract"))],
            succeeded,
        ),
        scenario(
            "observed, and nothing is slower",
            vec![shop(), orders("expand switch contract", &observed)],
            vec![],
            succeeded,
        ),
        scenario(
            "slower, and somebody overrides it",
            vec![shop(), orders("expand switch slow contract", &observed)],
            vec![act(
                |state| reason(state, "orders") == "RegressionFound",
                |state| {
                    let entry = json!({"plan": digest(state, "orders"), "by": "ada", "note": "known"});
                    edit(state, "migrations", "orders", |object| object["spec"]["observation"]["override"] = entry);
                },
            )],
            succeeded,
        ),
        scenario(
            "slower, and undone",
            vec![shop(), orders("expand switch slow", &observed)],
            vec![act(
                |state| reason(state, "orders") == "RegressionFound",
                |state| annotate(state, "wesley.dev/rollback"),
            )],
            |state| phase(state, "orders") == "RolledBack",
        ),
        scenario(
            "suspended while it is observed",
            vec![shop(), orders("expand switch contract", &observed)],
            vec![
                act(|state| phase(state, "orders") == "Observing", |state| suspend(state, true)),
                Act {
                    when: |state| phase(state, "orders") == "Suspended",
                    after: 400,
                    what: |state| suspend(state, false),
                },
            ],
            succeeded,
        ),
        scenario(
            "suspended while it waits for its window",
            vec![shop(), quiet("20 * * * *", 600, "Cancel"), orders("expand validate switch", &window)],
            vec![
                act(|state| phase(state, "orders") == "AwaitingWindow", |state| suspend(state, true)),
                Act {
                    when: |state| phase(state, "orders") == "Suspended",
                    after: 1_500,
                    what: |state| suspend(state, false),
                },
            ],
            succeeded,
        ),
        scenario(
            "suspended while it waits for the approval",
            vec![shop(), orders("expand switch", &json!({"approval": "Required"}))],
            vec![
                act(|state| phase(state, "orders") == "AwaitingApproval", |state| suspend(state, true)),
                act(|state| phase(state, "orders") == "Suspended", approve),
                Act {
                    when: |state| phase(state, "orders") == "Suspended",
                    after: 60,
                    what: |state| suspend(state, false),
                },
            ],
            succeeded,
        ),
        scenario(
            "suspended while it is undone",
            vec![shop(), orders("expand backfill backfill switch", &json!({}))],
            vec![
                act(succeeded, |state| annotate(state, "wesley.dev/rollback")),
                act(|state| phase(state, "orders") == "RollingBack", |state| suspend(state, true)),
                Act {
                    when: |state| matches!(phase(state, "orders").as_str(), "Suspended" | "RolledBack"),
                    after: 60,
                    what: |state| suspend(state, false),
                },
            ],
            |state| phase(state, "orders") == "RolledBack",
        ),
        scenario(
            "an approval that expires and is given again",
            vec![shop(), orders("expand switch", &json!({"approval": "Required"}))],
            vec![
                act(
                    |state| phase(state, "orders") == "AwaitingApproval",
                    |state| approve_until(state, Some("2026-06-10T11:00:00Z")),
                ),
                act(|state| reason(state, "orders") == "ApprovalExpired", |state| approve_until(state, None)),
            ],
            succeeded,
        ),
        scenario(
            "a new source while it waits for its window",
            vec![shop(), quiet("20 * * * *", 600, "Finish"), orders("expand validate switch", &window)],
            vec![
                act(
                    |state| phase(state, "orders") == "AwaitingWindow",
                    |state| {
                        edit(state, "migrations", "orders", |object| object["spec"]["source"]["sql"] = "expand".into())
                    },
                ),
                act(
                    |state| reason(state, "orders") == "SourceChanged",
                    |state| {
                        let sql = with_canary("expand validate switch");
                        edit(state, "migrations", "orders", |object| object["spec"]["source"]["sql"] = sql.into());
                    },
                ),
            ],
            succeeded,
        ),
        scenario(
            "a new source after the end, and back",
            vec![shop(), orders("expand switch", &json!({}))],
            vec![
                act(succeeded, |state| {
                    edit(state, "migrations", "orders", |object| object["spec"]["source"]["sql"] = "expand".into())
                }),
                act(
                    |state| reason(state, "orders") == "SourceChanged",
                    |state| {
                        let sql = with_canary("expand switch");
                        edit(state, "migrations", "orders", |object| object["spec"]["source"]["sql"] = sql.into());
                    },
                ),
            ],
            succeeded,
        ),
        scenario(
            "a password that is changed on one side first",
            vec![
                shop(),
                orders("expand switch contract", &json!({"contract": {"policy": "AfterSoak", "soakSeconds": 60}})),
            ],
            vec![
                act(|state| phase(state, "orders") == "Observing", |state| lock(state, true)),
                Act {
                    when: |state| reason(state, "orders") == "AuthenticationFailed",
                    after: 60,
                    what: |state| lock(state, false),
                },
            ],
            succeeded,
        ),
        scenario(
            "a database that is down for long",
            vec![
                shop(),
                orders("expand backfill backfill switch", &json!({})),
                ("migrations", "parts", migration("expand switch", &json!({}))),
                ("migrations", "stock", migration("expand switch", &json!({}))),
            ],
            vec![
                act(|state| done(state) == 1, |state| down(state, true)),
                Act {
                    when: |state| !circuit(state)["nextTryTime"].is_null(),
                    after: 300,
                    what: |state| down(state, false),
                },
            ],
            |state| {
                // Each of the three alone would have tried once a minute. Seven without a fault; one that is late by a minute
                // keeps the circuit shut for that long.
                let tries = state.ledgers["shop"].unanswered;
                let all = ["orders", "parts", "stock"].iter().all(|name| phase(state, name) == "Succeeded");
                all && circuit(state).is_null() && tries < 20
            },
        ),
        scenario(
            "a database that is sampled",
            vec![
                ("databases", "shop", {
                    let mut sampled = database();
                    sampled["inspection"] = json!({"intervalSeconds": 300});
                    sampled
                }),
                orders("expand backfill switch", &json!({})),
            ],
            vec![act(
                |state| sampling(state)["number"].as_i64() >= Some(2) && sampling(state)["job"].is_null(),
                |state| edit(state, "databases", "shop", |object| object["spec"]["inspection"] = json!({})),
            )],
            |state| {
                let measured = state.store.get(&at("databases", "shop")).unwrap()["status"]["activity"].clone();
                succeeded(state) && sampling(state)["job"].is_null() && measured["hoursMeasured"].as_i64() > Some(0)
            },
        ),
        scenario(
            "what it needs comes late",
            vec![(
                "migrations",
                "orders",
                json!({"databaseRef": {"name": "shop"}, "source": {"configMapRefs": [{"name": "sql", "key": "a.sql"}]}}),
            )],
            vec![
                act(
                    |state| reason(state, "orders") == "DatabaseMissing",
                    |state| drop(state.store.create(&at("databases", "shop"), json!({"spec": database()}))),
                ),
                act(
                    |state| reason(state, "orders") == "ConfigMapMissing",
                    |state| {
                        let map = json!({"data": {"a.sql": "expand switch"}});
                        drop(state.store.create(&at("configmaps", "sql"), map));
                    },
                ),
            ],
            succeeded,
        ),
    ]
}

/// Many Migrations on several databases, all made at the same moment.
pub fn crowd(databases: usize, each: usize) -> Scenario {
    let leak = |name: String| -> &'static str { Box::leak(name.into_boxed_str()) };
    let mut objects = Vec::new();
    for number in 0..databases {
        let name = leak(format!("shop-{number}"));
        objects.push(("databases", name, database()));
        for other in 0..each {
            let mut spec = migration("expand switch", &json!({}));
            spec["databaseRef"]["name"] = name.into();
            objects.push(("migrations", leak(format!("orders-{number}-{other}")), spec));
        }
    }
    let end = |state: &State| {
        let all = state.store.list("migrations", None);
        all.iter().all(|object| object["status"]["phase"] == "Succeeded")
    };
    Scenario { name: "many at once", objects, acts: Vec::new(), end, exact: true }
}
