//! Fields of requests as arguments: where each is on the command line, and how its text
//! becomes JSON.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches};
use serde_json::value::RawValue;

use super::json;
use crate::cli::document;
use crate::domain::json::{ObjectError, check_keys};

/// A field of a request.
pub(super) struct Field {
    /// Its name in the request.
    pub(super) name: &'static str,
    pub(super) place: Place,
    kind: Kind,
    help: &'static str,
}

/// Its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A position that must be filled.
    Must,
    /// A position that may be left out.
    May,
    /// The flag of its own name.
    Flag,
    /// A flag of this name.
    Named(&'static str),
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
    /// True where the flag is given.
    Switch,
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
}

/// One field and its value, as JSON.
pub(super) type Given = (String, Box<RawValue>);

/// A field as the table of commands names it.
pub(super) const fn field(
    place: Place,
    name: &'static str,
    kind: Kind,
    help: &'static str,
) -> Field {
    Field {
        name,
        place,
        kind,
        help,
    }
}

impl Field {
    /// The argument, whose values clap checks and turns into JSON.
    pub(super) fn arg(&self) -> Arg {
        let arg = Arg::new(self.name).help(self.help);
        let arg = match self.place {
            Place::Must => arg.required(true),
            Place::May => arg,
            Place::Flag => arg.long(self.name.replace('_', "-")),
            Place::Named(flag) => arg.long(flag),
        };
        let text = || StringValueParser::new().map(|text| json::value(&text));
        let words = |words: &'static [&'static str]| {
            PossibleValuesParser::new(words).map(|word| json::lenient(&word))
        };
        let span = |arg: Arg| arg.value_name("DURATION");
        let pair = |arg: Arg| arg.value_name("KEY=VALUE").value_parser(json::pair);
        match self.kind {
            Kind::Text => arg.value_parser(text()),
            Kind::Ids => arg.value_name("id").num_args(1..=1000).value_parser(text()),
            // More than a few would take the help beyond a screen; TAB and errors list them.
            Kind::Word(known) => arg
                .value_parser(words(known))
                .hide_possible_values(known.len() > 8),
            Kind::TruthOrAll => {
                let known = &["true", "false", "all"];
                arg.value_parser(words(known)).default_value("all")
            }
            Kind::Number => arg.value_name("N").value_parser(number),
            Kind::Switch => arg.action(ArgAction::SetTrue),
            Kind::Millis => span(arg).value_parser(units(1_000_000, "milliseconds")),
            Kind::FineMillis => span(arg).value_parser(fine_millis),
            Kind::Seconds => span(arg).value_parser(units(1_000_000_000, "seconds")),
            Kind::Pairs => pair(arg.action(ArgAction::Append)),
            Kind::Fields => pair(arg.num_args(0..)),
            Kind::Whole => arg.value_name("JSON|@FILE|-").value_parser(whole),
            Kind::Json => arg.value_name("JSON|@FILE|-").value_parser(json::read),
        }
    }

    /// A key that `matches` gives twice. A registry refuses that, and must not be sent one of the two.
    pub(super) fn repeated(&self, matches: &ArgMatches) -> Option<String> {
        let pairs = match self.kind {
            Kind::Pairs | Kind::Fields => pairs(matches, self.name),
            _ => return None,
        };
        let mut keys = BTreeSet::new();
        let mut given = pairs.into_iter().map(|(key, _)| key);
        given.find(|key| !keys.insert(key.clone()))
    }

    /// What `matches` gives for it.
    pub(super) fn given(&self, matches: &ArgMatches) -> Vec<Given> {
        let name = self.name;
        if matches!(self.kind, Kind::Switch) {
            let on = matches.get_flag(name).then(|| json::value(&true));
            return on.map(|on| (name.to_owned(), on)).into_iter().collect();
        }
        let values = matches.try_get_many::<Box<RawValue>>(name).ok().flatten();
        let mut values = values.into_iter().flatten();
        let value = match self.kind {
            Kind::Fields => return pairs(matches, name),
            Kind::Pairs => {
                let pairs = Some(pairs(matches, name));
                pairs.filter(|pairs| !pairs.is_empty()).map(json::object)
            }
            Kind::Whole => {
                let fields = values.flat_map(|whole| document::fields(whole));
                let fields = fields.map(|(name, value)| (name, value.to_owned()));
                return fields.collect();
            }
            Kind::Ids => match values.collect::<Vec<_>>().as_slice() {
                [] => None,
                [id] => return vec![("id".to_owned(), (*id).clone())],
                ids => Some(json::value(&ids)),
            },
            _ => values.next().cloned(),
        };
        let value = value.map(|value| (name.to_owned(), value));
        value.into_iter().collect()
    }
}

/// No wait and no order is longer; moments that far ahead can be computed.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// A duration as operators write it; a bare number is refused, as its unit is unknown.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text);
    let duration = duration.map_err(|_| "must be a duration such as 250ms, 2s or 1m".to_owned())?;
    match duration > LONGEST {
        true => Err("must be at most 365 days".to_owned()),
        false => Ok(duration),
    }
}

/// A duration in whole units of that many nanoseconds.
fn units(
    nanos: u128,
    unit: &'static str,
) -> impl Fn(&str) -> Result<Box<RawValue>, String> + Clone + Send + Sync + 'static {
    move |text| {
        let duration = duration(text)?.as_nanos();
        match duration % nanos {
            0 => Ok(json::value(&(duration / nanos))),
            _ => Err(format!("must be a whole number of {unit}")),
        }
    }
}

fn fine_millis(text: &str) -> Result<Box<RawValue>, String> {
    Ok(json::value(&(duration(text)?.as_secs_f64() * 1e3)))
}

fn number(text: &str) -> Result<Box<RawValue>, String> {
    let number = text.parse::<u64>();
    let number = number.map_err(|_| "must be a whole number from 0")?;
    Ok(json::value(&number))
}

/// An object of which nothing is lost when it is taken apart.
fn whole(text: &str) -> Result<Box<RawValue>, String> {
    let document = json::read(text)?;
    if !document.get().starts_with('{') {
        return Err(format!("the request {}", ObjectError::NotAnObject));
    }
    let keys = check_keys(document.get());
    keys.map_err(|error| format!("the request {error}"))?;
    Ok(document)
}

fn pairs(matches: &ArgMatches, name: &str) -> Vec<Given> {
    let pairs = matches.get_many::<Given>(name);
    pairs.into_iter().flatten().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(kind: Kind, text: &str) -> Result<String, String> {
        let field = field(Place::Named("for"), "for_so_long", kind, "");
        let command = clap::Command::new("c").arg(field.arg());
        let matches = command.try_get_matches_from(["c", "--for", text]);
        let matches = matches.map_err(|error| error.to_string())?;
        Ok(field.given(&matches)[0].1.get().to_owned())
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

    #[test]
    fn no_field_of_a_body_is_dropped_or_chosen() {
        let body = r#"{"retry":1,"config":{"retry":2}}"#;
        assert_eq!(given(Kind::Whole, body).unwrap(), "1");
        for (body, rule) in [
            (r#"{"retry":1,"retry":2}"#, "has the key `retry` twice"),
            (r#"{"retry":1,"\u0072etry":2}"#, "has the key `retry` twice"),
            (r#"{"retry":1,"\ud800":2}"#, "half of a surrogate pair"),
            ("[1]", "must be a JSON object"),
        ] {
            let error = given(Kind::Whole, body).unwrap_err();
            assert!(error.contains(rule), "{body}: {error}");
        }
    }
}
