//! `validator`: rejects a message with personal data in it. What it finds it names, never repeats.

use serde_json::json;

use super::Answer;
use super::patterns::Pattern;
use super::request::Request;

pub(super) fn answer(request: &Request) -> Answer {
    let patterns = request.list("patterns").into_iter();
    let found = patterns
        .filter_map(Pattern::named)
        .find(|pattern| !pattern.find(request.text()).is_empty());
    Answer::Whole(match found {
        Some(pattern) if request.is_on("block_on_match") => {
            json!({"status": "reject", "reason": format!("contains {}", pattern.described())})
        }
        _ => json!({"status": "ok"}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, block: bool, reason: Option<&str>) {
        let config = json!({
            "patterns": ["credit_card", "ssn", "email"], "block_on_match": block
        });
        let request = json!({"payload": {"text": text}, "config": config});
        let Answer::Whole(answer) = answer(&Request::of(request, false)) else {
            panic!("one document")
        };
        assert_eq!(answer["reason"].as_str(), reason, "{answer}");
    }

    #[test]
    fn it_rejects_personal_data_and_nothing_else() {
        check("What is the weather like?", true, None);
        check(
            "I am ann@example.org",
            true,
            Some("contains an e-mail address"),
        );
        check("4111 1111 1111 1111", true, Some("contains a card number"));
        check(
            "078-05-1120",
            true,
            Some("contains a social security number"),
        );
        check("078-05-1120", false, None);
    }
}
