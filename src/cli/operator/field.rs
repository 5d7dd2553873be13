//! Fields of requests as arguments: where each stands on the command line, and how its text
//! becomes JSON.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::{Value, value::RawValue};

use super::json::{self, Pair};

/// A field of a request.
pub(super) struct Field {
    /// Its name in the request.
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

/// Where it stands.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A position that must be filled.
    Must,
    /// A position that may be left out.
    May,
    /// `--flag`.
    Flag(&'static str),
}

/// What it is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// One id, or many: then they have a list of their own in the request.
    Ids,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`, or the word `all`.
    TruthOrAll,
    Number,
    /// A duration; the request has it in whole milliseconds.
    Millis,
    /// A duration; the request has it in milliseconds, with a fraction where there is one.
    FineMillis,
    /// A duration; the request has it in whole seconds.
    Seconds,
    /// `KEY=VALUE` any number of times, as an object.
    Pairs,
    /// `KEY=VALUE` any number of times, as fields of the request itself.
    Fields,
    /// A whole request, as JSON, a file or standard input.
    Whole,
    /// One JSON value, likewise.
    Json,
    /// True when it is there.
    Switch,
}

/// One field and its value, as JSON.
pub(super) type Given = (String, Box<RawValue>);

impl Field {
    /// A position that must be filled.
    pub(super) const fn must(name: &'static str, kind: Kind, help: &'static str) -> Self {
        let place = Place::Must;
        Self {
            name,
            place,
            kind,
            help,
        }
    }

    /// A position that may be left out.
    pub(super) const fn may(name: &'static str, kind: Kind, help: &'static str) -> Self {
        let place = Place::May;
        Self {
            name,
            place,
            kind,
            help,
        }
    }

    /// `--flag` for the field `name`.
    pub(super) const fn flag(
        flag: &'static str,
        name: &'static str,
        kind: Kind,
        help: &'static str,
    ) -> Self {
        let place = Place::Flag(flag);
        Self {
            name,
            place,
            kind,
            help,
        }
    }

    /// The argument, whose values are checked and turned into JSON text by clap.
    pub(super) fn arg(&self) -> Arg {
        let arg = Arg::new(self.name).help(self.help);
        let arg = match self.place {
            Place::Must => arg.required(true),
            Place::May => arg,
            Place::Flag(flag) => arg.long(flag),
        };
        match self.kind {
            Kind::Text => arg,
            Kind::Ids => arg.value_name("id").num_args(1..=100),
            Kind::Word(words) => arg.value_parser(PossibleValuesParser::new(words)),
            Kind::TruthOrAll => {
                let words = PossibleValuesParser::new(["true", "false", "all"]);
                arg.value_parser(words).default_value("all")
            }
            Kind::Number => arg.value_name("N").value_parser(number),
            Kind::Millis => arg.value_name("DURATION").value_parser(whole_millis),
            Kind::FineMillis => arg.value_name("DURATION").value_parser(duration),
            Kind::Seconds => arg.value_name("DURATION").value_parser(whole_seconds),
            Kind::Pairs => arg
                .value_name("KEY=VALUE")
                .action(ArgAction::Append)
                .value_parser(Pair::parse),
            Kind::Fields => arg
                .value_name("KEY=VALUE")
                .num_args(0..)
                .value_parser(Pair::parse),
            Kind::Whole | Kind::Json => arg.value_name("JSON|@FILE|-"),
            Kind::Switch => arg.action(ArgAction::SetTrue),
        }
    }

    /// What `matches` gives for it.
    ///
    /// # Errors
    /// JSON that is none, or a file that cannot be read; in one sentence.
    pub(super) fn given(&self, matches: &ArgMatches) -> Result<Vec<Given>, String> {
        let name = self.name;
        let text = || matches.get_one::<String>(name);
        let value = match self.kind {
            Kind::Text | Kind::Word(_) => text().map(|text| json::string(text)),
            Kind::Ids => return Ok(ids(matches, name)),
            Kind::TruthOrAll => text().map(|text| json::lenient(text)),
            Kind::Number => matches
                .get_one::<u64>(name)
                .map(|number| json::value(&Value::from(*number))),
            Kind::Millis => span(matches, name)
                .map(|span| json::value(&u64::try_from(span.as_millis()).unwrap_or(u64::MAX))),
            Kind::FineMillis => {
                span(matches, name).map(|span| json::value(&(span.as_secs_f64() * 1e3)))
            }
            Kind::Seconds => span(matches, name).map(|span| json::value(&span.as_secs())),
            Kind::Pairs => {
                let pairs = pairs(matches, name);
                (!pairs.is_empty()).then(|| json::object(pairs))
            }
            Kind::Fields => return Ok(pairs(matches, name)),
            Kind::Whole => {
                let given = text().map_or_else(|| Ok(Vec::new()), |text| whole(text));
                return given.map_err(|fault| self.named(&fault));
            }
            Kind::Json => {
                let value = text().map(|text| json::read(text)).transpose();
                value.map_err(|fault| self.named(&fault))?
            }
            Kind::Switch => matches
                .get_flag(name)
                .then(|| json::value(&Value::Bool(true))),
        };
        Ok(value
            .map(|value| (name.to_owned(), value))
            .into_iter()
            .collect())
    }
}

impl Field {
    fn named(&self, fault: &str) -> String {
        match self.place {
            Place::Flag(flag) => format!("--{flag}: {fault}"),
            Place::Must | Place::May => format!("{}: {fault}", self.name),
        }
    }
}

/// Nobody waits, or orders, for longer; moments that far ahead can be reckoned with.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// A duration as operators write it; a bare number is refused, as nobody knows its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text);
    let duration = duration.map_err(|_| "must be a duration such as 250ms, 2s or 1m".to_owned())?;
    match duration > LONGEST {
        true => Err("must be at most 365 days".to_owned()),
        false => Ok(duration),
    }
}

fn whole_millis(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    match duration.subsec_nanos() % 1_000_000 {
        0 => Ok(duration),
        _ => Err("must be a whole number of milliseconds".to_owned()),
    }
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    match duration.subsec_nanos() {
        0 => Ok(duration),
        _ => Err("must be a whole number of seconds".to_owned()),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "must be a whole number from 0".to_owned())
}

fn span(matches: &ArgMatches, name: &str) -> Option<Duration> {
    matches.get_one::<Duration>(name).copied()
}

fn ids(matches: &ArgMatches, name: &str) -> Vec<Given> {
    let ids = matches.get_many::<String>(name).into_iter().flatten();
    let given = match ids.collect::<Vec<_>>().as_slice() {
        [] => None,
        [id] => Some(("id".to_owned(), json::string(id))),
        ids => Some((name.to_owned(), json::value(&ids))),
    };
    given.into_iter().collect()
}

fn pairs(matches: &ArgMatches, name: &str) -> Vec<Given> {
    let pairs = matches.get_many::<Pair>(name).into_iter().flatten();
    pairs
        .map(|pair| (pair.key.clone(), pair.value.clone()))
        .collect()
}

fn whole(text: &str) -> Result<Vec<Given>, String> {
    let document = json::read(text)?;
    let fields = json::fields(&document).ok_or("the request must be a JSON object")?;
    Ok(fields.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(kind: Kind, text: &str) -> Result<String, String> {
        let field = Field::flag("for", "for_so_long", kind, "");
        let command = clap::Command::new("c").arg(field.arg());
        let matches = command.try_get_matches_from(["c", "--for", text]);
        let matches = matches.map_err(|error| error.to_string())?;
        let given = field.given(&matches)?;
        Ok(given[0].1.get().to_owned())
    }

    #[test]
    fn durations_are_sent_in_full_or_refused() {
        for (kind, text, sent) in [
            (Kind::Millis, "2s", "2000"),
            (Kind::Millis, "250ms", "250"),
            (Kind::Seconds, "10m", "600"),
            (Kind::FineMillis, "500us", "0.5"),
            (Kind::FineMillis, "12ms", "12.0"),
        ] {
            assert_eq!(given(kind, text).unwrap(), sent, "{text}");
        }
        for (kind, text, rule) in [
            (Kind::Millis, "500us", "a whole number of milliseconds"),
            (Kind::Seconds, "500ms", "a whole number of seconds"),
            (Kind::Seconds, "366d", "at most 365 days"),
            (Kind::FineMillis, "5", "such as 250ms"),
            (
                Kind::Millis,
                "18446744073709551615s 600ms",
                "at most 365 days",
            ),
        ] {
            let error = given(kind, text).unwrap_err();
            assert!(error.contains(rule), "{text}: {error}");
        }
    }
}
