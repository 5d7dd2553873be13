//! A gate before COMMIT: a deferred trigger holds each one that adds an extension until the test
//! opens the gate, and fails it for ids that begin with `fail`.

use tokio_postgres::Client;

use crate::harness::{DEADLINE, eventually};

const GATE: &str = "CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('lock_timeout', '0', true), pg_advisory_xact_lock(42);
        IF NEW.id LIKE 'fail%' THEN
            RAISE 'refused at COMMIT';
        END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER z_gate AFTER INSERT ON extensions DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION gate()";

/// Puts the gate there, open.
pub(crate) async fn build(sql: &Client) {
    sql.batch_execute(GATE).await.unwrap();
}

/// Closes it, as long as `sql` lives.
pub(crate) async fn close(sql: &Client) {
    let close = "SELECT pg_advisory_lock(42)";
    sql.batch_execute(close).await.unwrap();
}

/// Opens it; `sql` is who closed it.
pub(crate) async fn open(sql: &Client) {
    let open = "SELECT pg_advisory_unlock(42)";
    sql.batch_execute(open).await.unwrap();
}

/// Waits until a COMMIT is at the gate.
pub(crate) async fn wait(sql: &Client) {
    let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    eventually("a COMMIT is at the gate", DEADLINE, async || {
        let row = sql.query_one(waiting, &[]).await.unwrap();
        row.get::<_, bool>(0)
    })
    .await;
}
