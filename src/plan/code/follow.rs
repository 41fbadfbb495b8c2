//! Follows the code of a `DO` block as the server would on that catalog.

use pg_query::NodeEnum;
use pg_query::protobuf::AlterTableType;
use serde_json::Value as Json;

use super::ask::Asked;
use super::value::Value;
use crate::catalog::Catalog;
use crate::catalog::apply::{apply, do_body};
use crate::plan::HazardId;
use crate::plan::analyze::{TransactionRule, analyze};
use crate::plan::expand::single;
use crate::sql::{Statement, parse};

/// `elog_level` of an error (`elog.h`, 14 and later): `RAISE` of what is below only says something.
const ERROR: i64 = 21;

/// A block that may be followed.
pub(super) struct Code(Json);

impl Code {
    /// The block; `None` for another statement, and for code that declares something.
    pub fn read(statement: &Statement) -> Option<Self> {
        let NodeEnum::DoStmt(block) = &statement.node else {
            return None;
        };
        let mut parsed = do_body(block).ok()?;
        let function = parsed.pointer_mut("/0/PLpgSQL_function")?;
        // The server's own: FOUND, and the variables of handlers.
        let declares = function.get("datums").and_then(Json::as_array).is_some_and(|datums| {
            datums.iter().any(|datum| {
                let name = datum.pointer("/PLpgSQL_var/refname").and_then(Json::as_str);
                !matches!(name, Some("found" | "sqlstate" | "sqlerrm"))
            })
        });
        if declares {
            return None;
        }
        function.pointer_mut("/action/PLpgSQL_stmt_block").map(|block| Self(block.take()))
    }

    /// What the code comes to on that catalog, which is moved behind it; `None` when something else than the catalog
    /// decides that, and when the block does no harm as it is: it changes rows too, and what it leaves is foreseen.
    pub fn outcome(&self, statement: &Statement, catalog: &mut Catalog) -> Option<Vec<Statement>> {
        let mut walk =
            Walk { catalog: catalog.clone(), statements: Vec::new(), found: Value::Boolean(false), rows: false };
        match walk.block(&self.0) {
            Ok(_) => {}
            Err(Stop::Refused(_) | Stop::Unknown) => return None,
        }
        let changes_rows = walk.statements.iter().any(|statement| !is_plain(&statement.node));
        if changes_rows && apply(&mut catalog.clone(), statement).is_ok() {
            return None;
        }
        *catalog = walk.catalog;
        Some(walk.statements)
    }
}

/// Why code is not followed any further.
enum Stop {
    /// What it does is not known here.
    Unknown,
    /// The server refuses a statement with that code.
    Refused(String),
}

/// Where code goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Return,
}

struct Walk {
    catalog: Catalog,
    statements: Vec<Statement>,
    /// The variable of that name.
    found: Value<'static>,
    /// Whether the rows that are there may make a statement fail.
    rows: bool,
}

impl Walk {
    fn block(&mut self, block: &Json) -> Result<Flow, Stop> {
        let body = items(block.get("body"));
        let Some(exceptions) = block.get("exceptions") else {
            return self.all(body);
        };
        let handlers = items(exceptions.pointer("/PLpgSQL_exception_block/exc_list"));
        let (catalog, length, rows) = (self.catalog.clone(), self.statements.len(), self.rows);
        self.rows = false;
        let ended = self.all(body);
        let by_rows = std::mem::replace(&mut self.rows, rows);
        let taken = |state: Option<&str>| {
            handlers.iter().find(|handler| {
                let conditions = items(handler.pointer("/PLpgSQL_exception/conditions"));
                conditions.iter().any(|condition| {
                    let name = condition.pointer("/PLpgSQL_condition/condname").and_then(Json::as_str);
                    name.is_none_or(|name| takes(name, state))
                })
            })
        };
        match ended {
            // What the rows decide, the handler may take.
            Ok(_) if by_rows && taken(None).is_some_and(|handler| !only_raises(handler)) => Err(Stop::Unknown),
            Ok(flow) => {
                self.rows |= by_rows;
                Ok(flow)
            }
            Err(Stop::Refused(state)) => {
                let handler = taken(Some(&state)).filter(|handler| !only_raises(handler));
                let Some(handler) = handler else { return Err(Stop::Refused(state)) };
                self.catalog = catalog;
                self.statements.truncate(length);
                self.all(items(handler.pointer("/PLpgSQL_exception/action")))
            }
            Err(Stop::Unknown) => Err(Stop::Unknown),
        }
    }

