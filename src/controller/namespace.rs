//! The account of the Jobs in a namespace: it may create MigrationPlans and patch their status, nothing else.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::context::Context;
use super::error::{Result, bounded};
use super::names;

/// Makes the account, its Role and the binding what they should be. Nothing is written when they are.
///
/// # Errors
/// The API server's.
pub async fn ensure_account(context: &Context, namespace: &str) -> Result<()> {
    let params = PatchParams::apply(names::MANAGER).force();
    let client = context.client.clone();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let roles: Api<Role> = Api::namespaced(client.clone(), namespace);
    let bindings: Api<RoleBinding> = Api::namespaced(client, namespace);
    let name = names::RUNNER_ACCOUNT;
    bounded("apply the runner's account", accounts.patch(name, &params, &Patch::Apply(account()))).await?;
    bounded("apply the runner's role", roles.patch(name, &params, &Patch::Apply(role()))).await?;
    bounded("bind the runner's role", bindings.patch(name, &params, &Patch::Apply(binding(namespace)))).await?;
    Ok(())
}

fn metadata() -> Value {
    let mut labels = serde_json::Map::new();
    labels.insert(names::MANAGED_BY.to_owned(), names::MANAGER.into());
    json!({"name": names::RUNNER_ACCOUNT, "labels": labels})
}

fn account() -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(), "automountServiceAccountToken": false})
}

fn role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata(),
        "rules": [
            {"apiGroups": [crate::api::GROUP], "resources": ["migrationplans"], "verbs": ["create"]},
            {"apiGroups": [crate::api::GROUP], "resources": ["migrationplans/status"], "verbs": ["patch"]},
        ],
    })
}

fn binding(namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata(),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": names::RUNNER_ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": names::RUNNER_ACCOUNT, "namespace": namespace}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_can_do_two_things() {
        let rules = role()["rules"].clone();
        assert_eq!(
            rules,
            json!([
                {"apiGroups": ["wesley.dev"], "resources": ["migrationplans"], "verbs": ["create"]},
                {"apiGroups": ["wesley.dev"], "resources": ["migrationplans/status"], "verbs": ["patch"]},
            ])
        );
    }
}
