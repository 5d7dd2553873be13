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
    /// A duration; the request has it in milliseconds.
    Millis,
    /// A duration; the request has it in seconds.
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
            Kind::Millis | Kind::Seconds => arg.value_name("DURATION").value_parser(duration),
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
            Kind::Millis => duration_in(matches, name, |duration| duration.as_millis()),
            Kind::Seconds => duration_in(matches, name, |duration| duration.as_secs().into()),
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

/// A duration as people write it; a bare number is refused, as nobody knows its unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text);
    duration.map_err(|_| "must be a duration such as 250ms, 2s or 1m".to_owned())
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "must be a whole number from 0".to_owned())
}

fn duration_in(
    matches: &ArgMatches,
    name: &str,
    unit: impl Fn(&Duration) -> u128,
) -> Option<Box<RawValue>> {
    let duration = matches.get_one::<Duration>(name)?;
    let count = u64::try_from(unit(duration)).unwrap_or(u64::MAX);
    Some(json::value(&Value::from(count)))
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
