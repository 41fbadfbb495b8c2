//! The objects of a simulated API server: versions, generations, finalizers, owners, and the log that watches read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::controller::clock::Clock;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Plural name of the kind.
    pub resource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// Why a request is refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
}

/// What watches see.
#[derive(Clone, Debug)]
pub struct Change {
    pub version: u64,
    pub resource: String,
    pub kind: &'static str,
    pub object: Value,
}

#[derive(Debug)]
pub struct Store {
    clock: Clock,
    objects: BTreeMap<Key, Value>,
    version: u64,
    uids: u64,
    /// Every change.
    pub log: Vec<Change>,
    /// Jobs that were created and that nobody has taken up.
    pub new_jobs: Vec<Key>,
}

pub fn key(resource: &str, namespace: &str, name: &str) -> Key {
    Key { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

fn kind_of(resource: &str) -> (&'static str, &'static str) {
    match resource {
        "migrations" => ("wesley.dev/v1alpha1", "Migration"),
        "databases" => ("wesley.dev/v1alpha1", "Database"),
        "migrationplans" => ("wesley.dev/v1alpha1", "MigrationPlan"),
        "validationwindows" => ("wesley.dev/v1alpha1", "ValidationWindow"),
        "jobs" => ("batch/v1", "Job"),
        "serviceaccounts" => ("v1", "ServiceAccount"),
        "roles" => ("rbac.authorization.k8s.io/v1", "Role"),
        "rolebindings" => ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        "configmaps" => ("v1", "ConfigMap"),
        "pods" => ("v1", "Pod"),
        other => panic!("the simulated API server does not know {other}"),
    }
}

impl Store {
    pub fn new(clock: Clock) -> Self {
        Self { clock, objects: BTreeMap::new(), version: 1, uids: 0, log: Vec::new(), new_jobs: Vec::new() }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// Objects of a kind, those with a label only if one is given.
    pub fn list(&self, resource: &str, label: Option<(&str, &str)>) -> Vec<&Value> {
        let of_kind = self.objects.iter().filter(|(key, _)| key.resource == resource).map(|(_, object)| object);
        of_kind.filter(|object| label.is_none_or(|label| has_label(object, label))).collect()
    }

    pub fn list_kind(resource: &str) -> (&'static str, String) {
        let (version, kind) = kind_of(resource);
        (version, format!("{kind}List"))
    }

    pub fn create(&mut self, key: &Key, mut object: Value) -> Result<Value, Refusal> {
        if self.objects.contains_key(key) {
            let message = format!("{} {} already exists", key.resource, key.name);
            return Err(Refusal { code: 409, reason: "AlreadyExists", message });
        }
        self.uids += 1;
        let (version, kind) = kind_of(&key.resource);
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        let meta = &mut object["metadata"];
        meta["name"] = key.name.clone().into();
        meta["namespace"] = key.namespace.clone().into();
        meta["uid"] = format!("uid-{}", self.uids).into();
        meta["generation"] = 1.into();
        meta["creationTimestamp"] = self.now();
        if key.resource == "jobs" {
            self.new_jobs.push(key.clone());
        }
        Ok(self.commit(key, object, "ADDED"))
    }

    fn now(&self) -> Value {
        let now = crate::controller::conditions::whole_seconds(self.clock.now());
        now.to_string().into()
    }

    fn commit(&mut self, key: &Key, mut object: Value, kind: &'static str) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if kind == "DELETED" {
            self.objects.remove(key);
        } else {
            self.objects.insert(key.clone(), object.clone());
        }
        let change = Change { version: self.version, resource: key.resource.clone(), kind, object: object.clone() };
        self.log.push(change);
        object
    }

    /// Changes an object; what stays the same is not written. `expected` is the version that it must have.
    pub fn update(
        &mut self,
        key: &Key,
        expected: Option<&str>,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, Refusal> {
        let Some(before) = self.objects.get(key).cloned() else {
            let message = format!("{} {} not found", key.resource, key.name);
            return Err(Refusal { code: 404, reason: "NotFound", message });
        };
        if expected.is_some_and(|expected| before["metadata"]["resourceVersion"] != expected) {
            let message = "the object has been modified; please apply your changes to the latest version".to_owned();
            return Err(Refusal { code: 409, reason: "Conflict", message });
        }
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(before);
        }
        let immutable = key.resource == "migrationplans" && after["spec"] != before["spec"];
        assert!(!immutable, "the spec of a MigrationPlan was changed");
        if after["spec"] != before["spec"] {
            after["metadata"]["generation"] = (before["metadata"]["generation"].as_i64().unwrap() + 1).into();
        }
        let going = !after["metadata"]["deletionTimestamp"].is_null();
        if going && finalizers(&after).is_empty() {
            return Ok(self.remove(key));
        }
        Ok(self.commit(key, after, "MODIFIED"))
    }

    /// Asks for the deletion of an object: at once, or when its finalizers are gone.
    pub fn delete(&mut self, key: &Key, foreground: bool) -> Result<Value, Refusal> {
        let now = self.now();
        let held = self.get(key).is_some_and(|object| !finalizers(object).is_empty());
        if !held && !foreground && self.get(key).is_some() {
            return Ok(self.remove(key));
        }
        self.update(key, None, |object| {
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = now;
                object["metadata"]["generation"] = (object["metadata"]["generation"].as_i64().unwrap() + 1).into();
            }
            if foreground && !finalizers(object).contains(&"foregroundDeletion") {
                let mut all: Vec<Value> = finalizers(object).into_iter().map(Value::from).collect();
                all.push("foregroundDeletion".into());
                object["metadata"]["finalizers"] = all.into();
            }
        })
    }

    /// Whether an object's owner exists, or it has none.
    pub fn is_owned(&self, object: &Value) -> bool {
        let owners = object["metadata"]["ownerReferences"].as_array();
        owners.is_none_or(|owners| {
            owners.iter().any(|owner| self.objects.values().any(|other| other["metadata"]["uid"] == owner["uid"]))
        })
    }

    /// Removes an object, and then what it owns.
    pub fn remove(&mut self, key: &Key) -> Value {
        let Some(object) = self.objects.get(key).cloned() else { return Value::Null };
        let removed = self.commit(key, object, "DELETED");
        let uid = removed["metadata"]["uid"].clone();
        let owned: Vec<Key> = self
            .objects
            .iter()
            .filter(|(_, object)| {
                let owners = object["metadata"]["ownerReferences"].as_array();
                owners.into_iter().flatten().any(|owner| owner["uid"] == uid)
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in owned {
            // A pod goes when its process has ended.
            let _ = self.delete(&key, key.resource == "pods");
        }
        removed
    }
}

pub fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

pub fn has_label(object: &Value, (name, value): (&str, &str)) -> bool {
    object["metadata"]["labels"][name] == json!(value)
}

/// RFC 7386.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}
