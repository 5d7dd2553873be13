//! A headless Chromium, driven over WebDriver: real keys, real layout, real network.
//!
//! `scripts/browser` sees to it that Chromium and its driver are there.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::http;
use super::ports;
use super::process::Process;
use super::wait::{DEADLINE, eventually};

/// As the machine's own notes say it starts: no sandbox for root, no talk to anybody but us. Over
/// the pipe it ends with its driver, however that ends.
const ARGUMENTS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// A key that is no character.
pub(crate) mod key {
    pub(crate) const TAB: &str = "\u{e004}";
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const ESCAPE: &str = "\u{e00c}";
    pub(crate) const DOWN: &str = "\u{e015}";
}

/// One browser with one tab; gone on drop.
pub(crate) struct Browser {
    _driver: Process,
    addr: String,
    session: String,
}

/// The driver and its port. It would choose one itself, by IPv6 alone, and end where another listens
/// there by IPv4.
async fn driver() -> (Process, u16) {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let port = ports::free_port();
        let mut command = Process::command(Path::new("chromedriver"), "TERM", None);
        command.arg(format!("--port={port}"));
        let driver = Process::spawn("chromedriver", command).await;
        let begun = |line: &str| line.contains("started successfully").then_some(());
        match driver.wait_line("its port", DEADLINE, begun).await {
            Ok(()) => return (driver, port),
            Err(log) if attempts < 10 && ports::is_taken(&log) => {}
            Err(log) => panic!("{log}"),
        }
    }
}

impl Browser {
    /// An empty tab of so many pixels.
    pub(crate) async fn start(width: u32, height: u32) -> Self {
        let (driver, port) = driver().await;
        let mut browser = Self {
            _driver: driver,
            addr: format!("127.0.0.1:{port}"),
            session: String::new(),
        };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": ARGUMENTS},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.command("POST", "/session", Some(&wanted)).await;
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser.resize(width, height).await;
        browser
    }

    /// Another size; one below 500 pixels is that of a phone.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// What the reader's system prefers: `dark` or `light`.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.devtools("Emulation.setEmulatedMedia", json!({"features": [feature]}))
            .await;
    }

    /// Opens a page.
    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    /// What the body of a function gives when it runs in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []}))
            .await
    }

    /// Waits until a script gives something other than nothing, `false` and 0.
    pub(crate) async fn wait(&self, what: &str, script: &str) -> Value {
        eventually(what, DEADLINE, async || {
            let value = self.run(script).await;
            match value {
                Value::Null | Value::Bool(false) => Err(value),
                Value::Number(ref number) if number.as_f64() == Some(0.0) => Err(value),
                value => Ok(value),
            }
        })
        .await
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            let stroke = |kind: &str| json!({"type": kind, "value": key});
            [stroke("keyDown"), stroke("keyUp")]
        });
        let actions: Vec<Value> = strokes.collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("/actions", json!({"actions": [keyboard]})).await;
    }

    /// What the browser complained about since the last time: errors of scripts, refused loads,
    /// offences against the page's own policy.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().unwrap().iter();
        let told = |entry: &Value| entry["message"].as_str().unwrap().to_owned();
        entries.map(told).collect()
    }

    /// Keeps a picture of what is seen, for people: in `target/tmp/browser/`.
    pub(crate) async fn picture(&self, name: &str) {
        let encoded = self.command("GET", &self.path("/screenshot"), None).await;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser");
        std::fs::create_dir_all(&folder).unwrap();
        let bytes = BASE64_STANDARD.decode(encoded.as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        let body = json!({"cmd": command, "params": params});
        self.post("/goog/cdp/execute", body).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.command("POST", &self.path(path), Some(&body)).await
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.session)
    }

    async fn command(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let text = request(&self.addr, method, path, body);
        let reply = timeout(DEADLINE, http::request(&self.addr, &text)).await;
        let reply = reply.expect("an answer of the driver").unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.json()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Lets the driver remove the browser's folder; without an answer it ends all the same.
        let text = request(&self.addr, "DELETE", &self.session, None);
        if let Ok(mut stream) = TcpStream::connect(&self.addr) {
            let _ended = stream.set_read_timeout(Some(DEADLINE));
            let _ended = stream.write_all(text.as_bytes());
            let _ended = stream.read(&mut [0; 64]);
        }
    }
}

fn request(addr: &str, method: &str, path: &str, body: Option<&Value>) -> String {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    if !body.is_empty() {
        let length = body.len();
        let _infallible = write!(
            text,
            "Content-Type: application/json\r\nContent-Length: {length}\r\n"
        );
    }
    text + "\r\n" + &body
}
