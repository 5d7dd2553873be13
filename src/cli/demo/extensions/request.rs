//! A request as the registry sends it to an extension.

use async_nats::Message;
use serde_json::{Map, Value};

/// The fields that samples read: the message and the settings.
#[derive(Debug)]
pub(super) struct Request {
    fields: Map<String, Value>,
    /// Whether the caller takes an answer in pieces.
    pub(super) stream: bool,
}

impl Request {
    /// Reads a message; none when it is no JSON object.
    pub(super) fn read(message: &Message) -> Option<Self> {
        let headers = message.headers.as_ref();
        let accept = headers.and_then(|headers| headers.get("Beamline-Accept"));
        Some(Self {
            fields: serde_json::from_slice(&message.payload).ok()?,
            stream: accept.is_some_and(|accept| accept.as_str() == "stream"),
        })
    }

    /// The text of the message.
    pub(super) fn text(&self) -> &str {
        self.payload_text().unwrap_or_default()
    }

    /// The payload with another text.
    pub(super) fn payload_with(&self, text: String) -> Value {
        match self.fields.get("payload") {
            Some(Value::Object(payload)) => {
                let mut payload = payload.clone();
                payload.insert("text".to_owned(), text.into());
                payload.into()
            }
            _ => text.into(),
        }
    }

    /// What a provider is asked; its payload's fields stand at the top.
    pub(super) fn prompt(&self) -> &str {
        let prompt = self.fields.get("prompt").and_then(Value::as_str);
        prompt.unwrap_or_default()
    }

    /// A setting.
    pub(super) fn config(&self, name: &str) -> Option<&Value> {
        self.fields.get("config")?.get(name)
    }

    /// Whether a setting is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.config(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A setting that is a list of texts.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let values = self.config(name).and_then(Value::as_array);
        values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    fn payload_text(&self) -> Option<&str> {
        let payload = self.fields.get("payload")?;
        payload.get("text").unwrap_or(payload).as_str()
    }

    /// A request with these fields.
    #[cfg(test)]
    pub(super) fn of(fields: Value, stream: bool) -> Self {
        let Value::Object(fields) = fields else {
            panic!("a request is an object")
        };
        Self { fields, stream }
    }
}
