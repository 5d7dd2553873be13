//! Concurrent writers of SQL, driven step by step, and the orders in which their steps can happen.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::harness::{DEADLINE, TestDatabase, eventually};
use crate::schema::{run, value};

/// A connection whose statements queue up behind a lock without holding up the test.
pub(crate) struct Writer {
    client: Arc<Client>,
    pid: String,
    pending: Vec<JoinHandle<()>>,
}

impl Writer {
    /// A connection of its own.
    pub(crate) async fn connect(database: &TestDatabase) -> Self {
        let client = Arc::new(database.connect().await);
        let pid = value(&client, "pg_backend_pid()").await;
        Self {
            client,
            pid,
            pending: Vec::new(),
        }
    }

    /// Sends a statement; returns when it has ended or waits for a lock.
    pub(crate) async fn send(&mut self, sql: String, observer: &Client) {
        let client = Arc::clone(&self.client);
        self.pending
            .push(tokio::spawn(async move { run(&client, &sql).await }));
        let waits = format!(
            "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = {}",
            self.pid
        );
        eventually("the statement ends or waits", DEADLINE, async || {
            self.pending.iter().all(JoinHandle::is_finished)
                || value(observer, &waits).await == "true"
        })
        .await;
    }

    /// Waits until every statement sent has ended.
    pub(crate) async fn finish(&mut self) {
        for statement in self.pending.drain(..) {
            statement.await.unwrap();
        }
    }
}

/// Every order of `steps` steps of each of `writers` writers.
pub(crate) fn interleavings(writers: usize, steps: usize) -> Vec<Vec<usize>> {
    fn extend(left: &mut [usize], order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if left.iter().all(|&left| left == 0) {
            all.push(order.clone());
        }
        for writer in 0..left.len() {
            if left[writer] > 0 {
                left[writer] -= 1;
                order.push(writer);
                extend(left, order, all);
                order.pop();
                left[writer] += 1;
            }
        }
    }
    let mut all = Vec::new();
    extend(&mut vec![steps; writers], &mut Vec::new(), &mut all);
    all
}
