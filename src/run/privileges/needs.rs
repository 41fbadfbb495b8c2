//! What the statements of a plan need, told from their text.

use std::collections::BTreeSet;

use pg_query::protobuf::{
    AlterPublicationAction, GrantStmt, GrantTargetType, ObjectType, PublicationObjSpecType, RangeVar, node::Node,
};

use crate::catalog::expression::strings;
use crate::plan::{Action, Plan, RowChange};
use crate::sql::{self, quote};

/// What a step needs of a table that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub(super) enum Need {
    /// To be its owner, or a member of that role.
    Own,
    /// To be its owner, or that of its schema.
    Drop,
    /// To add rows.
    Insert,
    /// To change its rows.
    Update,
    /// To delete rows.
    Delete,
    /// To remove all rows.
    Truncate,
    /// To have triggers made on it.
    Trigger,
    /// To point a foreign key at it.
    References,
}

/// What a privilege is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub(super) enum On {
    /// A table, view or sequence.
    Table,
    /// A schema.
    Schema,
    /// A database.
    Database,
}

/// What a plan needs, by names as SQL.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Needs {
    pub tables: BTreeSet<(String, Need)>,
    /// Schemas in which something is made; empty: the first of the search path.
    pub schemas: BTreeSet<String>,
    /// What is granted or revoked: on what, its name (of a table as SQL, otherwise unquoted), the privilege.
    pub grants: BTreeSet<(On, String, String)>,
    /// Publications that are changed, unquoted.
    pub publications: BTreeSet<String>,
    /// Whether something is made that belongs to the database: a schema, a publication.
    pub create_in_database: bool,
    /// Whether it takes a superuser.
    pub superuser: bool,
}

/// What the plan's steps need.
pub(super) fn needs(plan: &Plan) -> Needs {
    let mut needs = Needs::default();
    for step in &plan.steps {
        match &step.action {
            Action::Transaction(transaction) => {
                transaction.statements.iter().for_each(|statement| of_statement(statement, &mut needs));
            }
            Action::Concurrent(concurrent) => of_statement(&concurrent.statement, &mut needs),
            Action::Backfill(spec) => {
                needs.tables.insert((quote::qualified(&spec.schema, &spec.table), Need::Update));
            }
            Action::Script(script) => {
                for RowChange { command, relation, .. } in &script.changes {
                    let need = match command.as_str() {
                        "INSERT" => Need::Insert,
                        "UPDATE" => Need::Update,
                        "DELETE" => Need::Delete,
                        // Which of them it needs its clauses tell.
                        _ => continue,
                    };
                    needs.tables.insert((relation.clone(), need));
                }
            }
            Action::Check(_) => {}
        }
    }
    needs
}

