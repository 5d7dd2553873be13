//! The tour: a client of the registry follows the script in `tour.txt`, and prints the replies.

use std::fs;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use serde_json::json;
use tokio::time::sleep;

use super::Failure;
use super::extensions::Extensions;
use super::printer::Printer;
use crate::adapters::nats::ask::{AskError, Asker, Replies, Reply, servers};
use crate::cli::document::string;
use crate::config::Settings;
use crate::service::caller::CALL_ID;

/// A word and what it is about, in each line:
///
/// | word | does |
/// |---|---|
/// | `#`, `-`, `$` | prints a chapter, a note, a command |
/// | `save FILE` | changes that fixture |
/// | `mood ID MOOD` | breaks a sample extension, or repairs it |
/// | `until WHAT VERB PAYLOAD` | asks until the reply is so ([`is_so`]), and keeps it |
/// | `reply` | shows the request and the reply that are kept |
/// | `event [KIND]` | shows events up to one of that kind, which has to come; of none, those that come at once |
/// | `stream VERB PAYLOAD` | asks for an answer in pieces, and shows each |
/// | `cancel VERB PAYLOAD` | the same, but the call is cancelled after the first piece |
/// | `once` | is the end of `demo --once` |
/// | `listen` | shows events for ever |
/// | a verb | asks, and shows request and reply |
const SCRIPT: &str = include_str!("tour.txt");
/// What `save` writes.
const CHANGED: &str = include_str!("fixtures/normalize_text.json");

/// For the daemon to come up, for each reply, for a circuit to close.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at something that has not happened yet.
const PAUSE: Duration = Duration::from_millis(25);
/// For an event that what was just seen should have caused; it travels by itself.
const EVENT_PATIENCE: Duration = Duration::from_secs(1);

/// A connection to the registry's server, as routers and operators have one.
pub(super) struct Visit {
    settings: Settings,
    printer: Printer,
    asker: Asker,
    events: Replies,
    kept: Option<Kept>,
}

/// A request and its reply, how long that took, and how many there were before.
struct Kept {
    request: String,
    reply: Reply,
    took: Duration,
    before: usize,
}

impl Visit {
    /// Connects, and hears every event from now on.
    pub(super) async fn begin(settings: Settings, printer: Printer) -> Result<Self, Failure> {
        let asker = Asker::connect(&settings.nats, "beamline-registry/demo", PATIENCE).await?;
        let events = format!("{}.events.>", settings.subjects.prefix.as_str());
        let visit = Self {
            printer,
            events: asker.subscribe(events).await?,
            settings,
            asker,
            kept: None,
        };
        // Once there is an answer, even an error, the server knows of the subscription before it.
        visit.asked("ping", 0).await?;
        Ok(visit)
    }

