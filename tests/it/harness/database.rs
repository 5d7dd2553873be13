//! A database per test.

use super::postgres::{self, Postgres};

/// An empty database with a name of its own; dropped, with all sessions in it, on drop.
pub(crate) struct TestDatabase {
    addr: String,
    name: String,
}

impl TestDatabase {
    /// On the server that all tests share.
    pub(crate) async fn create() -> Self {
        Self::create_on(Postgres::shared().await).await
    }

    /// On a server of the test's own.
    pub(crate) async fn create_on(server: &Postgres) -> Self {
        let name = format!("test_{:016x}", rand::random::<u64>());
        let admin = server.connect("postgres").await.unwrap();
        admin
            // Whatever locale the server was installed under: texts are UTF-8, as in production.
            .batch_execute(&format!(
                "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
            ))
            .await
            .unwrap();
        Self {
            addr: server.addr(),
            name,
        }
    }

    /// `postgres://...`
    pub(crate) fn url(&self) -> String {
        self.url_at(&self.addr)
    }

    /// The same through another address, such as a fault proxy's.
    pub(crate) fn url_at(&self, addr: &str) -> String {
        Postgres::url_at(addr, &self.name)
    }

    /// The server's `127.0.0.1:<port>`, as a fault proxy wants it.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// The database's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A connection; it ends with the client, or with this database.
    pub(crate) async fn connect(&self) -> tokio_postgres::Client {
        postgres::connect(&self.url()).await.unwrap()
    }
}

impl Drop for TestDatabase {
    /// On a thread of its own: the test's runtime may be busy unwinding. A server that is away or
    /// gone keeps the database, and takes it along at the end of the run.
    fn drop(&mut self) {
        let url = Postgres::url_at(&self.addr, "postgres");
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let drop = async {
                    postgres::connect(&url)
                        .await?
                        .batch_execute(&statement)
                        .await
                };
                let _away = tokio::time::timeout(super::DEADLINE, drop).await;
            });
        });
        let _already_panicking = dropper.join();
    }
}
