//! What is wanted beside what is there.

use super::compare::Comparison;
use super::*;
use crate::domain::quarantine::{Fault, FaultyExtension};
use crate::domain::testing::{extension, fault};

#[test]
fn each_extension_is_absent_identical_or_different() {
    let mut retried = extension("different");
    retried.retry = 9;
    let part = Fault {
        origin: "extension_versions/partly/v2".into(),
        reason: "`subject` is empty".into(),
        extension: Some(FaultyExtension {
            id: "partly".into(),
            unserved_digest: None,
        }),
    };
    let stored = Stored {
        extensions: vec![
            extension("identical"),
            retried,
            extension("partly"),
            extension("other"),
        ],
        faults: vec![fault("broken", 1), fault("no good", 2), part],
    };
    let files = ["absent", "broken", "different", "identical", "partly"].map(extension);
    let wanted = files.each_ref().map(Wanted::from);
    let comparison = Comparison::new(&wanted, &stored);
    let ids = |all: &[&Wanted<'_>]| -> Vec<String> {
        all.iter().map(|it| it.extension.id.to_string()).collect()
    };
    assert_eq!(ids(&comparison.absent), ["absent"]);
    let report = &comparison.report;
    assert_eq!(report.identical.extensions, 1);
    let all_different = ["broken", "different", "partly"];
    assert_eq!(ids(&comparison.different), all_different);
    let different = report.differences.iter();
    let different = different.map(|(id, found)| format!("{id} {}", found[0].field));
    assert_eq!(
        different.collect::<Vec<_>>(),
        [
            "broken extensions/broken",
            "different retry",
            "partly extension_versions/partly/v2"
        ]
    );
    assert_eq!(report.others, 2, "`other` and `no good`");
}
