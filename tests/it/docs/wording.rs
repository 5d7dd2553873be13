//! Words that are not used: each has a plainer one, which the failure names.
//!
//! Looked at are the texts that a reader sees: comments and strings of Rust, and everything in other
//! files. Names in Rust code are not: the compiler does not read them, nor does an operator.

use std::path::Path;

use super::file;

/// Folders and files whose texts are looked at, from the root of the project.
const PLACES: [&str; 7] = [
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "deploy",
    "docs",
    "migrations",
    "src",
];

/// Left alone: applied migrations are compared byte by byte with their files.
const FIXED: &str = "migrations/V";

/// Words and phrases, in any case, and what to write instead.
const BANNED: &[(&str, &str)] = &[
    ("as whom", "as which actor"),
    ("at most so long", "a percentile: p99, median"),
    ("been away", "been unreachable"),
    ("came of", "the result of"),
    ("came to", "the outcome of"),
    ("cannot go on", "exiting after an error"),
    ("comes to", "is, gets, results in"),
    ("falls short of what was asked", "misses the target"),
    ("for people to", "an operator must"),
    ("for so long", "how long; for this long"),
    ("gets away", "is sent"),
    ("ill", "failing"),
    ("is away", "is unreachable"),
    ("is no json", "is not valid JSON"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("nobody else's business", "does not affect the others"),
    ("people", "operators"),
    ("reckon", "compute"),
    ("rightly so", "nothing"),
    ("said once", "logged once"),
    ("set aside", "quarantined"),
    ("so long as", "while"),
    ("so many", "N, this many"),
    ("so much", "this much"),
    ("somebody playing", "a program that plays"),
    ("something to tell", "something to report"),
    ("stand under", "begin with"),
    ("stands in", "is in"),
    ("stands under", "begins with"),
    ("take away", "remove"),
    ("takes away", "removes"),
    ("that of", "the noun, or a genitive: its rate"),
    ("the machine", "automatically; auto-disabled; this host"),
    ("those of", "the noun, or a genitive: its rates"),
    ("told already", "published already, logged already"),
    ("told otherwise", "by default"),
    ("what became of", "the result of"),
    ("whoever", "the caller, the operator, the sender"),
    ("whom", "the caller, the actor, the extension"),
];

/// A piece of text that a reader sees, and the line it begins in.
struct Text {
    line: usize,
    text: String,
}

#[test]
fn no_text_has_a_banned_word() {
    let mut found = Vec::new();
    for place in PLACES {
        for path in files(place) {
            let bytes = std::fs::read(file(&path)).unwrap();
            // Pictures have no words.
            let Ok(content) = String::from_utf8(bytes) else {
                continue;
            };
            for Text { line, text } in texts(&path, &content) {
                let shown: String = text.chars().take(160).collect();
                found.extend(banned(&text).map(|(word, instead)| {
                    format!("{path}:{line}: `{word}`; write: {instead}\n    {shown}")
                }));
            }
        }
    }
    assert!(
        found.is_empty(),
        "{}\n{} in all",
        found.join("\n"),
        found.len()
    );
}

/// The files at or below `place`, sorted.
fn files(place: &str) -> Vec<String> {
    let at = file(place);
    if at.is_file() {
        return vec![place.to_owned()];
    }
    let mut below: Vec<String> = std::fs::read_dir(&at)
        .unwrap_or_else(|error| panic!("{place}: {error}"))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .flat_map(|name| files(&format!("{place}/{name}")))
        .filter(|path| !path.starts_with(FIXED))
        .collect();
    below.sort();
    below
}

/// The texts of a file. Lines of one comment, or of one string, are one text: a phrase may be
/// broken over two of them.
fn texts(path: &str, content: &str) -> Vec<Text> {
    match Path::new(path).extension().and_then(|it| it.to_str()) {
        Some("rs") => rust(content),
        _ => plain(content),
    }
}

/// Paragraphs: lines up to an empty one, without the marks of comments.
fn plain(content: &str) -> Vec<Text> {
    let mut texts: Vec<Text> = Vec::new();
    let mut goes_on = false;
    for (at, line) in content.lines().enumerate() {
        let line_text = line
            .trim()
            .trim_start_matches(['#', '-', '/', '*', '>', '!']);
        if line_text.is_empty() {
            goes_on = false;
        } else if goes_on && let Some(last) = texts.last_mut() {
            last.text.push(' ');
            last.text.push_str(line_text.trim());
        } else {
            goes_on = true;
            texts.push(Text {
                line: at + 1,
                text: line_text.trim().to_owned(),
            });
        }
    }
    texts
}

/// Comments and strings. Nothing here is a parser of Rust: it knows where both begin and end.
fn rust(content: &str) -> Vec<Text> {
    let (mut texts, mut rest, mut line) = (Vec::<Text>::new(), content, 1);
    // The line that a comment would have to be in to go on with the last one.
    let mut next = 0;
    while let Some(first) = rest.chars().next() {
        let (used, text) = if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            (end, Some(rest[..end].trim_start_matches(['/', '!'])))
        } else if let Some((begin, end)) = string(rest) {
            let inside = rest.get(begin..end).unwrap_or_default();
            (end + begin.min(rest.len() - end), Some(inside))
        } else {
            (character(rest).unwrap_or(first.len_utf8()), None)
        };
        if let Some(text) = text {
            let comment = first == '/';
            let text = text.trim().replace("\\\n", " ");
            match texts.last_mut() {
                Some(last) if comment && next == line && !text.is_empty() => {
                    last.text.push(' ');
                    last.text.push_str(&text);
                }
                _ => texts.push(Text { line, text }),
            }
            next = if comment { line + 1 } else { 0 };
        }
        line += rest[..used].matches('\n').count();
        rest = &rest[used..];
    }
    texts
}

