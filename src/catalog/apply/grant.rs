//! `GRANT`, `REVOKE`, `ALTER DEFAULT PRIVILEGES`.

use pg_query::protobuf::{AccessPriv, AlterDefaultPrivilegesStmt, GrantStmt, GrantTargetType, Node, ObjectType, node};

use super::edit::{Edit, Outcome, fail};
use super::names;
use super::privileges::{Privileges, letter, letters, quoted};
use crate::catalog::expression::strings;
use crate::catalog::{DefaultPrivileges, Name, RelationKind};

/// What is granted or revoked, and to whom.
struct Change {
    grant: bool,
    /// Named privileges; none for ALL.
    named: Vec<AccessPriv>,
    grantees: Vec<String>,
    option: bool,
    grantor: Option<String>,
}

impl Change {
    fn of(edit: &Edit<'_>, statement: &GrantStmt) -> Self {
        let named = statement.privileges.iter().filter_map(|node| match &node.node {
            Some(node::Node::AccessPriv(privilege)) => Some(privilege.clone()),
            _ => None,
        });
        let grantees = statement.grantees.iter().filter_map(|node| match &node.node {
            Some(node::Node::RoleSpec(role)) => Some(names::role(edit, role)),
            _ => None,
        });
        Change {
            grant: statement.is_grant,
            named: named.collect(),
            // PUBLIC is the empty name in a list of privileges.
            grantees: grantees.map(|role| if role == "public" { String::new() } else { role }).collect(),
            option: statement.grant_option,
            grantor: statement.grantor.as_ref().map(|role| names::role(edit, role)),
        }
    }

    /// The letters for an object of the kind, of those privileges that are not for columns.
    fn letters(&self, kind: char, major: i32) -> Outcome<Vec<char>> {
        let all = || letters(kind, major).chars().collect();
        if self.named.is_empty() {
            return Ok(all());
        }
        let mut out = Vec::new();
        for privilege in self.named.iter().filter(|privilege| privilege.cols.is_empty()) {
            if privilege.priv_name.is_empty() {
                out.extend::<Vec<char>>(all());
                continue;
            }
            match letter(&privilege.priv_name) {
                Some(letter) => out.push(letter),
                None => fail!("privilege {} is not known", privilege.priv_name),
            }
        }
        Ok(out)
    }

    fn apply(&self, list: &mut Privileges, owner: &str, letters: &[char]) {
        let grantor = self.grantor.as_deref().unwrap_or(owner);
        for grantee in &self.grantees {
            for &letter in letters {
                if self.grant {
                    list.grant(grantee, grantor, letter, self.option);
                } else {
                    list.revoke(grantee, grantor, letter, self.option);
                }
            }
        }
    }

    /// The new list of an object; the default of its kind takes part when there was none.
    fn changed(&self, current: &[String], kind: char, owner: &str, major: i32) -> Outcome<Vec<String>> {
        let letters = self.letters(kind, major)?;
        if letters.is_empty() {
            return Ok(current.to_vec());
        }
        let mut list =
            if current.is_empty() { Privileges::default_of(kind, owner, major) } else { Privileges::parse(current) };
        self.apply(&mut list, owner, &letters);
        Ok(list.print())
    }
}

/// `GRANT` and `REVOKE` on objects.
pub(super) fn grant(edit: &mut Edit<'_>, statement: &GrantStmt) -> Outcome {
    let change = Change::of(edit, statement);
    for role in change.grantees.iter().filter(|role| !role.is_empty()) {
        if !edit.roles.is_empty() && !edit.roles.contains(role) {
            fail!("role {} does not exist", quoted(role));
        }
    }
    let kind = ObjectType::try_from(statement.objtype).unwrap_or(ObjectType::Undefined);
    if statement.targtype == GrantTargetType::AclTargetAllInSchema as i32 {
        return in_schemas(edit, statement, kind, &change);
    }
    for node in &statement.objects {
        match kind {
            ObjectType::ObjectTable | ObjectType::ObjectSequence => {
                let Some(node::Node::RangeVar(range)) = &node.node else { continue };
                let name = names::relation(edit, Some(range))?;
                on_relation(edit, &name, &change)?;
            }
            ObjectType::ObjectFunction | ObjectType::ObjectProcedure | ObjectType::ObjectRoutine => {
                let Some(node::Node::ObjectWithArgs(object)) = &node.node else { continue };
                let at = names::function(edit, object)?;
                on_function(edit, at, &change)?;
            }
            ObjectType::ObjectType | ObjectType::ObjectDomain => {
                let name = names::existing_type(edit, &names::parts(Some(node)))?;
                let major = edit.major();
                let user_type = edit.type_mut(&name)?;
                user_type.privileges = change.changed(&user_type.privileges, 'T', &user_type.owner, major)?;
            }
            ObjectType::ObjectSchema => on_schema(edit, &names::parts(Some(node)), &change)?,
            // Databases, languages, tablespaces, servers: not in the catalog.
            _ => {}
        }
    }
    Ok(())
}

fn kind_of(kind: RelationKind) -> char {
    if kind == RelationKind::Sequence { 'S' } else { 'r' }
}

