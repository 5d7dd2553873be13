//! `pre`: trims the text and makes it lower case, as its settings say.

use serde_json::json;

use super::Answer;
use super::request::Request;

pub(super) fn answer(request: &Request) -> Answer {
    let mut text = request.text().to_owned();
    if request.is_on("trim_whitespace") {
        text = text.trim().to_owned();
    }
    if request.is_on("lowercase") {
        text = text.to_lowercase();
    }
    let changed = text != request.text();
    Answer::Whole(json!({
        "payload": request.payload_with(text),
        "metadata": {"changed": changed},
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[track_caller]
    fn check(config: Value, text: &str) {
        let payload = json!({"text": "  Hello ", "lang": "en"});
        let request = Request::of(json!({"payload": payload, "config": config}), false);
        let Answer::Whole(answer) = answer(&request) else {
            panic!("one document")
        };
        assert_eq!(answer["payload"], json!({"text": text, "lang": "en"}));
    }

    #[test]
    fn it_does_what_its_settings_say() {
        check(json!({}), "  Hello ");
        check(json!({"trim_whitespace": true}), "Hello");
        check(json!({"lowercase": true}), "  hello ");
        check(json!({"lowercase": true, "trim_whitespace": true}), "hello");
    }
}
