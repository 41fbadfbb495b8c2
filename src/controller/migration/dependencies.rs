//! `spec.dependsOn`: what has to succeed before a Migration is planned.

use std::collections::BTreeSet;

use crate::api::migration_status::Phase;
use crate::api::{ConditionType, Migration, Reason};
use crate::controller::conditions::{find, is_true};

use super::decide::{Draft, Situation};
use super::next::LOOK_AGAIN;

/// What was found of `spec.dependsOn`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// Those that do not exist.
    pub missing: Vec<String>,
    /// Those that have not succeeded, with their phase.
    pub unfinished: Vec<(String, Phase)>,
    /// The way from this Migration back to itself.
    pub cycle: Option<Vec<String>>,
}

/// Looks at what a Migration depends on; `get` finds a Migration of its namespace.
pub fn look(migration: &Migration, get: impl Fn(&str) -> Option<Migration>) -> Dependencies {
    let mut found = Dependencies::default();
    for reference in &migration.spec.depends_on {
        match get(&reference.name) {
            None => found.missing.push(reference.name.clone()),
            Some(other) if has_succeeded(&other) => {}
            Some(other) => {
                let phase = other.status.and_then(|status| status.phase).unwrap_or(Phase::Pending);
                found.unfinished.push((reference.name.clone(), phase));
            }
        }
    }
    let name = migration.metadata.name.clone().unwrap_or_default();
    if !found.unfinished.is_empty() {
        found.cycle = way_back(&name, migration, &get, &mut BTreeSet::new());
    }
    found
}

fn has_succeeded(migration: &Migration) -> bool {
    migration.status.as_ref().is_some_and(|status| {
        status.observed_generation == migration.metadata.generation
            && is_true(&status.conditions, ConditionType::Ready)
            && find(&status.conditions, ConditionType::Ready)
                .is_some_and(|ready| ready.reason == Reason::Succeeded.word())
    })
}

/// Names on the way from `at` to `name`, without `at` itself.
fn way_back(
    name: &str,
    at: &Migration,
    get: &impl Fn(&str) -> Option<Migration>,
    seen: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    for reference in &at.spec.depends_on {
        if reference.name == name {
            return Some(vec![name.to_owned()]);
        }
        if !seen.insert(reference.name.clone()) {
            continue;
        }
        let Some(next) = get(&reference.name) else { continue };
        if let Some(mut rest) = way_back(name, &next, get, seen) {
            rest.insert(0, reference.name.clone());
            return Some(rest);
        }
    }
    None
}

/// Why the Migration has to wait, if so.
pub fn waiting(draft: &Draft<'_>) -> Option<Situation> {
    let found = &draft.observed.dependencies;
    if let Some(cycle) = &found.cycle {
        let name = draft.observed.migration.metadata.name.as_deref().unwrap_or_default();
        let way = cycle.join(", which depends on ");
        let message = format!("spec.dependsOn goes round in a circle: {name} depends on {way}. Take one of these out");
        return Some(Situation::stalled(Reason::DependencyCycle, message).until(draft.after(LOOK_AGAIN * 12)));
    }
    if let Some(missing) = found.missing.first() {
        let message = format!(
            "the Migration {missing} of spec.dependsOn does not exist in this namespace: create it, or take it out"
        );
        return Some(Situation::blocked(Reason::DependencyMissing, message));
    }
    let (name, phase) = found.unfinished.first()?;
    let others = match found.unfinished.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let message = format!("waits until the Migration {name}{others} of spec.dependsOn has succeeded; it is {phase}");
    Some(Situation::blocked(Reason::DependencyUnfinished, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reference::LocalRef;
    use crate::controller::migration::tests::world::World;

    fn named(name: &str, needs: &[&str]) -> Migration {
        let mut migration = World::new().observed.migration;
        migration.metadata.name = Some(name.to_owned());
        migration.spec.depends_on = needs.iter().map(|name| LocalRef { name: (*name).to_owned() }).collect();
        migration
    }

    fn succeeded(name: &str) -> Migration {
        let mut world = World::new();
        world.turn().planned("a").executed(7, None);
        let mut migration = world.observed.migration;
        migration.metadata.name = Some(name.to_owned());
        migration
    }

    fn seen(all: &[Migration]) -> Dependencies {
        look(&all[0], |name| all.iter().find(|one| one.metadata.name.as_deref() == Some(name)).cloned())
    }

    #[test]
    fn each_dependency_is_looked_at() {
        let found = seen(&[named("a", &["b", "c", "d"]), succeeded("b"), named("c", &[])]);
        assert_eq!(found.missing, ["d"]);
        assert_eq!(found.unfinished, [("c".to_owned(), Phase::Pending)]);
        assert_eq!(found.cycle, None);
    }

    #[test]
    fn a_success_of_another_generation_does_not_count() {
        let mut edited = succeeded("b");
        edited.metadata.generation = Some(9);
        assert_eq!(seen(&[named("a", &["b"]), edited]).unfinished.len(), 1);
    }

    #[test]
    fn circles_are_found_and_named() {
        let all = [named("a", &["x", "b"]), named("x", &[]), named("b", &["c"]), named("c", &["x", "a"])];
        assert_eq!(seen(&all).cycle.unwrap(), ["b", "c", "a"]);
        assert_eq!(seen(&[named("a", &["a"])]).cycle.unwrap(), ["a"]);
        // A circle that does not lead back here is the others' affair.
        assert_eq!(seen(&[named("a", &["b"]), named("b", &["c"]), named("c", &["b"])]).cycle, None);
    }

    #[test]
    fn it_is_not_planned_before() {
        let mut world = World::new();
        world.observed.dependencies.missing = vec!["base".to_owned()];
        world.turn();
        assert_eq!((world.phase(), world.ready().0), (Phase::Blocked, "DependencyMissing"));
        world.observed.dependencies = Dependencies {
            unfinished: vec![("base".to_owned(), Phase::Executing), ("more".to_owned(), Phase::Failed)],
            ..Dependencies::default()
        };
        world.turn();
        assert_eq!((world.phase(), world.ready().0), (Phase::Blocked, "DependencyUnfinished"));
        assert!(world.ready().1.contains("base and 1 more") && world.ready().1.contains("Executing"));
        world.observed.dependencies.cycle = Some(vec!["base".to_owned(), "orders".to_owned()]);
        world.turn();
        assert_eq!((world.phase(), world.ready().0), (Phase::Failed, "DependencyCycle"));
        assert!(world.ready().1.contains("orders depends on base, which depends on orders"), "{}", world.ready().1);
        assert!(world.created.is_empty());
        world.observed.dependencies = Dependencies::default();
        world.turn();
        assert_eq!(world.phase(), Phase::Planning);
    }
}
