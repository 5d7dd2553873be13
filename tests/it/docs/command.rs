//! The commands of a page: what of a shell and of `nats req` the examples need, and no more.

use async_nats::HeaderMap;

/// What `nats req` would send.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// `--replies=0`: every reply there is, not only the first.
    pub(crate) all: bool,
}

impl Request {
    /// Reads `nats req [--replies=0] [-H 'Name: value']... SUBJECT BODY`. The body is never left
    /// out: without one, `nats req` would read its standard input.
    pub(crate) fn parse(command: &str) -> Self {
        let words = words(command);
        let mut words = words.iter().map(String::as_str);
        let program = (words.next(), words.next());
        assert_eq!(program, (Some("nats"), Some("req")), "{command}");
        let (mut headers, mut all, mut rest) = (HeaderMap::new(), false, Vec::new());
        while let Some(word) = words.next() {
            match word {
                "--replies=0" => all = true,
                "-H" => {
                    let header = words.next().expect("a header after -H");
                    let (name, value) = header.split_once(": ").expect("`Name: value`");
                    headers.append(name, value);
                }
                _ => rest.push(word.to_owned()),
            }
        }
        let [subject, body] = <[String; 2]>::try_from(rest)
            .unwrap_or_else(|rest| panic!("not a subject and a body: {rest:?} in {command}"));
        Self {
            subject,
            headers,
            body,
            all,
        }
    }
}

/// Splits as a shell does, single quotes and white space only.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in command.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    assert!(!quoted, "an open quote: {command}");
    words.extend(word);
    words
}

/// Whether `command` goes on in the next line, inside quotes.
pub(crate) fn is_open(command: &str) -> bool {
    command.matches('\'').count() % 2 == 1
}

#[test]
fn a_command_is_read_as_a_shell_and_nats_read_it() {
    let request = Request::parse("nats req -H 'A: b c' --replies=0 a.b.c '{\"x\": \n1}'");
    assert_eq!((request.subject.as_str(), request.all), ("a.b.c", true));
    assert_eq!(request.body, "{\"x\": \n1}");
    assert_eq!(request.headers.get("A").unwrap().as_str(), "b c");
    assert_eq!(Request::parse("nats req a ''").body, "");
    assert!(is_open("nats req a '{") && !is_open("nats req a ''"));
}
