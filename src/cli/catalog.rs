//! `wesley catalog`, and reading a schema from a server or a file.

use std::path::Path;

use super::{DatabaseArgs, Failure, SchemaArgs, print_json};
use crate::catalog::Catalog;
use crate::catalog::introspect::{Moment, introspect_at, moment};
use crate::exit::Exit;
use crate::run::connect::Settings;

pub(super) async fn run(database: &DatabaseArgs) -> Result<(), Failure> {
    let catalog = Known::default().of_server(database).await?;
    print_json(&catalog)
}

/// The schema to work on.
pub(super) async fn read(schema: &SchemaArgs) -> Result<Catalog, Failure> {
    Known::default().read(schema).await
}

/// The schema of a server as it was read last: while nothing has happened there it is not read again.
#[derive(Default)]
pub(super) struct Known(Option<(Catalog, Moment)>);

impl Known {
    /// The schema to work on.
    pub(super) async fn read(&mut self, schema: &SchemaArgs) -> Result<Catalog, Failure> {
        match &schema.catalog {
            Some(path) => from_file(path),
            None => self.of_server(&schema.database).await,
        }
    }

    async fn of_server(&mut self, database: &DatabaseArgs) -> Result<Catalog, Failure> {
        let settings = settings(database)?.with_application_name("wesley");
        let client = settings.connect_to_read().await?;
        if let Some((catalog, at)) = &self.0
            && moment(&client).await.map_err(crate::run::schema_unreadable)? == *at
        {
            return Ok(catalog.clone());
        }
        let (catalog, at) = introspect_at(&client).await.map_err(crate::run::schema_unreadable)?;
        self.0 = Some((catalog.clone(), at));
        Ok(catalog)
    }
}

/// Connection settings, or what to do when they are missing.
pub(super) fn settings(database: &DatabaseArgs) -> Result<Settings, Failure> {
    let url = database.database_url.as_deref().ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "no database given: set DATABASE_URL or --database-url (or --catalog FILE where it is offered)",
        )
    })?;
    Settings::from_url(url).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

fn from_file(path: &Path) -> Result<Catalog, Failure> {
    let name = path.display();
    let text =
        std::fs::read(path).map_err(|error| Failure::new(Exit::Usage, format!("cannot read {name}: {error}")))?;
    serde_json::from_slice(&text).map_err(|error| {
        Failure::new(Exit::InvalidInput, format!("{name} is not a catalog as `wesley catalog` writes it: {error}"))
    })
}
