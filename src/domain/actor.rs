//! The actor of a change, and how it is known.

use super::ids::NameError;
use super::words::words;

words! {
    /// How the actor is known. The first two are proven, by NATS permissions and by the tokens file;
    /// the others are what the request claims.
    pub enum ActorSource {
        /// The token in `as.<actor>`.
        Subject = "subject",
        /// The token of an HTTP request, which its file binds to the name.
        Token = "token",
        /// A header.
        Header = "header",
        /// A field of the request.
        Field = "field",
        /// Not named.
        None = "none",
    }
}

/// The actor of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    name: Box<str>,
    source: ActorSource,
}

impl Actor {
    /// The rule for names: one token of a NATS subject, fit for an audit entry.
    pub const RULE: &'static str = "[A-Za-z0-9_@=+-]{1,128}";

    /// The actor `name`; the error names the rule.
    pub fn parse(name: &str, source: ActorSource) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_@=+-".contains(&b);
        if !(1..=128).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(NameError { rule: Self::RULE });
        }
        let name = name.into();
        Ok(Self { name, source })
    }

    /// The first actor that is named, the most trustworthy source first; unknown where none is.
    ///
    /// # Errors
    /// The first name is none.
    pub fn first_of<'a>(
        named: impl IntoIterator<Item = (ActorSource, Option<&'a str>)>,
    ) -> Result<Self, NameError> {
        let mut named = named.into_iter();
        let first = named.find_map(|(source, name)| Some((source, name?)));
        let first = first.map(|(source, name)| Self::parse(name, source));
        first.unwrap_or_else(|| Ok(Self::anonymous()))
    }

    /// An unknown actor.
    pub fn anonymous() -> Self {
        Self {
            name: "anonymous".into(),
            source: ActorSource::None,
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How we know.
    pub fn source(&self) -> ActorSource {
        self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_counts_and_is_one_token() {
        let named = [
            (ActorSource::None, None),
            (ActorSource::Field, Some("ann@x")),
            (ActorSource::Field, Some("bob")),
        ];
        let actor = Actor::first_of(named).unwrap();
        assert_eq!(
            (actor.name(), actor.source()),
            ("ann@x", ActorSource::Field)
        );
        let nobody = Actor::first_of([]).unwrap();
        assert_eq!(
            (nobody.name(), nobody.source()),
            ("anonymous", ActorSource::None)
        );
        assert!(Actor::parse(&"a".repeat(128), ActorSource::Field).is_ok());
        for bad in ["", "a.b", "a b", "a*", &"a".repeat(129)] {
            assert!(Actor::parse(bad, ActorSource::Field).is_err(), "{bad}");
        }
    }
}
