//! The Prometheus text format 0.0.4, made from OpenMetrics.
//!
//! Samples are the same in both. What describes them differs: a counter is described by the name
//! that its samples have, there is no type for information, and neither units nor an end.

/// `page`, which is OpenMetrics text without exemplars, as text 0.0.4.
pub(super) fn from_open_metrics(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut help = None;
    for line in page.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ').map(|(_, help)| help);
        } else if let Some((name, kind)) = described(line) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "stateset" => ("", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            if let Some(help) = help.take() {
                // There a quotation mark needs no escape, and would show it.
                let help = help.replace("\\\"", "\"");
                text.extend(["# HELP ", name, suffix, " ", &help, "\n"]);
            }
            text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

/// The name and type that a line declares.
fn described(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("# TYPE ")?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_describes_samples_has_their_names() {
        let open = "# HELP a Counts \\\"a\\\" and \\\\n.\n# TYPE a counter\na_total{x=\"# \\\"1\"} 1\n\
            # HELP build What.\n# TYPE build info\nbuild_info{v=\"1\"} 1\n\
            # HELP s_seconds Time.\n# TYPE s_seconds histogram\n# UNIT s_seconds seconds\n\
            s_seconds_sum 0.5\ns_seconds_count 1\ns_seconds_bucket{le=\"+Inf\"} 1\n\
            # TYPE g gauge\ng 2\n# TYPE u unknown\nu 3\n# EOF\n";
        let text = "# HELP a_total Counts \"a\" and \\\\n.\n# TYPE a_total counter\n\
            a_total{x=\"# \\\"1\"} 1\n\
            # HELP build_info What.\n# TYPE build_info gauge\nbuild_info{v=\"1\"} 1\n\
            # HELP s_seconds Time.\n# TYPE s_seconds histogram\n\
            s_seconds_sum 0.5\ns_seconds_count 1\ns_seconds_bucket{le=\"+Inf\"} 1\n\
            # TYPE g gauge\ng 2\n# TYPE u untyped\nu 3\n";
        assert_eq!(from_open_metrics(open), text);
    }
}
