//! The file of HTTP tokens: a token, its role and perhaps the name it is bound to, line by line.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::parse::{Rule, word};
use crate::domain::actor::{Actor, ActorSource};
use crate::domain::words::words;

/// A request's token is compared with each, and in the file each with those before it.
const MAX_TOKENS: usize = 1000;
/// Shorter tokens can be guessed.
const SHORT: usize = 16;
/// Faults named at a time: a file of something else would have as many as lines.
const MAX_FAULTS: usize = 50;

words! {
    /// What a token allows; each role may do what those before it may.
    #[derive(PartialOrd, Ord)]
    pub enum Role {
        /// To read.
        Reader = "reader",
        /// To enable, disable and reload.
        Operator = "operator",
        /// Everything.
        Admin = "admin",
    }
}

/// What is known of a token. The token itself is not kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    digest: [u8; 32],
    /// What it allows.
    pub role: Role,
    /// The actor it is bound to.
    pub actor: Option<Actor>,
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actor = self.actor.as_ref().map(Actor::name);
        write!(f, "{:?} token of {actor:?}", self.role)
    }
}

/// All tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenTable {
    grants: Vec<Grant>,
    /// The lines whose tokens can be guessed.
    pub short: Vec<String>,
}

impl TokenTable {
    /// Reads the text of a file. A file with only comments means that there are no tokens; an empty
    /// file is taken for a mistake.
    ///
    /// # Errors
    /// All faults, each with its line; none repeats anything of the file.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let (mut table, mut faults) = (Self::default(), Vec::new());
        if text.trim().is_empty() {
            faults.push("it holds neither tokens nor comments".to_owned());
        }
        for (number, line) in (1..).zip(text.lines()) {
            let words = line.split_whitespace();
            let words: Vec<_> = words.take_while(|word| !word.starts_with('#')).collect();
            if !words.is_empty()
                && let Err(rule) = table.grant(number, &words)
            {
                faults.push(format!("line {number} {rule}"));
            }
        }
        faults.truncate(MAX_FAULTS);
        match faults.is_empty() {
            true => Ok(table),
            false => Err(faults),
        }
    }

    fn grant(&mut self, line: usize, words: &[&str]) -> Result<(), Rule> {
        let (token, role, name) = match *words {
            [token, role] => (token, role, None),
            [token, role, name] => (token, role, Some(name)),
            _ => return Err("must have a token, a role and perhaps a name".to_owned()),
        };
        if token.len() < SHORT {
            self.short.push(line.to_string());
        }
        if self.grants.len() == MAX_TOKENS {
            return Err(format!("has one token more than {MAX_TOKENS}"));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("has a token that a header cannot carry".to_owned());
        }
        let role = word(&Role::ALL, Role::as_str)(role);
        let role = role.map_err(|rule| format!("has a role that {rule}"))?;
        let actor = |name| Actor::parse(name, ActorSource::Token);
        let actor = name.map(actor).transpose();
        let actor = actor.map_err(|_| "binds the token to a name that no actor may have")?;
        if self.find(token).is_some() {
            return Err("repeats a token".to_owned());
        }
        self.grants.push(Grant {
            digest: digest(token),
            role,
            actor,
        });
        Ok(())
    }

    /// What `token` allows. The time it takes reveals nothing about the tokens: digests are
    /// compared, each with every one.
    pub fn find(&self, token: &str) -> Option<&Grant> {
        let digest = digest(token);
        self.grants.iter().fold(None, |found, grant| {
            let same = bool::from(grant.digest.ct_eq(&digest));
            if same { Some(grant) } else { found }
        })
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_token_a_role_and_perhaps_a_name() {
        let text = "# who\nreading-token-0001 reader\r\n\n  op operator alice # hers\n\
            all-powerful-0001\tadmin\n#old admin\n";
        let table = TokenTable::parse(text).unwrap();
        let role = |token| table.find(token).map(|grant| grant.role);
        assert_eq!(role("reading-token-0001"), Some(Role::Reader));
        assert_eq!(role("all-powerful-0001"), Some(Role::Admin));
        let alice = table.find("op").unwrap();
        assert_eq!(alice.role, Role::Operator);
        assert_eq!(alice.actor.as_ref().unwrap().name(), "alice");
        for unknown in ["", "#old", "reading-token-000", "reader", "OP"] {
            assert_eq!(role(unknown), None, "{unknown}");
        }
        assert_eq!(table.short, ["4"]);
        let shown = format!("{table:?}");
        assert!(!shown.contains("reading-token"), "{shown}");
    }

    #[test]
    fn there_are_not_too_many() {
        let most: String = (0..MAX_TOKENS).map(|n| format!("t{n} reader\n")).collect();
        assert_eq!(TokenTable::parse(&most).unwrap().grants.len(), MAX_TOKENS);
        let faults = TokenTable::parse(&format!("{most}\none admin\n")).unwrap_err();
        assert_eq!(faults, ["line 1002 has one token more than 1000"]);
    }

    #[test]
    fn comments_alone_say_that_nobody_has_a_token() {
        let table = TokenTable::parse("\n# old-token-0000000 admin\n").unwrap();
        assert_eq!(table, TokenTable::default());
    }

    #[test]
    fn every_fault_is_named_and_no_token() {
        let text = "secret1\nsecret2 king\nsecret3 admin a.b\nsecret4 reader x y\ns\u{e9}cret5 reader\n\
            secret6 reader\nsecret6 admin\n";
        let faults = TokenTable::parse(text).unwrap_err();
        let lines = faults.iter().map(|fault| fault.split(' ').nth(1).unwrap());
        assert_eq!(lines.collect::<Vec<_>>(), ["1", "2", "3", "4", "5", "7"]);
        assert!(!faults.concat().contains("cret"), "{faults:?}");
        for nothing in ["", " \r\n\n"] {
            assert_eq!(TokenTable::parse(nothing).unwrap_err().len(), 1);
        }
        let many = TokenTable::parse(&"x\n".repeat(1000)).unwrap_err();
        assert_eq!(many.len(), MAX_FAULTS);
    }
}
