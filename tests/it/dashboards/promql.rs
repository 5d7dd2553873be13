//! Which metrics and labels a PromQL expression names. No parser: it knows words, matchers and
//! lists of labels, and takes for granted that the expression is well formed.

use std::collections::BTreeSet;

/// Words that are followed by a list of labels.
const LISTS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];
/// Words that are followed by something else.
const OPERATORS: [&str; 7] = ["and", "or", "unless", "offset", "bool", "start", "end"];
/// What may stand before a `by (...)` as well as before its argument.
const AGGREGATIONS: [&str; 7] = ["sum", "count", "min", "max", "avg", "quantile", "topk"];

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Metrics, and the labels that are matched on them.
    pub(super) selectors: Vec<(String, Vec<String>)>,
    /// Labels in lists.
    pub(super) grouped: BTreeSet<String>,
}

/// What `expression` names.
pub(super) fn named(expression: &str) -> Named {
    let mut named = Named::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' => quoted(rest).1,
            '[' => until(rest, ']').1,
            '{' => {
                let (matchers, after) = until(rest, '}');
                if let Some((_, labels)) = named.selectors.last_mut() {
                    labels.extend(matched(matchers));
                }
                after
            }
            '0'..='9' => word(rest).1,
            'a'..='z' | 'A'..='Z' | '_' => {
                let (found, after) = word(rest);
                let after = after.trim_start();
                if LISTS.contains(&found) {
                    let (labels, after) = until(after, ')');
                    named.grouped.extend(list(labels));
                    after
                } else {
                    if found == "label_values" {
                        let (arguments, _) = until(after, ')');
                        let label = arguments.rsplit(',').next().unwrap();
                        named.grouped.extend(list(label));
                        let metric = arguments.rsplit_once(',').unwrap().0;
                        named.selectors.extend(self::named(metric).selectors);
                        return named;
                    }
                    let metric = !after.starts_with('(')
                        && !OPERATORS.contains(&found)
                        && !AGGREGATIONS.contains(&found);
                    if metric {
                        named.selectors.push((found.to_owned(), Vec::new()));
                    }
                    after
                }
            }
            _ => &rest[first.len_utf8()..],
        };
    }
    named
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "_:.".contains(c)));
    text.split_at(end.unwrap_or(text.len()))
}

/// A string in double quotes, which hold none in our expressions.
fn quoted(text: &str) -> (&str, &str) {
    let end = text[1..].find('"').expect("a string ends") + 2;
    text.split_at(end)
}

/// What stands between the first character and `end`, strings being passed over; and the rest.
fn until(text: &str, end: char) -> (&str, &str) {
    let mut quotes = false;
    for (at, c) in text.char_indices() {
        quotes ^= c == '"';
        if c == end && !quotes {
            return (&text[1..at], &text[at + 1..]);
        }
    }
    panic!("no {end} in {text}");
}

fn list(labels: &str) -> impl Iterator<Item = String> {
    let labels = labels.split(',').map(str::trim);
    labels.filter(|label| !label.is_empty()).map(str::to_owned)
}

/// The labels of matchers.
fn matched(mut matchers: &str) -> Vec<String> {
    let mut labels = Vec::new();
    while let Some(at) = matchers.find(|c: char| c.is_ascii_alphabetic()) {
        let (label, rest) = word(&matchers[at..]);
        labels.push(label.to_owned());
        // `=%q` of a template stands for a string.
        let next = rest.find(['"', ',']).unwrap_or(rest.len());
        matchers = &rest[next..];
        if matchers.starts_with('"') {
            matchers = quoted(matchers).1;
        }
    }
    labels
}

#[test]
fn metrics_and_labels_are_found_and_nothing_else() {
    let expression = r#"sum by (job, le) (rate(a_bucket{x="y, }z{",w=~"$w"}[5m] offset 10m)) >= 0.5
        unless on (job) group_left () (b:c{job=%q,y="1"} > bool 1e3) or max(d)"#;
    let owned = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
    let expected = Named {
        selectors: vec![
            ("a_bucket".into(), owned(&["x", "w"])),
            ("b:c".into(), owned(&["job", "y"])),
            ("d".into(), vec![]),
        ],
        grouped: ["job".to_owned(), "le".to_owned()].into(),
    };
    assert_eq!(named(expression), expected);
    let variable = named("label_values(a{x=~\"$x\"}, job)");
    assert_eq!(variable.selectors, [("a".to_owned(), owned(&["x"]))]);
    assert_eq!(variable.grouped, ["job".to_owned()].into());
}