    /// Follows the script to its end. The error names what did not happen.
    pub(super) async fn tour(
        &mut self,
        extensions: &Extensions,
        once: bool,
    ) -> Result<(), Failure> {
        for line in SCRIPT.lines().skip(1).filter(|line| !line.is_empty()) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
            match word {
                "once" if once => return Ok(()),
                "once" => {}
                "#" | "-" | "$" => self.say(word, rest),
                "save" => fs::write(self.settings.source.fixtures_dir.join(rest), CHANGED)?,
                "mood" => extensions.put(first, second),
                "until" => self.until(first, second).await?,
                "reply" => self.show(),
                "event" => self.hear(rest).await?,
                "stream" => {
                    let (asked, mut replies) = self.ask_for_pieces(rest).await?;
                    self.pieces(asked, &mut replies).await?;
                }
                "cancel" => self.cancel(rest).await?,
                "listen" => self.listen().await,
                _ => {
                    let kept = self.asked(line, 0).await?;
                    self.kept = Some(kept.ok_or("no version serves")?);
                    self.show();
                    self.overhear(Duration::ZERO).await;
                }
            }
        }
        Ok(())
    }

    /// A line of text, in which names in braces stand for values of this run.
    fn say(&self, kind: &str, text: &str) {
        let settings = &self.settings;
        let fixtures = &settings.source.fixtures_dir;
        let http = settings.http.addr.map(|addr| addr.to_string());
        if http.is_none() && text.contains("{http}") {
            return;
        }
        let more = self.kept.as_ref().map_or(0, |kept| kept.before);
        let names = [
            ("{url}", servers(&settings.nats)),
            ("{prefix}", settings.subjects.prefix.as_str().to_owned()),
            ("{http}", http.unwrap_or_default()),
            ("{fixtures}", fixtures.display().to_string()),
            ("{more}", more.to_string()),
        ];
        let mut text = text.to_owned();
        for (name, value) in names {
            text = text.replace(name, &value);
        }
        self.printer.say(kind, &text);
    }

    fn show(&self) {
        if let Some(kept) = &self.kept {
            self.printer.request("", &self.subject(&kept.request));
            self.printer.reply(&kept.reply, kept.took);
        }
    }

    async fn until(&mut self, what: &str, request: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        for before in 0.. {
            match self.asked(request, before).await? {
                Some(kept) if is_so(what, &kept.reply) => {
                    self.kept = Some(kept);
                    return Ok(());
                }
                _ if Instant::now() > deadline => break,
                _ => sleep(PAUSE).await,
            }
        }
        Err(format!("no reply was as it should be: {what} {request}").into())
    }

    /// Shows the first piece, cancels the call, and shows what comes then, and what its extension
    /// hears of it.
    async fn cancel(&mut self, request: &str) -> Result<(), Failure> {
        let mut heard = self.asker.subscribe(self.subject("cancelled.*")).await?;
        let (asked, mut replies) = self.ask_for_pieces(request).await?;
        let first = replies.next(PATIENCE).await?;
        self.printer.reply(&first, asked.elapsed());
        let said = |name: &str| first.header(name).unwrap_or_default().to_owned();
        let body = json!({ "call": said(CALL_ID) });
        let cancel = format!("local.{}.cancel {body}", said("Beamline-Served-By"));
        let kept = self.asked(&cancel, 0).await?;
        self.kept = Some(kept.ok_or("no version serves")?);
        self.show();
        self.pieces(asked, &mut replies).await?;
        self.printer.message(&heard.next(PATIENCE).await?);
        Ok(())
    }

    async fn ask_for_pieces(&self, request: &str) -> Result<(Instant, Replies), Failure> {
        let options = "--replies=0 -H Beamline-Accept:stream ";
        self.printer.request(options, &self.subject(request));
        let asked = Instant::now();
        let mut headers = HeaderMap::new();
        headers.insert("Beamline-Accept", "stream");
        Ok((asked, self.send(request, headers).await?))
    }

    /// Shows each piece of an answer as it comes; the last one is empty, or an error.
    async fn pieces(&self, asked: Instant, replies: &mut Replies) -> Result<(), Failure> {
        loop {
            let reply = replies.next(PATIENCE).await?;
            self.printer.reply(&reply, asked.elapsed());
            if reply.header("Beamline-Stream") != Some("chunk") {
                return Ok(());
            }
        }
    }

    async fn hear(&mut self, kind: &str) -> Result<(), Failure> {
        let wanted = self.subject(&format!("events.{kind}"));
        while !kind.is_empty() {
            let event = self.events.next(PATIENCE).await?;
            self.printer.event(&event);
            if event.subject == wanted {
                return Ok(());
            }
        }
        self.overhear(EVENT_PATIENCE).await;
        Ok(())
    }

    /// Shows the event that comes within `patience`, and those that have come with it.
    async fn overhear(&mut self, mut patience: Duration) {
        while let Ok(event) = self.events.next(patience).await {
            self.printer.event(&event);
            patience = Duration::ZERO;
        }
    }

    async fn listen(&mut self) {
        loop {
            match self.events.next(PATIENCE).await {
                Ok(event) => self.printer.event(&event),
                Err(AskError::Silent(_) | AskError::NoResponders) => {}
                Err(_) => return,
            }
        }
    }

    /// The reply to `request`, a verb and a payload, if a version serves.
    async fn asked(&self, request: &str, before: usize) -> Result<Option<Kept>, AskError> {
        let asked = Instant::now();
        let mut replies = self.send(request, HeaderMap::new()).await?;
        let reply = match replies.next(PATIENCE).await {
            Err(AskError::NoResponders) => return Ok(None),
            reply => reply?,
        };
        Ok(Some(Kept {
            request: request.to_owned(),
            reply,
            took: asked.elapsed(),
            before,
        }))
    }

    async fn send(&self, request: &str, headers: HeaderMap) -> Result<Replies, AskError> {
        let request = self.subject(request);
        let (subject, payload) = request.split_once(' ').unwrap_or((&request, ""));
        let (subject, body) = (subject.to_owned(), payload.to_owned().into());
        self.asker.ask(subject, headers, body, PATIENCE).await
    }

    /// What is under our prefix.
    fn subject(&self, name: &str) -> String {
        format!("{}.{name}", self.settings.subjects.prefix.as_str())
    }
}

/// Whether a reply is as wanted: any reply, one of the extension itself, of its fallback, or with
/// `PATH=VALUE` in its document.
fn is_so(what: &str, reply: &Reply) -> bool {
    let fallback = reply.header("Beamline-Fallback-From").is_some();
    match what.split_once('=') {
        Some((path, value)) => {
            let document = serde_json::from_slice(&reply.body);
            document.is_ok_and(|document| string(document, path) == value)
        }
        None if what == "own" => reply.header("Nats-Service-Error-Code").is_none() && !fallback,
        None if what == "fallback" => fallback,
        None => true,
    }
}
