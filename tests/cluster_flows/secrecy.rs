//! No secret, SQL literal or row value where people and tools look: after every scene that is searched for, here for
//! many ways to fail.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use wesley::api::Phase;

use crate::cluster_support::scene::scene;

#[tokio::test]
async fn no_secret_literal_or_row_value_is_shown_anywhere() {
    scene("secrecy", async |scene| {
        scene.database.run("UPDATE orders SET remark = 'canary-row', number = 'canary-row'").await;
        let ways = [
            ("good", "ALTER TABLE orders ADD COLUMN a text DEFAULT 'canary-literal'", Phase::Succeeded),
            ("syntax", "ALTER TABLE orders ADD COLUMN b text DEFAULT 'canary-literal' 'canary-literal'", Phase::Failed),
            ("refused", "ALTER TABLE missing ADD COLUMN b text DEFAULT 'canary-literal'", Phase::Failed),
            ("violated", "ALTER TABLE orders ADD CONSTRAINT k UNIQUE (number)", Phase::Failed),
            ("check", "ALTER TABLE orders ADD CONSTRAINT c CHECK (remark <> 'canary-row')", Phase::Failed),
            ("cast", "ALTER TABLE orders ADD COLUMN n int; UPDATE orders SET n = remark::int", Phase::Failed),
            ("hazard", "DELETE FROM orders WHERE remark = 'canary-row'", Phase::Failed),
        ];
        for (name, sql, phase) in ways {
            scene.migrate(name, sql, "").await;
            scene.phase(name, phase).await;
        }
    })
    .await;
}

/// The account of the Jobs, which execute SQL of application teams.
#[tokio::test]
async fn a_runner_may_write_plans_and_nothing_else() {
    scene("runner-rights", async |scene| {
        scene.migrate("good", "ALTER TABLE orders ADD COLUMN a text", "").await;
        scene.phase("good", Phase::Succeeded).await;
        let reviews: Api<SubjectAccessReview> = Api::all(scene.kube.clone());
        let mut allowed = Vec::new();
        for resource in [
            "wesley.dev/migrationplans",
            "wesley.dev/migrationplans/status",
            "wesley.dev/migrations",
            "wesley.dev/migrations/status",
            "wesley.dev/databases",
            "wesley.dev/validationwindows",
            "batch/jobs",
            "rbac.authorization.k8s.io/rolebindings",
            "/pods",
            "/pods/exec",
            "/configmaps",
            "/secrets",
            "/serviceaccounts/token",
        ] {
            let parts: Vec<&str> = resource.split('/').collect();
            for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
                for namespace in [scene.namespace.as_str(), "kube-system"] {
                    let attributes = ResourceAttributes {
                        group: Some(parts[0].to_owned()),
                        resource: Some(parts[1].to_owned()),
                        subresource: parts.get(2).map(|part| (*part).to_owned()),
                        verb: Some(verb.to_owned()),
                        namespace: Some(namespace.to_owned()),
                        ..ResourceAttributes::default()
                    };
                    let spec = SubjectAccessReviewSpec {
                        resource_attributes: Some(attributes),
                        user: Some(format!("system:serviceaccount:{}:wesley-runner", scene.namespace)),
                        ..SubjectAccessReviewSpec::default()
                    };
                    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
                    let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
                    if answer.status.unwrap().allowed {
                        allowed
                            .push(format!("{verb} {resource} in {}", namespace.replace(&scene.namespace, "its own")));
                    }
                }
            }
        }
        assert_eq!(
            allowed,
            ["create wesley.dev/migrationplans in its own", "patch wesley.dev/migrationplans/status in its own"]
        );
    })
    .await;
}
