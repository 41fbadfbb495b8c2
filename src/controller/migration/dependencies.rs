//! `spec.dependsOn`: what has to succeed before a Migration is planned.

use std::collections::{BTreeMap, VecDeque};

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

/// Most Migrations that are gone through to find a circle. A longer way only leaves it unnamed: nothing of it runs.
const MOST: usize = 1_000;

/// Looks at what a Migration depends on; `get` finds a Migration of its namespace, `needs` the names that one depends on.
pub fn look(
    migration: &Migration,
    get: impl Fn(&str) -> Option<Migration>,
    needs: impl Fn(&str) -> Vec<String>,
) -> Dependencies {
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
        found.cycle = way_back(&name, names(migration), needs);
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

/// Names of `spec.dependsOn`.
pub fn names(migration: &Migration) -> Vec<String> {
    migration.spec.depends_on.iter().map(|reference| reference.name.clone()).collect()
}

/// Names on the shortest way back to `name` that begins with one of `first`.
fn way_back(name: &str, first: Vec<String>, needs: impl Fn(&str) -> Vec<String>) -> Option<Vec<String>> {
    // Each with the one that led there.
    let mut came: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut open: VecDeque<(String, Option<String>)> = first.into_iter().map(|next| (next, None)).collect();
    while let Some((here, from)) = open.pop_front() {
        if came.contains_key(&here) {
            continue;
        }
        came.insert(here.clone(), from);
        if here == name {
            let step = |at: &String| came.get(at).cloned().flatten();
            let mut way: Vec<String> = std::iter::successors(Some(here), step).collect();
            way.reverse();
            return Some(way);
        }
        if came.len() > MOST {
            return None;
        }
        open.extend(needs(&here).into_iter().map(|next| (next, Some(here.clone()))));
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
        let get = |name: &str| all.iter().find(|one| one.metadata.name.as_deref() == Some(name));
        look(&all[0], |name| get(name).cloned(), |name| get(name).map(names).unwrap_or_default())
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
    fn a_long_chain_is_gone_through_as_far_as_the_bound() {
        let next = |name: &str| vec![((name.parse::<usize>().unwrap() + 1) % 10_000).to_string()];
        assert_eq!(way_back("0", next("0"), next), None);
        let short = |name: &str| vec![((name.parse::<usize>().unwrap() + 1) % 900).to_string()];
        assert_eq!(way_back("0", short("0"), short).unwrap().len(), 900);
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
