//! Requests, made before the clock runs, and what a right answer to each looks like.

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use memchr::memmem;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;

use super::{Check, Form, MANY, Target};
use crate::bench::{extensions, records};

/// One request, ready to be sent.
pub(super) struct Request {
    /// Where to.
    pub(super) subject: Subject,
    /// The headers, if it has any.
    pub(super) headers: Option<HeaderMap>,
    /// The body.
    pub(super) payload: Bytes,
    /// How the record of each id begins in the answer.
    records: Vec<String>,
}

/// All requests of a job, one per extension.
pub(super) struct Requests {
    requests: Vec<Request>,
    check: Check,
}

/// The same sequence in every process, so that all targets are asked the same.
pub(super) fn random() -> SmallRng {
    SmallRng::seed_from_u64(0x005e_ed0f_beac)
}

impl Requests {
    /// Requests about the first `extensions` extensions, or the one that is always the same.
    pub(super) fn new(target: &Target, extensions: usize) -> Self {
        match target {
            Target::Nats {
                prefix,
                form,
                check,
                ..
            } => {
                let mut random = random();
                let request = |number| request(prefix, *form, number, extensions, &mut random);
                Self {
                    requests: (0..extensions).map(request).collect(),
                    check: *check,
                }
            }
            Target::Same {
                subject,
                headers,
                body,
                check,
                ..
            } => Self {
                requests: vec![Request::same(subject, headers, body)],
                check: *check,
            },
            _ => panic!("{target:?} takes no such requests"),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// One of them.
    pub(super) fn get(&self, number: usize) -> &Request {
        &self.requests[number]
    }

    /// Whether `message` is a right answer to request `number`.
    pub(super) fn verdict(&self, number: usize, message: &Message) -> Result<(), String> {
        let body = &message.payload[..];
        let right = message.status.is_none()
            && match self.check {
                Check::Length(bytes) => body.len() == bytes,
                Check::Record => self.get(number).answered_by(body),
                Check::Whole => self.get(number).answered_by(body) && is_whole(body),
                Check::Answer => body == extensions::ANSWER.as_bytes() && error(message).is_none(),
                Check::Error(number) => error(message) == Some(number),
            };
        if right {
            Ok(())
        } else {
            Err(complaint(self.get(number), message))
        }
    }
}

impl Request {
    fn same(subject: &str, headers: &[(String, String)], body: &str) -> Self {
        let headers = headers.iter();
        let headers: HeaderMap = headers
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        Self {
            subject: subject.to_owned().into(),
            headers: Some(headers).filter(|headers| !headers.is_empty()),
            payload: body.to_owned().into(),
            records: Vec::new(),
        }
    }

    /// Whether all records are there, in order. Deep within a record no such beginning can stand:
    /// it would need an object that starts with an id.
    fn answered_by(&self, body: &[u8]) -> bool {
        match &self.records[..] {
            [record] => body.starts_with(record.as_bytes()),
            records => {
                let mut rest = body;
                records
                    .iter()
                    .all(|record| match memmem::find(rest, record.as_bytes()) {
                        Some(at) => {
                            rest = &rest[at + record.len()..];
                            true
                        }
                        None => false,
                    })
            }
        }
    }
}

fn request(
    prefix: &str,
    form: Form,
    number: usize,
    extensions: usize,
    random: &mut SmallRng,
) -> Request {
    let id = records::id(number);
    let (subject, body, ids) = match form {
        Form::Json => (
            format!("{prefix}.lookup"),
            format!(r#"{{"id":"{id}"}}"#),
            vec![id],
        ),
        Form::Subject => (format!("{prefix}.lookup.{id}"), String::new(), vec![id]),
        Form::Many => {
            let others = (1..MANY).map(|_| records::id(random.random_range(0..extensions)));
            let ids: Vec<String> = std::iter::once(id).chain(others).collect();
            let body = serde_json::json!({ "ids": ids }).to_string();
            (format!("{prefix}.lookup"), body, ids)
        }
    };
    let records = ids.iter().map(|id| format!(r#"{{"id":"{id}","#)).collect();
    Request {
        subject: subject.into(),
        headers: None,
        payload: body.into(),
        records,
    }
}

#[derive(Deserialize)]
struct Generations {
    config: Generation,
    metadata: Generation,
}

#[derive(Deserialize, PartialEq)]
struct Generation {
    generation: u64,
}

fn is_whole(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|Generations { config, metadata }| config == metadata)
}

/// The number of an error that a reply says it is.
fn error(message: &Message) -> Option<u16> {
    let headers = message.headers.as_ref()?;
    headers
        .get("Nats-Service-Error-Code")?
        .as_str()
        .parse()
        .ok()
}

fn complaint(request: &Request, message: &Message) -> String {
    let body = String::from_utf8_lossy(&message.payload);
    let body: String = body.chars().take(300).collect();
    format!(
        "{} {:?} was answered with status {:?}, {body}",
        request.subject,
        request.records.first(),
        message.status
    )
}
