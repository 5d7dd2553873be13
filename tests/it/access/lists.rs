//! nats-server knows no list made of lists, so the file repeats them; they must not drift apart.

use super::guarded::SHIPPED;

/// The lines of the first list behind `place`, without comments and empty ones.
fn lines(place: &str) -> Vec<&'static str> {
    let (_, behind) = SHIPPED.split_once(place).expect(place);
    let mut list = behind.lines().skip_while(|line| !line.ends_with('['));
    assert!(list.next().is_some(), "a list behind {place}");
    let list = list.map_while(|line| (line.trim() != "]").then_some(line));
    let list = list.filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#'));
    list.collect()
}

/// The subjects in them but those that contain one of `own`.
fn subjects(lines: &[&'static str], own: &[&str]) -> Vec<&'static str> {
    let all = lines
        .iter()
        .flat_map(|line| line.split('"').skip(1).step_by(2));
    all.filter(|it| !own.iter().any(|own| it.contains(own)))
        .collect()
}

#[test]
fn each_role_may_send_what_the_one_before_it_may_and_its_own() {
    let reader = lines("\nREADER_SENDS");
    let invoker = lines("\nINVOKER_SENDS");
    let oscar = lines("user: \"oscar\"");
    let alice = lines("user: \"alice\"");
    let reading = subjects(&reader, &[]);
    assert!(reading.len() > 20, "{reading:?}");
    assert_eq!(
        subjects(&invoker, &[".invoke", ".report", ".cancel"]),
        reading
    );
    let invoking = subjects(&invoker, &[]);
    let own = [".as.", "$SRV", ".all.reload", ".local.*.reload"];
    assert_eq!(subjects(&oscar, &own), invoking);
    let own = [&own[..], &[".audit"]].concat();
    assert_eq!(subjects(&alice, &own), invoking);
    for list in [reader, invoker, oscar, alice] {
        let indents = list.iter().map(|line| line.len() - line.trim_start().len());
        let indents: Vec<_> = indents.collect();
        assert!(indents.iter().all(|it| *it == indents[0]), "{list:#?}");
    }
}
