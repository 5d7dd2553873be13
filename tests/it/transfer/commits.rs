//! A COMMIT without an answer: what is said of it is true. The pool has a single place throughout,
//! so that nothing may still be held when the database is asked.

use super::{Place, Said, command, failed, folder, ok};
use crate::gate;
use crate::harness::FaultProxy;
use crate::harness::daemon::Builder;
use crate::site::extension;

/// An import of the extension `id` through `proxy`, over at most one connection.
fn import(place: &Place, proxy: &FaultProxy, id: &str) -> (Builder, tempfile::TempDir) {
    let folder = folder(&extension("pre", id));
    let builder = command(&place.database, "import", folder.path(), &[]);
    let builder = builder.database(&place.database.url_at(proxy.addr()));
    (builder.setting("DB_POOL_SIZE", 1), folder)
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_looked_up() {
    let place = Place::new().await;
    gate::build(&place.sql).await;
    let proxy = FaultProxy::start(place.database.addr()).await;
    let lost = async |id: &str| -> Said {
        let (import, _folder) = import(&place, &proxy, id);
        gate::close(&place.sql).await;
        let (said, ()) = tokio::join!(import.run(), async {
            gate::wait(&place.sql).await;
            proxy.kill_connections().await;
            gate::open(&place.sql).await;
        });
        said
    };
    let out = ok(lost("one").await);
    assert!(out.contains("verified 1 extensions in revision 1"), "{out}");
    let errors = failed(lost("fail").await);
    assert!(errors.ends_with("; nothing was written\n"), "{errors}");
    let ids = "SELECT string_agg(id, ',') FROM extensions";
    assert_eq!(place.value(ids).await, "one");
}

#[tokio::test]
async fn a_commit_that_is_refused_is_told_with_its_reason() {
    let place = Place::new().await;
    gate::build(&place.sql).await;
    let proxy = FaultProxy::start(place.database.addr()).await;
    let (import, _folder) = import(&place, &proxy, "fail");
    let errors = failed(import.run().await);
    assert_eq!(
        errors,
        "the database refuses: refused at COMMIT (P0001); nothing was written\n"
    );
}

#[tokio::test]
async fn whoever_holds_the_lock_is_named_from_a_single_place() {
    let place = Place::new().await;
    let proxy = FaultProxy::start(place.database.addr()).await;
    let (import, _folder) = import(&place, &proxy, "x");
    let hold = "BEGIN; UPDATE extensions SET enabled = enabled WHERE false";
    place.sql.batch_execute(hold).await.unwrap();
    let pid = place.value("SELECT pg_backend_pid()").await;
    let errors = failed(import.run().await);
    let blocked = format!("(55P03), blocked by pid {pid}, ");
    assert!(errors.starts_with("the database is locked: "), "{errors}");
    assert!(errors.contains(&blocked), "{errors}");
}
