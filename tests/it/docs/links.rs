//! Links between pages, and places in pages that the code and `deploy/` name, are there.

use std::collections::{BTreeMap, BTreeSet};

use super::{file, files, read};

/// Pages at the root that link.
const ROOT: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
];

#[test]
fn links_of_pages_resolve() {
    let mut pages: Vec<String> = ROOT.iter().map(|&page| page.to_owned()).collect();
    for folder in ["docs", "examples", "tests/golden"] {
        pages.extend(files(folder, &["md"]));
    }
    let (mut anchors, mut faults, mut checked) = (BTreeMap::new(), Vec::new(), 0);
    for page in &pages {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in targets(&without_blocks(&read(page))) {
            checked += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if path.is_empty() {
                page.clone()
            } else {
                joined(folder, path)
            };
            if !resolves(&path, anchor, &mut anchors) {
                faults.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(checked > 150, "only {checked} links were found");
}

#[test]
fn places_in_pages_that_are_named_elsewhere_exist() {
    let mut sources = files("src", &["rs"]);
    sources.extend(files(
        "deploy",
        &["yml", "yaml", "json", "sql", "toml", "conf", "env"],
    ));
    let (mut anchors, mut faults, mut checked) = (BTreeMap::new(), Vec::new(), 0);
    for source in &sources {
        let text = read(source);
        for (at, _) in text.match_indices("docs/") {
            let rest = &text[at..];
            let part = |c: char| c.is_ascii_alphanumeric() || "/-_.#".contains(c);
            let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
            let name = rest[..end].trim_end_matches('.');
            let (path, anchor) = name.split_once('#').unwrap_or((name, ""));
            if !path.ends_with(".md") {
                continue;
            }
            checked += 1;
            if !resolves(path, anchor, &mut anchors) {
                faults.push(format!("{source}: {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(checked > 30, "only {checked} places were found");
}

fn resolves(path: &str, anchor: &str, anchors: &mut BTreeMap<String, BTreeSet<String>>) -> bool {
    if anchor.is_empty() || !path.ends_with(".md") {
        return file(path).exists();
    }
    if !file(path).exists() {
        return false;
    }
    let known = anchors.entry(path.to_owned());
    known
        .or_insert_with(|| headings(&read(path)))
        .contains(anchor)
}

/// The targets of the links and pictures of a page, but those on the web.
fn targets(text: &str) -> Vec<String> {
    let links = text.split("](").skip(1);
    let targets = links.filter_map(|rest| rest.split_once(')')).map(|it| it.0);
    let ours = targets.filter(|target| !target.contains("://"));
    ours.map(str::to_owned).collect()
}

/// `path` as seen from `folder`, both from the root.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A page without its fenced blocks, where `#` and `](` mean something else.
fn without_blocks(page: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The anchors that headings get: lower case, blanks as hyphens, punctuation left out, and a number
/// behind those that come again.
fn headings(page: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let text = without_blocks(page);
    let titles = text.lines().filter(|line| line.starts_with('#'));
    let slugs = titles.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || "-_".contains(c) => Some(c),
            _ => None,
        });
        let slug: String = kept.collect();
        let count = seen.entry(slug.clone()).or_default();
        *count += 1;
        match *count {
            1 => slug,
            again => format!("{slug}-{}", again - 1),
        }
    });
    slugs.collect()
}

#[test]
fn anchors_are_those_that_readers_get() {
    let page = "# A `b_c`, d!\n## A\n```\n# no\n```\n## A\n";
    let anchors: Vec<_> = headings(page).into_iter().collect();
    assert_eq!(anchors, ["a", "a-1", "a-b_c-d"]);
    assert_eq!(joined("docs/sessions", "../../deploy/x"), "deploy/x");
}