    fn all(&mut self, statements: &[Json]) -> Result<Flow, Stop> {
        for statement in statements {
            if self.statement(statement)? == Flow::Return {
                return Ok(Flow::Return);
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &Json) -> Result<Flow, Stop> {
        let (kind, content) = statement.as_object().and_then(|fields| fields.iter().next()).ok_or(Stop::Unknown)?;
        match kind.as_str() {
            "PLpgSQL_stmt_block" => return self.block(content),
            "PLpgSQL_stmt_return" => return Ok(Flow::Return),
            "PLpgSQL_stmt_if" => return self.branch(content),
            "PLpgSQL_stmt_execsql" if content.get("into").is_none() => {
                let text = content.pointer("/sqlstmt/PLpgSQL_expr/query").and_then(Json::as_str);
                self.run(single(text.unwrap_or_default()).ok_or(Stop::Unknown)?)?;
            }
            "PLpgSQL_stmt_dynexecute" if content.get("into").is_none() && content.get("params").is_none() => {
                let text = expression(content.get("query")).ok_or(Stop::Unknown)?;
                let Value::Text(text) = self.value(text) else { return Err(Stop::Unknown) };
                for statement in parse(&text).map_err(|_| Stop::Unknown)? {
                    self.run(statement)?;
                }
            }
            "PLpgSQL_stmt_perform" => {
                let query = expression(content.get("expr")).ok_or(Stop::Unknown)?;
                let found = Asked::new(&self.catalog, &[]).finds(query).ok_or(Stop::Unknown)?;
                self.found = Value::Boolean(found);
            }
            "PLpgSQL_stmt_raise" => {
                if content.get("elog_level").and_then(Json::as_i64).is_none_or(|level| level >= ERROR) {
                    return Err(Stop::Unknown);
                }
            }
            _ => return Err(Stop::Unknown),
        }
        Ok(Flow::Next)
    }

    fn value(&self, text: &str) -> Value<'static> {
        let variables = [("found".to_owned(), self.found.clone())];
        match Asked::new(&self.catalog, &variables).expression(text) {
            Value::Text(text) => Value::owned(text.into_owned()),
            Value::Boolean(value) => Value::Boolean(value),
            Value::Null => Value::Null,
            _ => Value::Unknown,
        }
    }

    fn branch(&mut self, content: &Json) -> Result<Flow, Stop> {
        let first = (content.get("cond"), content.get("then_body"));
        let others = items(content.get("elsif_list")).iter().filter_map(|other| other.get("PLpgSQL_if_elsif"));
        let others = others.map(|other| (other.get("cond"), other.get("stmts")));
        for (condition, body) in std::iter::once(first).chain(others) {
            let condition = expression(condition).ok_or(Stop::Unknown)?;
            if self.value(condition).truth().ok_or(Stop::Unknown)? {
                return self.all(items(body));
            }
        }
        self.all(items(content.get("else_body")))
    }

    /// A statement that runs.
    fn run(&mut self, statement: Statement) -> Result<(), Stop> {
        let changes_rows =
            matches!(statement.node, NodeEnum::InsertStmt(_) | NodeEnum::UpdateStmt(_) | NodeEnum::DeleteStmt(_));
        if !changes_rows && !is_plain(&statement.node) {
            return Err(Stop::Unknown);
        }
        let impact = analyze(&statement, &self.catalog);
        if let Some(refusal) = impact.refused {
            return Err(Stop::Refused(refusal.sqlstate));
        }
        if impact.transaction == TransactionRule::Forbidden {
            return Err(Stop::Unknown);
        }
        self.rows |= changes_rows
            || !impact.scans.is_empty()
            || !impact.rewrites.is_empty()
            || impact.hazards.iter().any(|hazard| hazard.id == HazardId::MayFail)
            || asks_more(&statement.node);
        apply(&mut self.catalog, &statement).map_err(|_| Stop::Unknown)?;
        if changes_rows {
            self.found = Value::Unknown;
        }
        self.statements.push(statement);
        Ok(())
    }
}

/// Whether something else than the schema may make the statement fail: rows, also of a table that is still empty now, or
/// what is installed on the server.
fn asks_more(node: &NodeEnum) -> bool {
    match node {
        NodeEnum::CreateExtensionStmt(_) | NodeEnum::IndexStmt(_) | NodeEnum::AlterDomainStmt(_) => true,
        NodeEnum::AlterTableStmt(alter) => alter.cmds.iter().any(|command| match &command.node {
            Some(NodeEnum::AlterTableCmd(command)) => match command.subtype() {
                AlterTableType::AtAddColumn => match command.def.as_ref().and_then(|def| def.node.as_ref()) {
                    Some(NodeEnum::ColumnDef(column)) => !column.constraints.is_empty(),
                    _ => true,
                },
                AlterTableType::AtDropColumn
                | AlterTableType::AtDropConstraint
                | AlterTableType::AtDropNotNull
                | AlterTableType::AtColumnDefault => false,
                _ => true,
            },
            _ => true,
        }),
        _ => false,
    }
}

/// Whether a handler gives the error on as it is, with a `RAISE` of nothing.
fn only_raises(handler: &Json) -> bool {
    let [only] = items(handler.pointer("/PLpgSQL_exception/action")) else { return false };
    let Some(raise) = only.get("PLpgSQL_stmt_raise") else { return false };
    ["condname", "message", "params", "options"].iter().all(|part| raise.get(part).is_none())
}

fn items(list: Option<&Json>) -> &[Json] {
    list.and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

fn expression(node: Option<&Json>) -> Option<&str> {
    node?.pointer("/PLpgSQL_expr/query")?.as_str()
}

/// Whether a handler of that condition takes an error with that code; without a code: one that the rows, or something
/// else than the schema, may raise.
fn takes(condition: &str, state: Option<&str>) -> bool {
    let known = sqlstate(condition);
    match state {
        Some(state) => known == Some(state) || condition == state || condition.eq_ignore_ascii_case("others"),
        None => known.is_none() && !by_schema(condition),
    }
}

/// Codes of errors that the schema alone decides, and of defects of the server, which nothing here leads to.
fn by_schema(code: &str) -> bool {
    code.len() == 5 && (code.starts_with("42") || code.starts_with("XX") || matches!(code, "0A000" | "2BP01" | "3F000"))
}

/// Conditions that the schema alone decides (`plerrcodes.h`).
fn sqlstate(condition: &str) -> Option<&'static str> {
    Some(match condition.to_ascii_lowercase().as_str() {
        "duplicate_object" => "42710",
        "duplicate_table" => "42P07",
        "duplicate_column" => "42701",
        "duplicate_schema" => "42P06",
        "duplicate_function" => "42723",
        "undefined_object" => "42704",
        "undefined_table" => "42P01",
        "undefined_column" => "42703",
        "undefined_function" => "42883",
        "invalid_schema_name" => "3F000",
        "invalid_table_definition" => "42P16",
        "dependent_objects_still_exist" => "2BP01",
        "feature_not_supported" => "0A000",
        _ => return None,
    })
}

/// Statements of the schema, which know nothing of variables and mean the same outside of the block.
fn is_plain(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::AlterTableStmt(_)
            | NodeEnum::AlterDomainStmt(_)
            | NodeEnum::AlterEnumStmt(_)
            | NodeEnum::AlterFunctionStmt(_)
            | NodeEnum::AlterObjectSchemaStmt(_)
            | NodeEnum::AlterOwnerStmt(_)
            | NodeEnum::AlterPolicyStmt(_)
            | NodeEnum::AlterPublicationStmt(_)
            | NodeEnum::AlterSeqStmt(_)
            | NodeEnum::CommentStmt(_)
            | NodeEnum::CompositeTypeStmt(_)
            | NodeEnum::CreateDomainStmt(_)
            | NodeEnum::CreateEnumStmt(_)
            | NodeEnum::CreateExtensionStmt(_)
            | NodeEnum::CreateFunctionStmt(_)
            | NodeEnum::CreatePolicyStmt(_)
            | NodeEnum::CreatePublicationStmt(_)
            | NodeEnum::CreateRangeStmt(_)
            | NodeEnum::CreateSchemaStmt(_)
            | NodeEnum::CreateSeqStmt(_)
            | NodeEnum::CreateStatsStmt(_)
            | NodeEnum::CreateStmt(_)
            | NodeEnum::CreateTrigStmt(_)
            | NodeEnum::DropStmt(_)
            | NodeEnum::GrantStmt(_)
            | NodeEnum::IndexStmt(_)
            | NodeEnum::RenameStmt(_)
            | NodeEnum::RuleStmt(_)
            | NodeEnum::ViewStmt(_)
    )
}
