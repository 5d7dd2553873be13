//! Essential tasks: the death of one ends the process, on purpose.

use std::future::Future;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// The essential tasks and the token that ends them.
#[derive(Debug)]
pub(super) struct Essential {
    tasks: JoinSet<&'static str>,
    alive: Vec<&'static str>,
    stop: CancellationToken,
}

impl Essential {
    pub(super) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            alive: Vec::new(),
            stop: CancellationToken::new(),
        }
    }

    /// A token that is cancelled when the tasks should end.
    pub(super) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }

    pub(super) fn spawn<F, T>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.alive.push(name);
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits until one of the tasks ends, by returning or by a panic.
    pub(super) async fn death(&mut self) -> &'static str {
        match self.tasks.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) => "panicked",
            None => std::future::pending().await,
        }
    }

    /// Ends the tasks, until `end`; the names of those that would not.
    pub(super) async fn stop(mut self, end: Instant) -> Vec<&'static str> {
        self.stop.cancel();
        let mut alive = self.alive;
        let _ = timeout_at(end, async {
            while let Some(ended) = self.tasks.join_next().await {
                alive.retain(|name| !matches!(ended, Ok(ended) if ended == *name));
            }
            alive.clear();
        })
        .await;
        alive
    }
}
