use std::collections::BTreeSet;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::config::NatsAuth;

fn address(text: &str) -> NatsAddress {
    NatsAddress::parse(text).unwrap()
}

fn servers(texts: &[&str]) -> Servers {
    Servers::new(texts.iter().map(|text| address(text)).collect())
}

fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn names(servers: &Servers) -> Vec<String> {
    let order = servers.order.iter();
    order.map(|entry| entry.address.to_string()).collect()
}

#[test]
fn servers_take_turns_and_pauses_come_between_rounds() {
    let mut servers = servers(&["a", "b"]);
    let mut turn = || {
        let pause = servers.pause(1.0).as_millis();
        let host = servers.advance().unwrap().host;
        (pause, host, servers.rounds())
    };
    let turns: Vec<_> = (0..7).map(|_| turn()).collect();
    let hosts = ["a", "b", "a", "b", "a", "b", "a"];
    let pauses = [0, 0, 50, 0, 100, 0, 200];
    for (at, (turn, pause)) in turns.iter().zip(pauses).enumerate() {
        let expected = (pause, hosts[at].to_owned(), at / 2);
        assert_eq!(*turn, expected, "{turns:?}");
    }
    servers.ended(SETTLED);
    assert_eq!(servers.pause(1.0), Duration::ZERO, "another server at once");
    servers.advance().unwrap();
    assert_eq!(servers.rounds(), 0, "the settled session counts as none");
    servers.attempts = 1_000_000;
    assert_eq!(servers.pause(1.0), LONGEST_PAUSE);
    assert_eq!(servers.pause(0.0), LONGEST_PAUSE / 2);
}

#[test]
fn pauses_grow_and_stay_below_the_longest() {
    for (attempts, longest) in [(0, 50), (1, 50), (2, 100), (10, 2000), (usize::MAX, 2000)] {
        let longest = Duration::from_millis(longest);
        assert_eq!(pause(attempts, 1.0), longest, "{attempts}");
        assert_eq!(pause(attempts, 0.0), longest / 2, "{attempts}");
    }
}

#[test]
fn a_server_that_drops_us_at_once_is_not_hammered() {
    for (texts, pauses) in [
        (&["a"][..], [50, 100, 200, 400, 800, 1600, 2000, 2000]),
        (&["a", "b"], [50, 50, 50, 100, 50, 200, 50, 400]),
    ] {
        let mut servers = servers(texts);
        for pause in pauses {
            servers.advance().unwrap();
            servers.ended(Duration::from_millis(10));
            assert_eq!(servers.pause(1.0).as_millis(), pause, "{texts:?}");
        }
        servers.ended(SETTLED);
        assert_eq!(servers.pause(1.0), Duration::ZERO);
    }
}

#[test]
fn the_cluster_is_learned_and_forgotten() {
    let (mut servers, mut random) = (servers(&["nats://u:p@seed"]), random());
    let seed = servers.advance().unwrap();
    let urls = |urls: &[&str]| -> Vec<String> { urls.iter().map(|&url| url.to_owned()).collect() };
    servers.learn(
        &urls(&["seed:4222", "10.0.0.2:4222", "b:1", "not an address!"]),
        &seed,
        &mut random,
    );
    assert_eq!(names(&servers)[2], "seed:4222");
    let of = |name: &str| {
        let mut order = servers.order.iter();
        let entry = order.find(|entry| entry.address.to_string() == name);
        entry.unwrap().address.clone()
    };
    let learned = of("10.0.0.2:4222");
    assert_eq!(learned.certificate_name, "seed");
    assert!(matches!(&learned.login, Some(NatsAuth::User { name, .. }) if name == "u"));
    assert_eq!(of("b:1").certificate_name, "b");
    servers.learn(&urls(&["c:1"]), &address("10.0.0.2"), &mut random);
    assert_eq!(names(&servers), ["seed:4222", "c:1", "10.0.0.2:4222"]);
    let many: Vec<String> = (0..1000).map(|n| format!("n{n}:1")).collect();
    servers.learn(&many, &seed, &mut random);
    assert_eq!(servers.order.len(), 1 + MAX_LEARNED);
}

#[test]
fn a_server_that_does_not_advertise_makes_us_forget_nobody_before_it_goes() {
    let (mut servers, mut random) = (servers(&["a"]), random());
    let current = servers.advance().unwrap();
    let mut info = ServerInfo {
        connect_urls: vec!["b:1".to_owned()],
        ..ServerInfo::default()
    };
    servers.informed(&info, &current, &mut random);
    info.connect_urls.clear();
    servers.informed(&info, &current, &mut random);
    assert_eq!(names(&servers), ["b:1", "a:4222"]);
    info.ldm = true;
    servers.informed(&info, &current, &mut random);
    assert_eq!(names(&servers), ["a:4222"]);
}

#[test]
fn a_server_that_is_lost_comes_after_those_learned_from_it() {
    let (mut random, mut first) = (random(), BTreeSet::new());
    for _ in 0..100 {
        let mut servers = servers(&["a"]);
        let current = servers.advance().unwrap();
        servers.ended(SETTLED);
        let urls = ["a:4222", "b:1", "c:1"].map(str::to_owned);
        servers.learn(&urls, &current, &mut random);
        let mut tried = Vec::new();
        for _ in 0..3 {
            assert_eq!(servers.pause(1.0), Duration::ZERO, "{tried:?}");
            tried.push(servers.advance().unwrap().host);
        }
        assert_eq!(tried[2], "a");
        first.insert(tried.swap_remove(0));
    }
    assert_eq!(first.len(), 2, "a fleet moves to all of them");
}

/// A certificate for a server's IP address is not another server's.
#[test]
fn addresses_learned_at_an_address_are_checked_by_their_own() {
    for (entered, name) in [("tls://10.0.0.1", "10.0.0.2"), ("tls://seed", "seed")] {
        let mut servers = servers(&[entered]);
        let urls = ["10.0.0.2:4222".to_owned()];
        servers.learn(&urls, &address(entered), &mut random());
        let learned = servers.order.iter().find(|entry| entry.learned).unwrap();
        assert_eq!(learned.address.certificate_name, name, "{entered}");
    }
}

#[test]
fn who_is_learned_gets_the_login_of_whom_it_was_learned_from() {
    for (configured, at, user) in [
        ("nats://u1:p@dead", "nats://u2:p@live", Some("u2")),
        ("nats://u1:p@dead", "nats://live", None),
    ] {
        let mut servers = servers(&[configured, at]);
        servers.learn(&["b:1".to_owned()], &address(at), &mut random());
        let learned = servers.order.iter().find(|entry| entry.learned).unwrap();
        let known = match &learned.address.login {
            Some(NatsAuth::User { name, .. }) => Some(name.as_str()),
            _ => None,
        };
        assert_eq!(known, user);
    }
}

#[test]
fn a_shuffle_keeps_every_server() {
    let mut servers = servers(&["a", "b", "c"]);
    let (mut random, mut first) = (StdRng::seed_from_u64(1), BTreeSet::new());
    for _ in 0..100 {
        servers.shuffle(&mut random);
        let mut order = names(&servers);
        first.insert(order[0].clone());
        order.sort();
        assert_eq!(order, ["a:4222", "b:4222", "c:4222"]);
    }
    assert_eq!(first.len(), 3, "each is the first at times");
}