fn on_relation(edit: &mut Edit<'_>, name: &Name, change: &Change) -> Outcome {
    let major = edit.major();
    let relation = edit.relation_mut(name)?;
    let kind = kind_of(relation.kind);
    let owner = relation.owner.clone();
    relation.privileges = change.changed(&relation.privileges, kind, &owner, major)?;
    for privilege in change.named.iter().filter(|privilege| !privilege.cols.is_empty()) {
        let given: Vec<char> = match privilege.priv_name.as_str() {
            "" => letters('c', major).chars().collect(),
            name => letter(name).into_iter().collect(),
        };
        for wanted in strings(&privilege.cols) {
            let Some(column) = relation.columns.iter_mut().find(|column| column.name == wanted) else {
                fail!("column {} of {name} does not exist", crate::sql::quote::ident(&wanted));
            };
            let mut list = Privileges::parse(&column.privileges);
            change.apply(&mut list, &owner, &given);
            column.privileges = list.print();
        }
    }
    // Taking a privilege on the whole table takes it on the columns.
    if !change.grant {
        let given = change.letters('r', major)?;
        for column in relation.columns.iter_mut().filter(|column| !column.privileges.is_empty()) {
            let mut list = Privileges::parse(&column.privileges);
            change.apply(&mut list, &owner, &given);
            column.privileges = list.print();
        }
    }
    Ok(())
}

fn on_function(edit: &mut Edit<'_>, at: usize, change: &Change) -> Outcome {
    let major = edit.major();
    let function = edit.function_mut(at);
    function.privileges = change.changed(&function.privileges, 'f', &function.owner, major)?;
    Ok(())
}

fn on_schema(edit: &mut Edit<'_>, parts: &[String], change: &Change) -> Outcome {
    let major = edit.major();
    let name = parts.first().cloned().unwrap_or_default();
    match edit.small().schemas.get_mut(&name) {
        Some(schema) => {
            schema.privileges = change.changed(&schema.privileges, 'n', &schema.owner, major)?;
            Ok(())
        }
        None => fail!("schema {} does not exist", names::spelled(parts)),
    }
}

/// `ON ALL TABLES IN SCHEMA` and the like.
fn in_schemas(edit: &mut Edit<'_>, statement: &GrantStmt, kind: ObjectType, change: &Change) -> Outcome {
    for schema in strings(&statement.objects) {
        let wanted = |relation: RelationKind| match kind {
            ObjectType::ObjectSequence => relation == RelationKind::Sequence,
            ObjectType::ObjectTable => !relation.is_index() && relation != RelationKind::Sequence,
            _ => false,
        };
        let relations: Vec<Name> = edit
            .relations
            .in_schema(&schema)
            .filter(|(_, relation)| wanted(relation.kind))
            .map(|(name, _)| name.clone())
            .collect();
        for name in relations {
            on_relation(edit, &name, change)?;
        }
        let routine = |own: char| match kind {
            ObjectType::ObjectFunction => own != 'p',
            ObjectType::ObjectProcedure => own == 'p',
            ObjectType::ObjectRoutine => true,
            _ => false,
        };
        for at in 0..edit.functions.len() {
            if edit.functions[at].name.schema == schema && routine(edit.functions[at].kind) {
                on_function(edit, at, change)?;
            }
        }
    }
    Ok(())
}

/// `ALTER DEFAULT PRIVILEGES`.
pub(super) fn default_privileges(edit: &mut Edit<'_>, statement: &AlterDefaultPrivilegesStmt) -> Outcome {
    let Some(action) = &statement.action else { fail!("the statement grants nothing") };
    let change = Change::of(edit, action);
    let names_of = |wanted: &str| -> Vec<Node> {
        let element = names::options(&statement.options).find(|element| element.defname == wanted);
        match element.and_then(|element| element.arg.as_deref()).and_then(|arg| arg.node.as_ref()) {
            Some(node::Node::List(list)) => list.items.clone(),
            _ => Vec::new(),
        }
    };
    let mut roles: Vec<String> = names_of("roles")
        .iter()
        .filter_map(|node| match &node.node {
            Some(node::Node::RoleSpec(role)) => Some(names::role(edit, role)),
            _ => None,
        })
        .collect();
    if roles.is_empty() {
        roles.push(edit.server.user.clone());
    }
    let schemas: Vec<Option<String>> = match strings(&names_of("schemas")) {
        schemas if schemas.is_empty() => vec![None],
        schemas => schemas.into_iter().map(Some).collect(),
    };
    let object = match ObjectType::try_from(action.objtype).unwrap_or(ObjectType::Undefined) {
        ObjectType::ObjectTable => 'r',
        ObjectType::ObjectSequence => 'S',
        ObjectType::ObjectFunction | ObjectType::ObjectRoutine | ObjectType::ObjectProcedure => 'f',
        ObjectType::ObjectType => 'T',
        ObjectType::ObjectSchema => 'n',
        _ => 'L',
    };
    for role in &roles {
        for schema in &schemas {
            one_default(edit, role, schema.as_deref(), object, &change)?;
        }
    }
    Ok(())
}

/// One entry: for all schemas it starts from what objects have anyway, for one schema from nothing; an entry that
/// says nothing is removed.
fn one_default(edit: &mut Edit<'_>, role: &str, schema: Option<&str>, object: char, change: &Change) -> Outcome {
    let major = edit.major();
    let base = match schema {
        Some(_) => Privileges::default(),
        None => Privileges::default_of(object, role, major),
    };
    let is_same = |own: &DefaultPrivileges| own.role == role && own.schema.as_deref() == schema && own.object == object;
    let entries = &mut edit.small().default_privileges;
    let current = entries.iter().find(|own| is_same(own)).map(|own| Privileges::parse(&own.privileges));
    let mut list = current.unwrap_or_else(|| base.clone());
    let letters = change.letters(object, major)?;
    change.apply(&mut list, role, &letters);
    entries.retain(|own| !is_same(own));
    if list != base {
        entries.push(DefaultPrivileges {
            role: role.to_owned(),
            schema: schema.map(str::to_owned),
            object,
            privileges: list.print(),
        });
        entries.sort_by(|a, b| (&a.role, &a.schema, a.object).cmp(&(&b.role, &b.schema, b.object)));
    }
    Ok(())
}
