//! Running a catalog query and reading its rows.

use futures::{TryStreamExt, pin_mut};
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, Row};

use super::IntrospectError;

/// Runs statements without rows.
pub(super) async fn execute(client: &Client, subject: &'static str, sql: &str) -> Result<(), IntrospectError> {
    client.batch_execute(sql).await.map_err(|source| IntrospectError::Query { subject, source })
}

/// Streams the rows of `sql` to `handle`. Nothing is kept, and it is one round trip.
pub(super) async fn all(
    client: &Client,
    subject: &'static str,
    sql: &str,
    handle: impl FnMut(&mut Fields<'_>) -> Result<(), tokio_postgres::Error>,
) -> Result<(), IntrospectError> {
    stream(client, subject, sql, None, handle).await
}

/// [`all`] for a query whose `$1` is an array of oids.
pub(super) async fn each(
    client: &Client,
    subject: &'static str,
    sql: &str,
    oids: &[u32],
    handle: impl FnMut(&mut Fields<'_>) -> Result<(), tokio_postgres::Error>,
) -> Result<(), IntrospectError> {
    stream(client, subject, sql, Some(oids), handle).await
}

async fn stream(
    client: &Client,
    subject: &'static str,
    sql: &str,
    oids: Option<&[u32]>,
    mut handle: impl FnMut(&mut Fields<'_>) -> Result<(), tokio_postgres::Error>,
) -> Result<(), IntrospectError> {
    let failed = |source| IntrospectError::Query { subject, source };
    let parameters = oids.map(|oids| (oids, Type::OID_ARRAY));
    let rows = client.query_typed_raw(sql, parameters).await.map_err(failed)?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        handle(&mut Fields { row: &row, next: 0 }).map_err(failed)?;
    }
    Ok(())
}

/// [`each`] for queries that deparse parsed queries: the server locks what these mention until the transaction
/// ends. They run over a thousand objects at a time, and the locks are given back after each thousand, so that
/// the server's lock table does not fill.
pub(super) async fn each_in_batches(
    client: &Client,
    subject: &'static str,
    sql: &str,
    oids: &[u32],
    mut handle: impl FnMut(&mut Fields<'_>) -> Result<(), tokio_postgres::Error>,
) -> Result<(), IntrospectError> {
    const BATCH: usize = 1_000;
    for batch in oids.chunks(BATCH) {
        execute(client, subject, "savepoint wesley_batch").await?;
        each(client, subject, sql, batch, &mut handle).await?;
        execute(client, subject, "rollback to savepoint wesley_batch; release savepoint wesley_batch").await?;
    }
    Ok(())
}

/// The fields of a row, taken in the order of the SELECT list.
pub(super) struct Fields<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> Fields<'a> {
    /// The next field.
    pub(super) fn take<T: FromSql<'a>>(&mut self) -> Result<T, tokio_postgres::Error> {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index)
    }

    /// The next field, of type `"char"`; `None` for NULL and for the empty one.
    pub(super) fn take_char(&mut self) -> Result<Option<char>, tokio_postgres::Error> {
        let value: Option<i8> = self.take()?;
        Ok(value.filter(|value| *value != 0).map(|value| char::from(value.to_ne_bytes()[0])))
    }

    /// The next field, an array; empty for NULL.
    pub(super) fn take_list<T: FromSql<'a>>(&mut self) -> Result<Vec<T>, tokio_postgres::Error> {
        let value: Option<Vec<T>> = self.take()?;
        Ok(value.unwrap_or_default())
    }
}
