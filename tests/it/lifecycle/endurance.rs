//! What takes minutes: `just soak lifecycle::endurance`. The times are printed, and not asserted.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Behaviour, Client, DEADLINE, Extension, NatsServer, ports};
use crate::site::{Site, extensions, subject};

/// How long one question waits for its answer.
const PATIENCE: Duration = Duration::from_millis(200);
const RESTARTS: usize = 200;
const LOAD: usize = 8;

/// Asks until there is an answer.
async fn answered_at(client: &Client) {
    let lookup = subject("lookup");
    loop {
        let reply = client.try_request(&lookup, "plain", PATIENCE).await;
        match reply {
            Some(reply) if !reply.is_no_responders() => return drop(reply.ok()),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    eprintln!(
        "{what}: {} times, median {:.0?}, p90 {:.0?}, p99 {:.0?}, longest {:.0?}",
        times.len(),
        at(50),
        at(90),
        at(99),
        at(100),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn lookups_are_back_after_each_of_200_restarts_of_the_server() {
    let (mut site, daemon) = Site::served().await;
    let mut load = JoinSet::new();
    for _ in 0..LOAD {
        let client = Client::connect(&site.nats.url()).await;
        load.spawn(async move {
            loop {
                client
                    .try_request(&subject("lookup"), "plain", PATIENCE)
                    .await;
            }
        });
    }
    let mut times = Vec::new();
    for _ in 0..RESTARTS {
        site.nats.kill().await;
        site.nats.start_again().await;
        let begun = Instant::now();
        // A new client: how fast an old one comes back is not ours.
        answered_at(&Client::connect(&site.nats.url()).await).await;
        times.push(begun.elapsed());
    }
    load.shutdown().await;
    told("lookups back after a restart of nats-server", times);
    assert_eq!(daemon.exit_code(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn a_frozen_server_is_left_for_the_second_url() {
    let (first, second) = (NatsServer::start().await, NatsServer::start().await);
    let clients = [
        Client::connect(&first.url()).await,
        Client::connect(&second.url()).await,
    ];
    let site = Site::with(&extensions()).await;
    let urls = format!("{},{}", first.url(), second.url());
    let daemon = site.start(site.daemon().nats(&urls)).await;
    let mut times = Vec::new();
    for round in 0..20 {
        // Each lane has chosen one; all of them leave the first, and then the second.
        let (frozen, other) = match round % 2 {
            0 => (&first, &clients[1]),
            _ => (&second, &clients[0]),
        };
        let process = frozen.process().expect("a server of our own");
        process.signal("STOP");
        let begun = Instant::now();
        answered_at(other).await;
        times.push(begun.elapsed());
        process.signal("CONT");
    }
    told("lookups back after a server froze", times);
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
}

/// Three servers that know each other.
async fn cluster() -> Vec<NatsServer> {
    let ports = [(); 3].map(|()| ports::free_port());
    let routes = ports.map(|port| format!("\"nats://127.0.0.1:{port}\""));
    let mut servers = Vec::new();
    for (n, port) in ports.into_iter().enumerate() {
        let config = format!(
            "server_name: s{n}\nlame_duck_duration: \"30s\"\nlame_duck_grace_period: \"3s\"\n\
             cluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: [{}] }}",
            routes.join(", ")
        );
        servers.push(NatsServer::builder().config(&config).start().await);
    }
    servers
}

#[derive(Default)]
struct Counts {
    answered: usize,
    met_nobody: usize,
    lost: Vec<String>,
}

/// Asks until it is stopped: lookups and calls in turn.
async fn ask(url: String, stop: tokio_util::sync::CancellationToken) -> Counts {
    let client = Client::connect(&url).await;
    let call = json!({"id": "plain", "payload": {}}).to_string();
    let mut counts = Counts::default();
    for (verb, payload) in [("lookup", "plain"), ("invoke", &*call), ("get", "plain")]
        .into_iter()
        .cycle()
    {
        if stop.is_cancelled() {
            break;
        }
        let to = subject(verb);
        let asked = client.try_request(&to, payload.to_owned(), DEADLINE);
        match asked.await {
            None => counts.lost.push(format!("{verb} at {url}")),
            Some(reply) if reply.is_no_responders() => counts.met_nobody += 1,
            Some(reply) => {
                reply.ok();
                counts.answered += 1;
            }
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn servers_of_a_cluster_leave_one_after_the_other_and_no_accepted_request_is_lost() {
    let mut servers = cluster().await;
    let site = Site::with(&extensions()).await;
    let daemon = site.start(site.daemon().nats(&servers[0].url())).await;
    let at = extensions()[0]["subject"].as_str().unwrap().to_owned();
    for leaving in 0..3 {
        let others = [(leaving + 1) % 3, (leaving + 2) % 3];
        let extension = Extension::at(&servers[others[0]].url(), &at, Behaviour::Echo).await;
        let stop = tokio_util::sync::CancellationToken::new();
        let mut askers = JoinSet::new();
        for other in others {
            for _ in 0..8 {
                askers.spawn(ask(servers[other].url(), stop.clone()));
            }
        }
        let process = servers[leaving].process().expect("a server of our own");
        process.signal("USR2");
        process.wait_exit(Duration::from_secs(60)).await;
        stop.cancel();
        let (mut answered, mut met_nobody) = (0, 0);
        while let Some(counts) = askers.join_next().await {
            let counts = counts.unwrap();
            assert!(
                counts.lost.is_empty(),
                "server {leaving}: {:?}",
                counts.lost
            );
            answered += counts.answered;
            met_nobody += counts.met_nobody;
        }
        eprintln!("server {leaving} left: {answered} answered, {met_nobody} met nobody");
        assert!(answered > 1000, "{answered}");
        extension.leave().await;
        servers[leaving].start_again().await;
        let client = Client::connect(&servers[leaving].url()).await;
        answered_at(&client).await;
    }
    daemon.sigterm();
    assert_eq!(daemon.wait_exit(DEADLINE).await, 0);
}
