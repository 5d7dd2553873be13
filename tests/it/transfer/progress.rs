//! What an import tells of its progress: through the library, since it is shown on terminals only.

use std::cell::RefCell;
use std::sync::Arc;

use beamline_registry::adapters::fixtures::FixturesSource;
use beamline_registry::adapters::postgres::{Pool, PostgresSource};
use beamline_registry::service::source::Fixtures;
use beamline_registry::service::transfer::{self, Import, Outcome, Step};
use serde_json::json;

use super::{Place, folder, ok, write};
use crate::postgres_source::{policy, settings};
use crate::site::extension;

#[tokio::test]
async fn the_bar_counts_what_is_written_and_gets_full() {
    let place = Place::new().await;
    let folder = folder(&json!([
        extension("pre", "same"),
        extension("pre", "different")
    ]));
    ok(place.import(folder.path(), &[]).await);
    let mut different = extension("post", "different");
    different["retry"] = json!(2);
    write(
        folder.path(),
        &json!([extension("pre", "same"), different, extension("pre", "new")]),
    );

    let policy = policy();
    let files = FixturesSource::new(folder.path().to_owned(), policy.clone());
    let files = files.read().await.unwrap();
    let pool = Pool::new(&settings(&place.database.url()), "progress").unwrap();
    let store = PostgresSource::new(Arc::new(pool), Arc::new(policy));
    let steps = RefCell::new(Vec::new());
    let how = Import {
        changed_by: "import:test",
        overwrite: true,
        dry_run: false,
        progress: &|step| steps.borrow_mut().push(step),
    };
    let (_, outcome) = transfer::import(&store, files, &how).await.unwrap();
    assert_eq!(outcome, Outcome::Imported(Some(2)));
    let writing = |written| Step::Writing { written, all: 2 };
    assert_eq!(
        steps.into_inner(),
        [
            Step::Comparing,
            writing(0),
            writing(1),
            writing(2),
            Step::Verifying
        ]
    );
}
