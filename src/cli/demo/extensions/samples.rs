//! What each sample answers: a function of the request.

use serde_json::{Value, json};

use super::patterns;

/// One document; several are a stream, for a caller that takes pieces.
pub(super) fn answer(id: &str, request: &Value, in_pieces: bool) -> Vec<Value> {
    match id {
        "normalize_text" => vec![normalize_text(request)],
        "pii_guard" => vec![pii_guard(request)],
        "mask_sensitive_data" => vec![mask_sensitive_data(request)],
        "story_teller" => story_teller(request, in_pieces),
        _ => vec![mock_provider(request)],
    }
}

/// `pre`: trims the text and makes it lower case, by its settings.
fn normalize_text(request: &Value) -> Value {
    let mut new = text(request).to_owned();
    if config(request, "trim_whitespace") == &Value::Bool(true) {
        new = new.trim().to_owned();
    }
    if config(request, "lowercase") == &Value::Bool(true) {
        new = new.to_lowercase();
    }
    let changed = new != text(request);
    json!({"payload": payload_with(request, new), "metadata": {"changed": changed}})
}

/// `validator`: rejects a message with personal data in it. What it finds it names, never repeats.
fn pii_guard(request: &Value) -> Value {
    let found = names(request, "patterns").find_map(|name| {
        let (words, places) = patterns::find(name, text(request))?;
        (!places.is_empty()).then_some(words)
    });
    match found {
        Some(words) if config(request, "block_on_match") == &Value::Bool(true) => {
            json!({"status": "reject", "reason": format!("contains {words}")})
        }
        _ => json!({"status": "ok"}),
    }
}

/// `post`: hides personal data in a reply.
fn mask_sensitive_data(request: &Value) -> Value {
    let mut text = text(request).to_owned();
    let mut masked = 0;
    for name in names(request, "mask_patterns") {
        let places = patterns::find(name, &text).map(|(_, places)| places);
        // From the last to the first, so that the places of the others stay right.
        for place in places.into_iter().flatten().rev() {
            text.replace_range(place, "***");
            masked += 1;
        }
    }
    json!({"payload": payload_with(request, text), "metadata": {"masked": masked}})
}

/// `provider`: answers with the prompt it was given.
fn mock_provider(request: &Value) -> Value {
    let words = prompt(request).split_whitespace().count();
    let text = format!("You said: {}", prompt(request));
    json!({"text": text, "model": "mock", "usage": {"words": words}})
}

/// `provider`: tells a story, as a stream if the caller accepts one.
fn story_teller(request: &Value, in_pieces: bool) -> Vec<Value> {
    let asked = prompt(request);
    let story =
        format!("Once upon a time a child asked: {asked} No one knew, so they all went home.");
    let words: Vec<&str> = story.split_inclusive(' ').collect();
    let size = config(request, "words_per_chunk");
    let size = size.as_u64().map(usize::try_from);
    let chunks = match size {
        Some(Ok(size @ 1..)) if in_pieces => words.chunks(size),
        _ => words.chunks(words.len()),
    };
    let chunks = chunks.map(|words| json!({ "text": words.concat() }));
    chunks.collect()
}

/// A setting; null where it is not set.
fn config<'a>(request: &'a Value, name: &str) -> &'a Value {
    let setting = request.pointer(&format!("/config/{name}"));
    setting.unwrap_or(&Value::Null)
}

/// A setting that is a list of texts.
fn names<'a>(request: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    let names = config(request, name).as_array();
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// The request of a provider; the fields of its payload are at the top level.
fn prompt(request: &Value) -> &str {
    request["prompt"].as_str().unwrap_or_default()
}

/// The text of the message.
fn text(request: &Value) -> &str {
    let payload = &request["payload"];
    let text = payload["text"].as_str().or(payload.as_str());
    text.unwrap_or_default()
}

/// The payload with another text.
fn payload_with(request: &Value, text: String) -> Value {
    let mut payload = request["payload"].clone();
    match payload.as_object_mut() {
        Some(fields) => _ = fields.insert("text".to_owned(), text.into()),
        None => payload = text.into(),
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: &str, request: &Value) -> Value {
        answer(id, request, false).remove(0)
    }

    #[test]
    fn a_text_is_normalized_as_settings_say() {
        for (config, text) in [
            (json!({}), "  Hello "),
            (json!({"trim_whitespace": true}), "Hello"),
            (json!({"lowercase": true}), "  hello "),
            (json!({"lowercase": true, "trim_whitespace": true}), "hello"),
        ] {
            let payload = json!({"text": "  Hello ", "lang": "en"});
            let answer = one(
                "normalize_text",
                &json!({"payload": payload, "config": config}),
            );
            assert_eq!(answer["payload"], json!({"text": text, "lang": "en"}));
        }
    }

    #[test]
    fn personal_data_is_rejected_and_nothing_else() {
        for (text, block, reason) in [
            ("What is the weather like?", true, None),
            (
                "I am ann@example.org",
                true,
                Some("contains an e-mail address"),
            ),
            ("4111 1111 1111 1111", true, Some("contains a card number")),
            (
                "078-05-1120",
                true,
                Some("contains a social security number"),
            ),
            ("078-05-1120", false, None),
        ] {
            let config =
                json!({"patterns": ["credit_card", "ssn", "email"], "block_on_match": block});
            let request = json!({"payload": {"text": text}, "config": config});
            let answer = one("pii_guard", &request);
            assert_eq!(answer["reason"].as_str(), reason, "{answer}");
        }
    }

    #[test]
    fn what_settings_name_is_masked() {
        let text = "Call +1 555 010 9999 or write to ann@example.org, or to bob@example.org.";
        let config = json!({"mask_patterns": ["email", "phone"]});
        let answer = one(
            "mask_sensitive_data",
            &json!({"payload": text, "config": config}),
        );
        assert_eq!(answer["payload"], "Call *** or write to ***, or to ***.");
        assert_eq!(answer["metadata"]["masked"], 3);
    }

    #[test]
    fn the_pieces_are_the_whole() {
        let request = json!({"prompt": "Why?", "config": {"words_per_chunk": 4}});
        let chunks = answer("story_teller", &request, true);
        assert!(chunks.len() > 2, "{chunks:?}");
        let told: String = chunks
            .iter()
            .filter_map(|chunk| chunk["text"].as_str())
            .collect();
        assert_eq!(one("story_teller", &request)["text"], told);
    }
}