fn of_statement(statement: &str, needs: &mut Needs) {
    let Ok(parsed) = sql::parse(statement) else { return };
    let [statement] = parsed.as_slice() else { return };
    let mut table = |relation: Option<&RangeVar>, need: Need| {
        needs.tables.extend(relation.map(|relation| (written(relation), need)));
    };
    match &statement.node {
        Node::AlterTableStmt(alter) if alter.objtype() == ObjectType::ObjectTable => {
            table(alter.relation.as_ref(), Need::Own);
            for command in &alter.cmds {
                table(referenced(command), Need::References);
            }
        }
        Node::IndexStmt(index) => {
            table(index.relation.as_ref(), Need::Own);
            needs.schemas.extend(index.relation.as_ref().map(|relation| relation.schemaname.clone()));
        }
        Node::RenameStmt(rename)
            if matches!(rename.rename_type(), ObjectType::ObjectTable | ObjectType::ObjectColumn) =>
        {
            table(rename.relation.as_ref(), Need::Own);
        }
        Node::DropStmt(drop) => {
            for object in &drop.objects {
                let Some(Node::List(list)) = &object.node else { continue };
                let mut names = strings(&list.items);
                let need = match drop.remove_type() {
                    ObjectType::ObjectView | ObjectType::ObjectMatview => Need::Drop,
                    ObjectType::ObjectRule | ObjectType::ObjectPolicy | ObjectType::ObjectTrigger => {
                        names.pop();
                        Need::Own
                    }
                    _ => continue,
                };
                let quoted: Vec<String> = names.iter().map(|name| quote::ident(name)).collect();
                needs.tables.insert((quoted.join("."), need));
            }
        }
        Node::CreateTrigStmt(trigger) => table(trigger.relation.as_ref(), Need::Trigger),
        Node::CreatePolicyStmt(policy) => table(policy.table.as_ref(), Need::Own),
        Node::AlterPolicyStmt(policy) => table(policy.table.as_ref(), Need::Own),
        Node::RuleStmt(rule) => table(rule.relation.as_ref(), Need::Own),
        Node::TruncateStmt(truncate) => {
            for relation in &truncate.relations {
                if let Some(Node::RangeVar(relation)) = &relation.node {
                    table(Some(relation), Need::Truncate);
                }
            }
        }
        Node::GrantStmt(grant) => of_grant(grant, needs),
        Node::CreateSchemaStmt(_) => needs.create_in_database = true,
        Node::CreatePublicationStmt(publication) => {
            needs.create_in_database = true;
            needs.superuser |= publication.for_all_tables;
            published(&publication.pubobjects, needs);
        }
        Node::AlterPublicationStmt(publication) => {
            needs.publications.insert(publication.pubname.clone());
            // Who owns the publication may take out of it what is another's.
            if publication.action() != AlterPublicationAction::ApDropObjects {
                needs.superuser |= publication.for_all_tables;
                published(&publication.pubobjects, needs);
            }
        }
        Node::InsertStmt(insert) => table(insert.relation.as_ref(), Need::Insert),
        Node::UpdateStmt(update) => table(update.relation.as_ref(), Need::Update),
        Node::DeleteStmt(delete) => table(delete.relation.as_ref(), Need::Delete),
        Node::CreateStmt(create) => {
            let permanent = create.relation.as_ref().filter(|relation| relation.relpersistence != "t");
            needs.schemas.extend(permanent.map(|relation| relation.schemaname.clone()));
        }
        Node::ViewStmt(view) => {
            let permanent = view.view.as_ref().filter(|relation| relation.relpersistence != "t");
            needs.schemas.extend(permanent.map(|relation| relation.schemaname.clone()));
        }
        _ => {}
    }
}

