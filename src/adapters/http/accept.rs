//! Which format of the metrics a scraper prefers.

use axum::http::{HeaderMap, header};

/// A format that metrics can be read in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsFormat {
    /// Prometheus text 0.0.4, which every scraper reads.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl MetricsFormat {
    /// What the answer calls itself.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Text, unless OpenMetrics is wanted more.
    pub(super) fn preferred(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter();
        let values = values.filter_map(|value| value.to_str().ok());
        let ranges: Vec<_> = values.flat_map(|value| value.split(',')).collect();
        // In thousandths, and how exactly: the word of the range that names it most exactly.
        let wanted = |kind: &str, versions: &[&str]| {
            let words = ranges
                .iter()
                .filter_map(|range| word(range, kind, versions));
            let (exactness, quality) = words.max().unwrap_or_default();
            (quality, exactness)
        };
        let open = wanted("application/openmetrics-text", &["1.0.0", "0.0.1"]);
        match open.0 > 0 && open > wanted("text/plain", &["0.0.4"]) {
            true => Self::OpenMetrics,
            false => Self::Text,
        }
    }
}

/// How exactly `range`, of an `Accept` header, names the type `kind` in one of `versions` or in
/// none, and how much that is wanted, in thousandths. What is no range names nothing.
fn word(range: &str, kind: &str, versions: &[&str]) -> Option<(u8, u16)> {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let exactness = match name.strip_suffix("/*") {
        Some("*") => 1,
        Some(family) if kind.split('/').next() == Some(family) => 2,
        None if name == kind => 3,
        _ => return None,
    };
    let mut quality = 1000;
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => quality = thousandths(value),
            "version" if !versions.contains(&value) => return None,
            _ => {}
        }
    }
    Some((exactness, quality))
}

/// A weight from 0 to 1; anything else is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from 0 to 1000"
)]
fn thousandths(text: &str) -> u16 {
    let weight = text.parse::<f64>().unwrap_or(0.0);
    (weight.clamp(0.0, 1.0) * 1000.0).round() as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CASES.md F1.
    #[test]
    fn text_is_the_answer_unless_open_metrics_is_preferred() {
        const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;\
            escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,\
            */*;q=0.1";
        const PROMETHEUS_2: &str = "application/openmetrics-text; version=0.0.1,\
            text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let open = "application/openmetrics-text";
        for (accept, expected) in [
            (&[][..], MetricsFormat::Text),
            (&["*/*"], MetricsFormat::Text),
            (&["text/plain;version=0.0.4"], MetricsFormat::Text),
            (&["text/plain"], MetricsFormat::Text),
            (
                &["text/html,application/xhtml+xml,*/*;q=0.8"],
                MetricsFormat::Text,
            ),
            (&["application/json"], MetricsFormat::Text),
            (&["application/*, text/*"], MetricsFormat::Text),
            (&["nonsense", ";;q=,", ""], MetricsFormat::Text),
            (&[PROMETHEUS_3], MetricsFormat::OpenMetrics),
            (&[PROMETHEUS_2], MetricsFormat::OpenMetrics),
            (&[open], MetricsFormat::OpenMetrics),
            (
                &["Application/OpenMetrics-Text; Version=\"1.0.0\""],
                MetricsFormat::OpenMetrics,
            ),
            (
                &["application/openmetrics-text, */*"],
                MetricsFormat::OpenMetrics,
            ),
            (&["text/plain;q=0.5", open], MetricsFormat::OpenMetrics),
            (
                &["application/openmetrics-text, text/plain"],
                MetricsFormat::Text,
            ),
            (
                &["application/openmetrics-text;q=0.4, text/plain;q=0.5"],
                MetricsFormat::Text,
            ),
            (
                &["application/openmetrics-text;q=0.4, */*;q=0.5"],
                MetricsFormat::Text,
            ),
            (&["application/openmetrics-text;q=0"], MetricsFormat::Text),
            (
                &["application/openmetrics-text;q=0, */*"],
                MetricsFormat::Text,
            ),
            (
                &["application/openmetrics-text;version=2.0.0"],
                MetricsFormat::Text,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, value.parse().unwrap());
            }
            assert_eq!(MetricsFormat::preferred(&headers), expected, "{accept:?}");
        }
    }
}
