//! Distributed traces: where spans go, and how many.

use url::Url;

use super::parse::Rule;

/// Collectors run on the node or in the pod, where TLS would protect nothing; and every further
/// TLS client is one more to keep up to date.
pub(super) fn endpoint(text: &str) -> Result<String, Rule> {
    if !cfg!(feature = "otlp") {
        return Err("is set, but this binary was built without feature `otlp`".to_owned());
    }
    let text = text.trim();
    let rule = "must be an http:// address without user or parameters, like http://127.0.0.1:4318";
    let url = Url::parse(text).ok().filter(|url| {
        let ends = url.query().or(url.fragment()).is_none();
        text.starts_with("http://") && !text.contains('@') && ends
    });
    let endpoint = url.map(|url| url.as_str().trim_end_matches('/').to_owned());
    endpoint.ok_or_else(|| rule.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "otlp")]
    fn plain_http_without_credentials() {
        assert_eq!(endpoint("http://a:4318/"), Ok("http://a:4318".to_owned()));
        for text in [
            "",
            "a:4318",
            "https://a",
            "http://",
            "http://u:p@a",
            "http://a:70000",
            "http://a b",
            "http://a?key=hunter2",
        ] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    #[cfg(not(feature = "otlp"))]
    fn a_binary_that_cannot_says_so() {
        let rule = endpoint("http://a:4318").unwrap_err();
        assert!(rule.contains("feature `otlp`"), "{rule}");
    }
}
