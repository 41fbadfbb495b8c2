//! Refreshing a materialized view: `CONCURRENTLY` lets reads go on, where the view has a unique index over plain
//! columns of all its rows and has been filled before (`refresh_by_match_merge` in matview.c).

use pg_query::NodeEnum;

use crate::plan::draft::{Draft, Piece};
use crate::plan::expand::Context;
use crate::plan::model::Stage;
use crate::sql::render;

pub(super) fn refresh(context: &Context<'_>) -> Option<Vec<Piece>> {
    let NodeEnum::RefreshMatViewStmt(refresh) = &context.statement.node else {
        return None;
    };
    if refresh.concurrent || refresh.skip_data || !context.heavy() {
        return None;
    }
    let view = context.look.relation(refresh.relation.as_ref()?)?;
    let usable =
        context.look.indexes(view.name).iter().filter_map(|index| index.relation.index.as_ref()).any(|index| {
            index.unique
                && index.valid
                && index.immediate
                && index.predicate.is_none()
                && index.keys.iter().all(|key| key.column.is_some())
        });
    if !usable || !view.relation.view.as_ref()?.populated {
        return None;
    }
    let mut concurrent = refresh.clone();
    concurrent.concurrent = true;
    let sql = render::render(&NodeEnum::RefreshMatViewStmt(concurrent))?;
    Some(vec![
        Draft::sql(Stage::Expand, "refresh", format!("Refreshes {} while reads of it go on", view.name), sql).into(),
    ])
}
