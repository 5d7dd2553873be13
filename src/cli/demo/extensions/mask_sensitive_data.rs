//! `post`: hides personal data in a reply.

use serde_json::json;

use super::Answer;
use super::patterns::Pattern;
use super::request::Request;

const MASK: &str = "***";

pub(super) fn answer(request: &Request) -> Answer {
    let mut text = request.text().to_owned();
    let mut masked = 0;
    for pattern in request.list("mask_patterns") {
        let found = Pattern::named(pattern).map(|pattern| pattern.find(&text));
        // From the last to the first, so that the places of the others stay right.
        for place in found.into_iter().flatten().rev() {
            text.replace_range(place, MASK);
            masked += 1;
        }
    }
    Answer::Whole(json!({
        "payload": request.payload_with(text),
        "metadata": {"masked": masked},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_masks_what_its_settings_name() {
        let request = json!({
            "payload": "Call +1 555 010 9999 or write to ann@example.org, or to bob@example.org.",
            "config": {"mask_patterns": ["email", "phone"]},
        });
        let Answer::Whole(answer) = answer(&Request::of(request, false)) else {
            panic!("one document")
        };
        assert_eq!(answer["payload"], "Call *** or write to ***, or to ***.");
        assert_eq!(answer["metadata"]["masked"], 3);
    }
}
