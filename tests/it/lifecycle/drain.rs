//! SIGTERM under load: every request gets one reply, from whoever is there, or hears at once that
//! nobody is. None is lost, none is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Client, DEADLINE, eventually};
use crate::site::{Site, extension, subject};

const CONNECTIONS: usize = 3;
/// Requests in flight per connection.
const IN_FLIGHT: usize = 48;
/// Requests answered under load before the signal.
const WARM_UP: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_of_two_leaves_and_no_request_is_lost() {
    let site = Site::with(&fixtures()).await;
    let stays = site.start(site.named("stays")).await;
    for round in 0..10 {
        let leaves = site.start(site.named("leaves")).await;
        let load = Load::start(&site).await;
        load.wait(WARM_UP).await;
        leaves.sigterm();
        assert_eq!(leaves.wait_exit(DEADLINE).await, 0, "round {round}");
        // What was on its way when it left is answered, lost or refused by now.
        load.wait(WARM_UP).await;
        assert_eq!(
            load.finish().await,
            0,
            "round {round}: the other was there all the time"
        );
    }
    stays.sigterm();
    assert_eq!(stays.wait_exit(DEADLINE).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_sidecar_leaves_and_answers_what_it_took() {
    leave_again_and_again(5, WARM_UP).await;
}

/// In release: `just soak drain`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn a_hundred_sidecars_leave_and_answer_what_they_took() {
    leave_again_and_again(100, 20_000).await;
}

async fn leave_again_and_again(rounds: usize, warm_up: usize) {
    let site = Site::with(&fixtures()).await;
    for round in 0..rounds {
        let daemon = site.start(site.daemon()).await;
        let load = Load::start(&site).await;
        let begun = Instant::now();
        load.wait(warm_up).await;
        let rate = warm_up as f64 / begun.elapsed().as_secs_f64();
        eprintln!("round {round}: SIGTERM under {rate:.0} requests a second");
        daemon.sigterm();
        assert_eq!(daemon.wait_exit(DEADLINE).await, 0, "round {round}");
        assert_eq!(
            load.turned_away().await,
            CONNECTIONS * IN_FLIGHT,
            "each met nobody"
        );
    }
}

/// Small records: it is their number that counts.
fn fixtures() -> serde_json::Value {
    json!([extension("pre", "a"), extension("post", "b")])
}

/// Clients that ask without a pause.
struct Load {
    clients: Vec<Arc<Client>>,
    askers: JoinSet<bool>,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Load {
    async fn start(site: &Site) -> Self {
        let mut load = Self {
            clients: Vec::new(),
            askers: JoinSet::new(),
            answered: Arc::default(),
            stop: Arc::default(),
        };
        for _ in 0..CONNECTIONS {
            let client = Arc::new(Client::connect(&site.nats.url()).await);
            for n in 0..IN_FLIGHT {
                let (answered, stop) = (Arc::clone(&load.answered), Arc::clone(&load.stop));
                load.askers
                    .spawn(ask(Arc::clone(&client), n, answered, stop));
            }
            load.clients.push(client);
        }
        load
    }

    /// Waits until `more` requests have been answered.
    async fn wait(&self, more: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + more;
        eventually("answers under load", DEADLINE, async || {
            let answered = self.answered.load(Ordering::Relaxed);
            if answered >= wanted {
                Ok(())
            } else {
                Err(answered)
            }
        })
        .await;
    }

    /// Ends it; how many met nobody. Panics when a request was lost or answered twice.
    async fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.turned_away().await
    }

    /// The same, but each asks until nobody is there.
    async fn turned_away(mut self) -> usize {
        let mut turned_away = 0;
        while let Some(asker) = self.askers.join_next().await {
            turned_away += usize::from(asker.unwrap());
        }
        for client in &self.clients {
            client.assert_one_reply_each().await;
        }
        turned_away
    }
}

/// Asks until told to stop, or until nobody is there: then true. A request that is lost panics at
/// its deadline, one that is refused at once.
async fn ask(
    client: Arc<Client>,
    n: usize,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> bool {
    // The mix touches both connections of the daemon, and the tasks behind one of them.
    let (verb, payload) = [("lookup", "a"), ("lookup", "a"), ("list", ""), ("get", "b")][n % 4];
    let subject = subject(verb);
    while !stop.load(Ordering::Relaxed) {
        let reply = client.request(&subject, payload).await;
        if reply.is_no_responders() {
            return true;
        }
        reply.ok();
        answered.fetch_add(1, Ordering::Relaxed);
    }
    false
}