/// What a GRANT or REVOKE of privileges on whole tables, schemas or databases needs; what is on columns and on other kinds
/// of objects, and on all of a schema, the server's warning tells.
fn of_grant(grant: &GrantStmt, needs: &mut Needs) {
    let (on, all): (On, &[&str]) = match grant.objtype() {
        ObjectType::ObjectTable => {
            (On::Table, &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"])
        }
        ObjectType::ObjectSequence => (On::Table, &["USAGE", "SELECT", "UPDATE"]),
        ObjectType::ObjectSchema => (On::Schema, &["CREATE", "USAGE"]),
        ObjectType::ObjectDatabase => (On::Database, &["CREATE", "TEMPORARY", "CONNECT"]),
        _ => return,
    };
    if grant.targtype() != GrantTargetType::AclTargetObject {
        return;
    }
    let privileges: Vec<String> = if grant.privileges.is_empty() {
        all.iter().map(|privilege| (*privilege).to_owned()).collect()
    } else {
        let named = grant.privileges.iter().filter_map(|privilege| match &privilege.node {
            Some(Node::AccessPriv(privilege)) if privilege.cols.is_empty() => Some(privilege.priv_name.to_uppercase()),
            _ => None,
        });
        named.collect()
    };
    for object in &grant.objects {
        let name = match &object.node {
            Some(Node::RangeVar(relation)) => written(relation),
            Some(Node::String(name)) => name.sval.clone(),
            _ => continue,
        };
        needs.grants.extend(privileges.iter().map(|privilege| (on, name.clone(), privilege.clone())));
    }
}

/// Who publishes a table owns it.
fn published(objects: &[pg_query::protobuf::Node], needs: &mut Needs) {
    for object in objects {
        let Some(Node::PublicationObjSpec(object)) = &object.node else { continue };
        match object.pubobjtype() {
            PublicationObjSpecType::PublicationobjTablesInSchema
            | PublicationObjSpecType::PublicationobjTablesInCurSchema => needs.superuser = true,
            _ => {
                let relation = object.pubtable.as_ref().and_then(|table| table.relation.as_ref());
                needs.tables.extend(relation.map(|relation| (written(relation), Need::Own)));
            }
        }
    }
}

/// The table that a subcommand points a foreign key at.
fn referenced(command: &pg_query::protobuf::Node) -> Option<&RangeVar> {
    let Some(Node::AlterTableCmd(command)) = &command.node else { return None };
    match &command.def.as_ref()?.node {
        Some(Node::Constraint(constraint)) => constraint.pktable.as_ref(),
        _ => None,
    }
}

fn written(relation: &RangeVar) -> String {
    if relation.schemaname.is_empty() {
        quote::ident(&relation.relname)
    } else {
        quote::qualified(&relation.schemaname, &relation.relname)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_statements_need() {
        for (statement, tables, schemas) in [
            ("ALTER TABLE orders ADD COLUMN a int", vec![("orders", Need::Own)], vec![]),
            ("DROP VIEW s.\"V\", w", vec![("s.\"V\"", Need::Drop), ("w", Need::Drop)], vec![]),
            ("DROP POLICY p ON s.t", vec![("s.t", Need::Own)], vec![]),
            (
                "ALTER TABLE ONLY public.\"Orders\" VALIDATE CONSTRAINT c",
                vec![("public.\"Orders\"", Need::Own)],
                vec![],
            ),
            ("CREATE INDEX CONCURRENTLY ON s.t (a)", vec![("s.t", Need::Own)], vec!["s"]),
            ("ALTER TABLE t RENAME COLUMN a TO b", vec![("t", Need::Own)], vec![]),
            (
                "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES s.u NOT VALID",
                vec![("s.u", Need::References), ("t", Need::Own)],
                vec![],
            ),
            ("CREATE TABLE t (a int)", vec![], vec![""]),
            ("CREATE TEMPORARY TABLE t (a int)", vec![], vec![]),
            ("UPDATE t SET a = 1", vec![("t", Need::Update)], vec![]),
            ("DELETE FROM s.t", vec![("s.t", Need::Delete)], vec![]),
            ("TRUNCATE t, s.u", vec![("t", Need::Truncate), ("s.u", Need::Truncate)], vec![]),
            (
                "CREATE TRIGGER g BEFORE INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION f()",
                vec![("s.t", Need::Trigger)],
                vec![],
            ),
            ("CREATE POLICY p ON t", vec![("t", Need::Own)], vec![]),
            ("ALTER TABLE t FORCE ROW LEVEL SECURITY", vec![("t", Need::Own)], vec![]),
            ("ALTER SEQUENCE s RESTART", vec![], vec![]),
            ("not SQL", vec![], vec![]),
        ] {
            let mut found = Needs::default();
            of_statement(statement, &mut found);
            let expected = Needs {
                tables: tables.into_iter().map(|(name, need)| (name.to_owned(), need)).collect(),
                schemas: schemas.into_iter().map(str::to_owned).collect(),
                ..Needs::default()
            };
            assert_eq!(found, expected, "{statement}");
        }
    }

    #[test]
    fn knows_what_grants_and_publications_need() {
        let of = |statement: &str| {
            let mut found = Needs::default();
            of_statement(statement, &mut found);
            found
        };
        let grants = |statement: &str| -> Vec<String> {
            of(statement).grants.into_iter().map(|(on, name, privilege)| format!("{on:?} {name} {privilege}")).collect()
        };
        assert_eq!(
            grants("GRANT SELECT, insert ON s.t, u TO r"),
            ["Table s.t INSERT", "Table s.t SELECT", "Table u INSERT", "Table u SELECT"]
        );
        assert_eq!(grants("REVOKE USAGE ON SCHEMA s FROM r"), ["Schema s USAGE"]);
        assert_eq!(grants("GRANT ALL ON t TO r").len(), 7);
        assert!(grants("GRANT SELECT (a) ON t TO r").is_empty());
        assert!(grants("GRANT SELECT ON ALL TABLES IN SCHEMA s TO r").is_empty());
        let made = of("CREATE PUBLICATION p FOR TABLE s.t");
        assert!(made.create_in_database && !made.superuser);
        assert!(made.tables.contains(&("s.t".to_owned(), Need::Own)));
        assert!(of("CREATE PUBLICATION p FOR ALL TABLES").superuser);
        assert!(of("ALTER PUBLICATION p ADD TABLES IN SCHEMA s").superuser);
        let dropped = of("ALTER PUBLICATION p DROP TABLE t");
        assert!(dropped.tables.is_empty() && dropped.publications.contains("p"));
    }
}