/// The length of a character literal at the beginning of `rest`: it may hold a quote.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let mut chars = inside.chars();
    let first = chars.next()?;
    if first == '\\' {
        return inside.get(2..)?.find('\'').map(|at| at + 4);
    }
    (chars.next()? == '\'').then(|| first.len_utf8() + 2)
}

/// Where the inside of a string at the beginning of `rest` begins and ends.
fn string(rest: &str) -> Option<(usize, usize)> {
    if let Some(raw) = rest.strip_prefix('r') {
        let marks = raw.bytes().take_while(|byte| *byte == b'#').count();
        let inside = raw.get(marks..)?.strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(marks));
        let begin = marks + 2;
        return Some((begin, begin + inside.find(&close)?));
    }
    let inside = rest.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((1, 1 + end))
}

/// The banned words in `text`; a phrase does not go across punctuation.
fn banned(text: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let mut flat = String::from(" ");
    for c in text.chars() {
        match c {
            c if c.is_alphanumeric() || matches!(c, '_' | '-' | '/') => {
                flat.extend(c.to_lowercase());
            }
            '.' | ',' | ';' | ':' | '(' | ')' => flat.push('.'),
            _ if flat.ends_with(' ') => {}
            _ => flat.push(' '),
        }
    }
    flat.push(' ');
    let is_word = move |word: &str| {
        flat.match_indices(word).any(|(at, _)| {
            let ends = |c: Option<char>| matches!(c, Some(' ' | '.'));
            ends(flat[..at].chars().next_back()) && ends(flat[at + word.len()..].chars().next())
        })
    };
    BANNED.iter().filter(move |(word, _)| is_word(word))
}

#[test]
fn words_are_found_where_readers_see_them() {
    let code = "// Done by\n// the machine.\nfn whom() { say(\"it came \\\n    to this\", '\"', r#\"a \"mend\"\"#); }";
    let found: Vec<_> = texts("a.rs", code)
        .iter()
        .flat_map(|text| banned(&text.text).map(|(word, _)| (text.line, *word)))
        .collect();
    assert_eq!(found, [(1, "the machine"), (3, "came to"), (4, "mend")]);
    let page = "Calls that\n*whoever* makes.\n\nAn outcome came, to whoever? The machine-made one.";
    let found: Vec<_> = texts("a.md", page)
        .iter()
        .flat_map(|text| banned(&text.text).map(|(word, _)| (text.line, *word)))
        .collect();
    assert_eq!(found, [(1, "whoever"), (4, "whoever")]);
}
