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
        let ranges: Vec<_> = values
            .flat_map(|value| value.split(','))
            .map(Range::parse)
            .collect();
        let open = wanted(
            &ranges,
            "application",
            "openmetrics-text",
            &["1.0.0", "0.0.1"],
        );
        if open.0 > 0 && open > wanted(&ranges, "text", "plain", &["0.0.4"]) {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

/// How much a type is wanted, in thousandths, and how exactly it was named: the word of the most exact
/// range that names it, in one of `versions` or in none.
fn wanted(ranges: &[Range<'_>], kind: &str, subtype: &str, versions: &[&str]) -> (u16, u8) {
    let matching = ranges.iter().filter_map(|range| {
        let same = |name: &str, own: &str| name.eq_ignore_ascii_case(own);
        let exactness = match (range.kind, range.subtype) {
            ("*", "*") => 1,
            (name, "*") if same(name, kind) => 2,
            (name, sub) if same(name, kind) && same(sub, subtype) => 3,
            _ => return None,
        };
        let fits = range
            .version
            .is_none_or(|version| versions.contains(&version));
        let quality = range.quality;
        fits.then_some((exactness, quality))
    });
    let (exactness, quality) = matching.max().unwrap_or_default();
    (quality, exactness)
}

/// A range of an `Accept` header.
#[derive(Debug)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    quality: u16,
}

impl<'a> Range<'a> {
    /// Reads one; what is no range matches nothing.
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts
            .next()
            .and_then(|it| it.split_once('/'))
            .unwrap_or_default();
        let mut range = Self {
            kind,
            subtype,
            version: None,
            quality: 1000,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "q" | "Q" => range.quality = thousandths(value),
                name if name.eq_ignore_ascii_case("version") => range.version = Some(value),
                _ => {}
            }
        }
        range
    }
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
