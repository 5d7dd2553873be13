//! Under which names the server answers, and to whose pages.

use super::*;

/// The status of an answer to a request line and headers; the token is sent with it.
async fn status(server: &Server, line: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let request =
        format!("{line}\r\n{headers}connection: close\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (head, _) = read(&mut stream).await;
    head.split_whitespace().nth(1).unwrap().to_owned()
}

/// A page whose name was made to lead here (DNS rebinding) reads nothing.
#[tokio::test]
async fn only_our_own_names_are_answered() {
    let server = Server::start().await;
    for (host, answered) in [
        ("127.0.0.1", true),
        ("10.1.2.3:9640", true),
        ("[::1]", true),
        ("[fe80::1]:9640", true),
        ("localhost", true),
        ("LocalHost:8080", true),
        ("localhost.:80", true),
        ("registry.example", true),
        ("REGISTRY.example.:9640", true),
        ("registry.example:", true),
        ("", true),
        ("evil.example", false),
        ("evil.example:9640", false),
        ("localhost.evil.example", false),
        ("evil.localhost", false),
        ("registry.example.evil.example", false),
        ("xregistry.example", false),
        ("127.0.0.1.evil.example", false),
        ("evil.example@127.0.0.1", false),
        ("127.0.0.1@evil.example", false),
        ("127.0.0.1:80:evil", false),
        ("localhost..", false),
        ("[::1]evil", false),
        ("[::1", false),
        ("[localhost]", false),
        ("::1", false),
        (":80", false),
        (".", false),
        ("local host", false),
        ("localhost, evil.example", false),
        ("l\u{f6}calhost", false),
    ] {
        for path in ["/", "/admin/stats", "/metrics", "/openapi.json", "/nothing"] {
            let line = format!("GET {path} HTTP/1.1");
            let found = status(&server, &line, &format!("host: {host}\r\n")).await;
            let refused = found == "421";
            assert_eq!(!refused, answered, "{path} at {host:?}");
        }
        for probe in ["/livez", "/startupz"] {
            let line = format!("GET {probe} HTTP/1.1");
            let found = status(&server, &line, &format!("host: {host}\r\n")).await;
            assert_eq!(found, "200", "{probe} at {host:?}");
        }
    }
    for (line, headers, expected) in [
        ("GET /admin/stats HTTP/1.1", "", "200"),
        ("GET /admin/stats HTTP/1.0", "", "200"),
        // What the target names counts before the header.
        (
            "GET http://evil.example/admin/stats HTTP/1.1",
            "host: localhost\r\n",
            "421",
        ),
        (
            "GET http://localhost/admin/stats HTTP/1.1",
            "host: evil.example\r\n",
            "421",
        ),
        (
            "GET http://x@localhost/admin/stats HTTP/1.1",
            "host: localhost\r\n",
            "421",
        ),
        (
            "GET http://localhost:1/admin/stats HTTP/1.1",
            "host: localhost:1\r\n",
            "200",
        ),
        (
            "CONNECT evil.example:80 HTTP/1.1",
            "host: localhost\r\n",
            "421",
        ),
        (
            "GET /admin/stats HTTP/1.1",
            "host: localhost\r\nhost: evil.example\r\n",
            "400",
        ),
        (
            "GET /admin/stats HTTP/1.1",
            "host: evil.example\r\nhost: localhost\r\n",
            "400",
        ),
        ("GET /livez/ HTTP/1.1", "host: evil.example\r\n", "421"),
        ("GET //livez HTTP/1.1", "host: evil.example\r\n", "421"),
    ] {
        let found = status(&server, line, headers).await;
        assert_eq!(found, expected, "{line} {headers}");
    }
    server.end().await;
}

#[tokio::test]
async fn another_sites_page_may_link_to_the_status_page_and_no_more() {
    let server = Server::start().await;
    for (path, site, mode, expected) in [
        ("/", "cross-site", "navigate", "200"),
        ("/", "cross-site", "no-cors", "403"),
        ("/admin/stats", "cross-site", "navigate", "403"),
        ("/admin/stats", "cross-site", "cors", "403"),
        ("/metrics", "cross-site", "no-cors", "403"),
        ("/page/main.js", "cross-site", "no-cors", "403"),
        ("/live", "cross-site", "cors", "403"),
        ("/page/main.js", "same-origin", "cors", "200"),
        ("/admin/stats", "same-origin", "cors", "200"),
        ("/admin/stats", "none", "navigate", "200"),
    ] {
        let headers =
            format!("host: localhost\r\nsec-fetch-site: {site}\r\nsec-fetch-mode: {mode}\r\n");
        let found = status(&server, &format!("GET {path} HTTP/1.1"), &headers).await;
        assert_eq!(found, expected, "{path} {site} {mode}");
    }
    server.end().await;
}
