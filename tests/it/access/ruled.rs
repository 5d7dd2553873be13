//! A database whose roles and grants are those that ship.

use beamline_registry::adapters::postgres::migrate::{migrate, seed};
use tokio_postgres::Client;

use crate::docs;
use crate::harness::postgres::{connect, psql};
use crate::harness::{DEADLINE, Postgres, TestDatabase};
use crate::schema::run;

pub(super) const ROLES: &str = "deploy/postgres/roles.sql";
pub(super) const GRANTS: &str = "deploy/postgres/grants.sql";

/// All roles in them.
pub(super) const NAMES: [&str; 4] = [
    "beamline_owner",
    "beamline_registry",
    "beamline_operator",
    "beamline_readonly",
];

/// A server of its own, since roles are the server's, with a migrated and seeded database.
pub(crate) struct Ruled {
    pub(crate) database: TestDatabase,
    pub(crate) server: Postgres,
}

impl Ruled {
    /// Set up as `docs/access.md` says.
    pub(crate) async fn start() -> Self {
        let this = Self::unmigrated().await;
        let mut owner = this.login("beamline_owner").await;
        migrate(&mut owner, DEADLINE).await.unwrap();
        seed(&owner).await.unwrap();
        this
    }

    /// The same, before it is migrated.
    pub(super) async fn unmigrated() -> Self {
        let server = Postgres::private().await;
        let database = TestDatabase::create_on(&server).await;
        let this = Self { database, server };
        this.file("postgres", ROLES).await.unwrap();
        let superuser = this.database.connect().await;
        for name in NAMES {
            let password = format!("ALTER ROLE {name} PASSWORD 'pw-{name}'");
            run(&superuser, &password).await;
        }
        this
    }

    /// Runs both files once more.
    pub(super) async fn again(&self) {
        for file in [ROLES, GRANTS] {
            self.file("postgres", file).await.unwrap();
        }
    }

    /// Runs one of them in psql, as it ships; what psql said where it failed.
    pub(super) async fn file(&self, role: &str, file: &str) -> Result<(), String> {
        let url = match role {
            "postgres" => self.database.url(),
            role => self.url(role),
        };
        psql(&url, &docs::file(file)).await
    }

    /// The URL by which a role logs in.
    pub(crate) fn url(&self, role: &str) -> String {
        let (addr, name) = (self.database.addr(), self.database.name());
        format!("postgres://{role}:pw-{role}@{addr}/{name}?sslmode=disable")
    }

    /// A connection of a role.
    pub(crate) async fn login(&self, role: &str) -> Client {
        connect(&self.url(role)).await.unwrap()
    }
}
