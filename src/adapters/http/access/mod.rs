//! Access: tokens, roles, and the name that a change is audited under.
//!
//! A browser cannot be made to change anything: it sends no bearer token unless its page has one,
//! and asks before it sends a header or a body of this kind, to which nothing here agrees.

mod origin;
mod tokens;

use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub use self::tokens::Tokens;
use super::State;
use super::answer::HttpError;
use crate::config::Role;
use crate::documents::headers::ACTOR;
use crate::domain::actor::{Actor, ActorSource};
use crate::service::error::RegistryError;

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing.
    Nothing,
    /// Data, and leave to read it.
    Reader,
    /// Leave to read what there is, be it no data yet.
    Viewer,
    /// Data, and leave to read what it once was: secrets may have been in it.
    Audit,
    /// Data, and leave to change something.
    Write(Role),
    /// Data, and an operator's leave to have it read again. That changes no definition, so it needs
    /// no actor.
    Reload,
}

impl Need {
    /// The least role of a token that has it.
    pub(super) const fn role(self) -> Role {
        match self {
            Self::Nothing | Self::Reader | Self::Viewer => Role::Reader,
            Self::Reload => Role::Operator,
            Self::Write(role) => role,
            Self::Audit => Role::Admin,
        }
    }

    /// Whether it takes more than reading.
    pub(super) fn writes(self) -> bool {
        matches!(self, Self::Write(_) | Self::Reload)
    }

    /// Whether it may have to wait for the database.
    pub(super) fn stores(self) -> bool {
        self.writes() || self == Self::Audit
    }
}

/// The rights of clients.
#[derive(Debug)]
pub struct Access {
    /// Without tokens all clients may read and none may write.
    pub tokens: Option<Tokens>,
    /// Whether anything may be changed.
    pub admin_enabled: bool,
    /// Whether changes need a token that is bound to a name.
    pub require_name: bool,
    /// Whether only this host can reach the server.
    pub local: bool,
    /// Names that are answered, beside IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// A client with the right to change something.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Whether it may see the error texts of extensions: an operator's token, or, without a tokens
    /// file, a server that only this host can reach.
    pub(super) operates: bool,
    /// The actor that the token is bound to.
    bound: Option<Actor>,
    /// The actor that the header names.
    header: Option<String>,
}

impl Caller {
    /// The actor: the name of the token, else the header's, else the one of `field`.
    pub(super) fn actor(&self, field: Option<&str>) -> Result<Actor, RegistryError> {
        let named = [
            (ActorSource::Token, self.bound.as_ref().map(Actor::name)),
            (ActorSource::Header, self.header.as_deref()),
            (ActorSource::Field, field),
        ];
        Actor::first_of(named).map_err(|rule| RegistryError::field("actor", rule))
    }
}

impl Access {
    /// Whether a request with these headers has what it needs.
    pub(super) async fn admit(&self, need: Need, headers: &HeaderMap) -> Result<Caller, HttpError> {
        let refused = |why| Err(RegistryError::Forbidden(why).into());
        let Some(tokens) = &self.tokens else {
            if need.writes() {
                return refused("changes over HTTP need HTTP_TOKENS_FILE on this sidecar");
            }
            if need == Need::Audit && !self.local {
                return refused("the audit needs HTTP_TOKENS_FILE, or HTTP_ADDR on loopback");
            }
            return Ok(Caller {
                operates: self.local,
                bound: None,
                header: None,
            });
        };
        let token = bearer(headers).ok_or(HttpError::Unauthorized)?;
        let table = tokens.table().await;
        let grant = table.find(token).ok_or(HttpError::Unauthorized)?;
        if need.writes() && !self.admin_enabled {
            return refused("administration is disabled on this sidecar");
        }
        if grant.role < need.role() {
            // No role is lower than a reader's.
            return refused(match need.role() {
                Role::Admin => "this needs a token with the role admin",
                _ => "this needs a token with the role operator",
            });
        }
        let audited = matches!(need, Need::Write(_));
        if audited && self.require_name && grant.actor.is_none() {
            let why = "changes are accepted only with a token that is bound to a name";
            return refused(why);
        }
        let header = headers.get(ACTOR);
        Ok(Caller {
            operates: grant.role >= Role::Operator,
            bound: grant.actor.clone(),
            header: header.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned()),
        })
    }
}

/// The token of a request that has one and no other.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (values.next()?, values.next());
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let known = more.is_none() && scheme.eq_ignore_ascii_case("bearer");
    known.then_some(token.trim())
}

/// Lets a request pass that has what its route needs.
pub(super) async fn guard(
    Extract((state, need)): Extract<(State, Need)>,
    mut request: Request,
    next: Next,
) -> Response {
    match state.access.admit(need, request.headers()).await {
        Err(error) => return error.into_response(),
        Ok(caller) => request.extensions_mut().insert(caller),
    };
    if need.writes() && state.readiness.is_draining() {
        return HttpError::Registry(RegistryError::ShuttingDown).into_response();
    }
    if need != Need::Viewer && !state.desk.progress.has_begun() {
        return HttpError::Starting.into_response();
    }
    next.run(request).await
}
