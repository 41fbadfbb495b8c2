//! No secret, SQL literal or row value where people and tools look: after every scene that is searched for, here for
//! many ways to fail.

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
