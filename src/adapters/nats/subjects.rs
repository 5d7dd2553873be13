//! Which subjects are subscribed, and how a request's subject is read.
//!
//! One subscription per verb and form, never `<prefix>.>` in the group: NATS permissions can then
//! be given per verb, and a request for an unknown verb gets "no responders" at once.

use super::link::lane::Subscription;
use super::verb::Verb;

/// Which sidecar is asked, and the actor. Each form of a verb's subject is written here, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To<'a> {
    /// Any sidecar.
    Any,
    /// Any sidecar, by the actor's own subject.
    As(&'a str),
    /// The sidecar of this name.
    Local(&'a str),
    /// Every sidecar.
    All,
}

impl To<'_> {
    /// The subject of `verb` under `prefix`.
    pub fn subject(self, prefix: &str, verb: Verb) -> String {
        let verb = verb.as_str();
        match self {
            Self::Any => format!("{prefix}.{verb}"),
            Self::As(actor) => format!("{prefix}.as.{actor}.{verb}"),
            Self::Local(instance) => format!("{prefix}.local.{instance}.{verb}"),
            Self::All => format!("{prefix}.all.{verb}"),
        }
    }
}

/// By which subscription a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// What is asked for.
    pub verb: Verb,
    /// Whether the last token is the id.
    pub has_id: bool,
    /// Whether every sidecar gets it.
    pub to_all: bool,
    /// The position of the actor token, in `<prefix>.as.<actor>.<verb>`.
    actor_token: Option<usize>,
}

/// Where a deployment's subjects begin.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The prefix of all subjects.
    pub prefix: String,
    /// The queue group that the sidecars share.
    pub queue_group: String,
    /// This sidecar's token in `local` subjects.
    pub instance_id: String,
}

impl Route {
    /// The id in `subject`, where this route has one.
    pub fn id<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let last = || subject.rsplit('.').next();
        self.has_id.then(last).flatten()
    }

    /// The actor in `subject`, where this route has one.
    pub fn actor<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.split('.').nth(self.actor_token?)
    }
}

impl Layout {
    /// Every subscription for `verb`.
    pub fn subscriptions(&self, verb: Verb) -> Vec<Subscription<Route>> {
        let mut forms = vec![To::Local(&self.instance_id)];
        if verb.answers_any() {
            forms.extend([To::Any, To::As("*")]);
        }
        if verb.answers_all() {
            forms.push(To::All);
        }
        let ids: &[&str] = match verb.takes_id() {
            true => &["", ".*"],
            false => &[""],
        };
        let ids = ids.iter().copied();
        ids.flat_map(|id| forms.iter().map(move |to| self.subscription(*to, verb, id)))
            .collect()
    }

    fn subscription(&self, to: To<'_>, verb: Verb, id: &str) -> Subscription<Route> {
        let is_acting = matches!(to, To::As(_));
        let is_grouped = is_acting || to == To::Any;
        Subscription {
            subject: to.subject(&self.prefix, verb) + id,
            queue_group: is_grouped.then(|| self.queue_group.clone()),
            tag: Route {
                verb,
                has_id: !id.is_empty(),
                to_all: to == To::All,
                actor_token: is_acting.then(|| self.prefix.split('.').count() + 1),
            },
        }
    }

    /// The subject that discovery shows, and its queue group.
    pub fn public(&self, verb: Verb) -> (String, &str) {
        match verb.answers_any() {
            true => (To::Any.subject(&self.prefix, verb), &self.queue_group),
            false => (To::All.subject(&self.prefix, verb), ""),
        }
    }

    /// Where an extension hears that a call was cancelled.
    pub fn cancelled(&self, id: &str) -> String {
        format!("{}.cancelled.{id}", self.prefix)
    }

    /// The subject of an event; `id` where it is about an extension.
    pub fn event(&self, kind: &str, id: Option<&str>) -> String {
        let prefix = &self.prefix;
        match id {
            None => format!("{prefix}.events.{kind}"),
            Some(id) => format!("{prefix}.events.{kind}.{id}"),
        }
    }

    /// Whether `subject` is one of events.
    pub fn is_event(&self, subject: &str) -> bool {
        let rest = subject.strip_prefix(self.prefix.as_str());
        rest.is_some_and(|rest| rest.starts_with(".events."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            prefix: "beamline.registry".into(),
            queue_group: "beamline-registry".into(),
            instance_id: "pod-1".into(),
        }
    }

    #[test]
    fn every_form_of_a_verb_is_subscribed_once() {
        let subjects = |verb| {
            let all = layout().subscriptions(verb);
            all.into_iter()
                .map(|s| (s.subject, s.queue_group.is_some()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            subjects(Verb::Lookup),
            [
                ("beamline.registry.local.pod-1.lookup".into(), false),
                ("beamline.registry.lookup".into(), true),
                ("beamline.registry.as.*.lookup".into(), true),
                ("beamline.registry.local.pod-1.lookup.*".into(), false),
                ("beamline.registry.lookup.*".into(), true),
                ("beamline.registry.as.*.lookup.*".into(), true),
            ]
        );
        assert_eq!(
            subjects(Verb::Cancel),
            [
                ("beamline.registry.local.pod-1.cancel".into(), false),
                ("beamline.registry.all.cancel".into(), false),
            ]
        );
        let cancel = layout().subscriptions(Verb::Cancel);
        let to_all: Vec<_> = cancel.iter().map(|it| it.tag.to_all).collect();
        assert_eq!(to_all, [false, true]);
        assert!(subjects(Verb::Ping).contains(&("beamline.registry.all.ping".into(), false)));
        assert!(
            !subjects(Verb::List)
                .iter()
                .any(|(subject, _)| subject.contains(".all."))
        );
    }

    #[test]
    fn ids_and_actors_are_read_from_their_places() {
        let find = |subject: &str| {
            layout()
                .subscriptions(Verb::Get)
                .into_iter()
                .find(|s| s.subject == subject)
                .unwrap()
                .tag
        };
        let plain = find("beamline.registry.get.*");
        assert_eq!(
            plain.id("beamline.registry.get.pii_guard"),
            Some("pii_guard")
        );
        assert_eq!(plain.actor("beamline.registry.get.pii_guard"), None);
        let acting = find("beamline.registry.as.*.get.*");
        assert_eq!(
            acting.actor("beamline.registry.as.alice.get.x"),
            Some("alice")
        );
        assert_eq!(acting.id("beamline.registry.as.alice.get.x"), Some("x"));
        assert_eq!(
            find("beamline.registry.get").id("beamline.registry.get"),
            None
        );
    }

    #[test]
    fn subjects_say_who_is_asked() {
        for (to, subject) in [
            (To::Any, "p.q.get"),
            (To::As("alice"), "p.q.as.alice.get"),
            (To::Local("pod-1"), "p.q.local.pod-1.get"),
            (To::All, "p.q.all.get"),
        ] {
            assert_eq!(to.subject("p.q", Verb::Get), subject);
        }
    }
}
