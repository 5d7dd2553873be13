//! `provider`: tells a story, in pieces to whoever takes pieces.

use serde_json::{Value, json};

use super::Answer;
use super::request::Request;

pub(super) fn answer(request: &Request) -> Answer {
    let story = format!(
        "Once upon a time somebody asked: {} Nobody knew, so they all went home.",
        request.prompt()
    );
    if !request.stream {
        return Answer::Whole(json!({ "text": story }));
    }
    let size = request.config("words_per_chunk").and_then(Value::as_u64);
    let size = size.and_then(|size| usize::try_from(size).ok());
    let words: Vec<&str> = story.split_inclusive(' ').collect();
    let chunks = words.chunks(size.unwrap_or(1).max(1));
    Answer::Chunks(
        chunks
            .map(|words| json!({ "text": words.concat() }))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_are_the_whole() {
        let fields = json!({"prompt": "Why?", "config": {"words_per_chunk": 4}});
        let Answer::Whole(whole) = answer(&Request::of(fields.clone(), false)) else {
            panic!("one document")
        };
        let Answer::Chunks(chunks) = answer(&Request::of(fields, true)) else {
            panic!("a stream")
        };
        assert!(chunks.len() > 2, "{chunks:?}");
        let told: String = chunks
            .iter()
            .filter_map(|chunk| chunk["text"].as_str())
            .collect();
        assert_eq!(whole["text"], told);
    }
}
