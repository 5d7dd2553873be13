use super::*;

#[tokio::test]
async fn subscriptions_are_there_again_after_a_restart() {
    let mut server = NatsServer::start().await;
    let lane = start(&[&server.url()]);
    ready(&lane).await;
    for _ in 0..3 {
        server.stop().await;
        server.start_again().await;
        ready(&lane).await;
        let client = Client::connect(&server.url()).await;
        assert_eq!(&echoed(&client, "again").await[..], b"again");
    }
    lane.close(soon()).await;
}

/// In a cluster of several, the log has to show which one it was.
#[tokio::test]
async fn a_server_that_is_killed_is_named() {
    let mut server = NatsServer::start().await;
    let notices = Arc::<Notices>::default();
    let observers = Observers::new(vec![Box::new(Arc::clone(&notices))]);
    let lane = start_beside(Arc::new(()), &[&server.url()], observers);
    ready(&lane).await;
    let named = format!("{}: the connection broke", server.addr());
    server.kill().await;
    eventually("a notice that names it", DEADLINE, || async {
        let notices = notices.0.lock().unwrap();
        notices.contains(&named).then_some(())
    })
    .await;
    lane.close(soon()).await;
}

/// CASES.md B9.
#[tokio::test]
async fn a_server_that_stands_still_is_left_for_another() {
    let (first, second) = (NatsServer::start().await, NatsServer::start().await);
    let lane = start(&[&first.url(), &second.url()]);
    ready(&lane).await;
    let clients = [
        Client::connect(&first.url()).await,
        Client::connect(&second.url()).await,
    ];
    // Whichever it has chosen.
    let on_first = !clients[0]
        .request(SUBJECT, "there?")
        .await
        .is_no_responders();
    let (frozen, other) = if on_first {
        (&first, &clients[1])
    } else {
        (&second, &clients[0])
    };
    let Some(process) = frozen.process() else {
        return;
    };
    process.signal("STOP");
    eventually("another server", DEADLINE, || async {
        !other.request(SUBJECT, "there?").await.is_no_responders()
    })
    .await;
    process.signal("CONT");
    lane.close(soon()).await;
}

/// One address of the name accepts connections and serves nobody.
#[tokio::test]
async fn each_address_of_a_name_is_tried() {
    let server = NatsServer::start().await;
    let addr = server.addr();
    let port = addr.rsplit(':').next().unwrap();
    let Ok(_silent) = tokio::net::TcpListener::bind(format!("[::1]:{port}")).await else {
        return;
    };
    let name = format!("localhost:{port}");
    let places = tokio::net::lookup_host(&name).await.unwrap();
    if places.filter(std::net::SocketAddr::is_ipv4).count() == 0 {
        return;
    }
    for _ in 0..2 {
        let lane = start(&[&format!("nats://{name}")]);
        ready(&lane).await;
        lane.close(soon()).await;
    }
}

#[tokio::test]
async fn a_lane_without_a_server_waits_for_one_and_can_be_closed() {
    let lane = start(&["nats://127.0.0.1:1"]);
    assert!(!lane.round_trip(Duration::from_secs(1)).await);
    timeout(DEADLINE, lane.drain(soon()))
        .await
        .expect("nothing to drain");
    timeout(DEADLINE, lane.close(soon()))
        .await
        .expect("nothing to close");
}
