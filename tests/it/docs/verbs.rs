//! Lists of verbs are made from the table of verbs: in pages what is between `<!-- verbs: LIST -->`
//! and `<!-- end -->`, in the permissions that ship what is between `# verbs: LIST` and `# end`.

use std::collections::BTreeSet;

use beamline_registry::adapters::nats::verb::{Role, Verb};

use super::lists::spans;
use super::{read, settle};

const BEGIN: &str = "<!-- verbs: ";
const END: &str = "<!-- end -->";
const PERMISSIONS: &str = "deploy/nats/nats-server.conf";

/// The pages of the NATS API are filled where their replies are.
#[test]
fn lists_of_verbs_in_pages_are_those_of_the_table() {
    for path in ["docs/access.md", "docs/cli.md"] {
        let page = read(path);
        assert!(page.contains(BEGIN), "{path} has no list");
        settle(path, &filled(&page));
    }
}

/// A page with its lists as the table has them.
pub(super) fn filled(page: &str) -> String {
    let by_hand = with_lists(page, |_| String::new());
    with_lists(page, |list| match list.strip_prefix("other ") {
        Some(commands) => others(commands == "changes", &by_hand),
        None => listed(list),
    })
}

fn with_lists(page: &str, written: impl Fn(&str) -> String) -> String {
    let mut parts = page.split(BEGIN);
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (list, rest) = part.split_once(" -->").expect("the name of a list");
        let (_, rest) = rest.split_once(END).expect(END);
        out += &format!("{BEGIN}{list} -->{}{END}{rest}", written(list));
    }
    out
}

fn listed(list: &str) -> String {
    let verbs = Verb::ALL.into_iter().filter(|verb| is_in(list, *verb));
    let names: Vec<_> = verbs.map(|verb| format!("`{}`", verb.as_str())).collect();
    names.join(", ")
}

/// Whether a list has the verb. A page lists the verbs that have a section there, a role those that
/// the role before it may not send.
fn is_in(list: &str, verb: Verb) -> bool {
    match list {
        "with an id" => verb.takes_id(),
        "at all" => verb.answers_all(),
        "reader at all" => verb.answers_all() && verb.role() == Role::Reader,
        page if page.ends_with(".md") => {
            let page = read(&format!("docs/{page}"));
            let mut headings = page.lines().filter_map(|line| line.strip_prefix("## "));
            headings.any(|heading| heading.split(", ").any(|name| name == verb.as_str()))
        }
        name => verb.role() == role(name),
    }
}

fn role(name: &str) -> Role {
    match name {
        "reader" => Role::Reader,
        "invoker" => Role::Invoker,
        "operator" => Role::Operator,
        "admin" => Role::Admin,
        _ => panic!("no list and no role is called {name}"),
    }
}

/// What follows the commands of a row by hand: those that change something, or those that do not,
/// which the page names nowhere else.
fn others(changes: bool, by_hand: &str) -> String {
    let typed = by_hand.lines().flat_map(spans);
    let typed: BTreeSet<_> = typed.filter_map(|span| span.split(' ').next()).collect();
    let verbs = Verb::ALL.into_iter().filter(|verb| {
        // That one is `list --type`.
        *verb != Verb::LookupByType && verb.mutates() == changes
    });
    let commands = verbs.map(|verb| verb.as_str().replace('_', "-"));
    let others = commands.filter(|command| !typed.contains(command.as_str()));
    others.map(|command| format!(", `{command}`")).collect()
}

#[test]
fn a_command_that_no_row_has_comes_behind_those_of_its_kind() {
    let commands = Verb::ALL.map(|verb| verb.as_str().replace('_', "-"));
    let known = commands
        .iter()
        .filter(|name| !["stats", "promote"].contains(&name.as_str()));
    let known: String = known.map(|name| format!("`{name} ID` ")).collect();
    let page = |reads: &str, changes: &str| {
        format!("{known}{BEGIN}other reads -->{reads}{END}\n{BEGIN}other changes -->{changes}{END}")
    };
    let settled = page(", `stats`", ", `promote`");
    assert_eq!(filled(&page("", "")), settled);
    assert_eq!(filled(&settled), settled);
}

#[test]
fn the_permissions_of_nats_are_those_of_the_table() {
    let found = read(PERMISSIONS);
    let (mut out, mut lines) = (String::new(), found.lines());
    while let Some(line) = lines.next() {
        out += &format!("{line}\n");
        let Some((indent, list)) = line.split_once("# verbs: ") else {
            continue;
        };
        for subjects in permissions(list) {
            out += &format!("{}\n", format!("{indent}{subjects}").trim_end());
        }
        let end = lines.find(|line| line.trim() == "# end").expect("# end");
        out += &format!("{end}\n");
    }
    settle(PERMISSIONS, &out);
}

/// A line for each verb. `operator as oscar` are the role's own changes, at the actor's subjects;
/// `operator` is all that the role may send without changing anything: at the plain subjects, at one
/// sidecar's and, where all answer, at all.
fn permissions(list: &str) -> Vec<String> {
    if let Some((name, actor)) = list.split_once(" as ") {
        let changes = |verb: Verb| verb.mutates() && verb.role() == role(name);
        return subjects(&format!("as.{actor}."), changes);
    }
    let may = |verb: Verb| !verb.mutates() && verb.role() <= role(list);
    let forms = [
        subjects("", |verb| may(verb) && verb.answers_any()),
        subjects("local.*.", may),
        subjects("all.", |verb| may(verb) && verb.answers_all()),
    ];
    forms.join(&String::new())
}

fn subjects(form: &str, has: impl Fn(Verb) -> bool) -> Vec<String> {
    let verbs = Verb::ALL.into_iter().filter(|verb| has(*verb));
    let subjects = verbs.map(|verb| {
        let subject = format!("beamline.registry.{form}{}", verb.as_str());
        match verb.takes_id() {
            true => format!("\"{subject}\", \"{subject}.*\""),
            false => format!("\"{subject}\""),
        }
    });
    subjects.collect()
}
