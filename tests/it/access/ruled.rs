//! A database whose roles and grants are those that ship.

use beamline_registry::adapters::postgres::migrate::{migrate, seed};
use tokio_postgres::Client;

use crate::harness::postgres::connect;
use crate::harness::{DEADLINE, Postgres, TestDatabase};
use crate::schema::run;

pub(super) const ROLES: &str = include_str!("../../../deploy/postgres/roles.sql");
pub(super) const GRANTS: &str = include_str!("../../../deploy/postgres/grants.sql");

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
        let server = Postgres::private().await;
        let database = TestDatabase::create_on(&server).await;
        let this = Self { database, server };
        let superuser = this.database.connect().await;
        run(&superuser, ROLES).await;
        for name in NAMES {
            let password = format!("ALTER ROLE {name} PASSWORD 'pw-{name}'");
            run(&superuser, &password).await;
        }
        let mut owner = this.login("beamline_owner").await;
        migrate(&mut owner, DEADLINE).await.unwrap();
        seed(&owner).await.unwrap();
        run(&owner, GRANTS).await;
        this
    }

    /// Runs both files once more.
    pub(super) async fn again(&self) {
        let superuser = self.database.connect().await;
        run(&superuser, ROLES).await;
        run(&superuser, GRANTS).await;
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
