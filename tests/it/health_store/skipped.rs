//! Rows that cannot be used are named, and not any more once they are repaired.

use beamline_registry::service::fleet::halt::Rollouts;

use super::*;

/// Where the rows that are named are.
fn origins(skipped: &Skipped) -> Vec<String> {
    let faults = skipped.faults().into_iter();
    faults.map(|fault| fault.origin).collect()
}

/// They have no effect after the start that reads them.
#[tokio::test]
async fn a_circuit_is_named_until_all_health_is_read_again() {
    let (database, client) = fleet(1).await;
    let skipped = Arc::<Skipped>::default();
    let store = store_naming(&database, "s1", Arc::clone(&skipped));
    holds(&self::store(&database, "s2"), &[]).await;
    run(
        &client,
        "INSERT INTO extension_circuit_reports (boot, extension_id, version, state, opened_at, retry_at)
         SELECT boot, 'e1', 'no version', 'open', now(), now() FROM sidecar_boots",
    )
    .await;
    let boot = store.register(INTERVAL).await.unwrap();
    store.held(&boot).await.unwrap();
    let named = ["extension_circuit_reports/e1/no version"];
    assert_eq!(origins(&skipped), named);
    store.others(&boot, Some(INTERVAL)).await.unwrap();
    assert_eq!(origins(&skipped), named);
    store.others(&boot, None).await.unwrap();
    assert_eq!(origins(&skipped), [""; 0]);
}

#[tokio::test]
async fn a_version_that_may_be_halted_is_named_until_it_is_repaired_or_not_asked_for() {
    let (database, client) = fleet(1).await;
    let skipped = Arc::<Skipped>::default();
    let store = store_naming(&database, "s1", Arc::clone(&skipped));
    let replace = async |version: &str| {
        let rollout = r#"{"by": "tenant_id", "percent": 50, "halt": {"min_requests": 10}}"#;
        let sql = format!(
            "DELETE FROM extension_versions;
             INSERT INTO extension_versions (id, version, subject, rollout)
             VALUES ('e1', '{version}', 's', '{rollout}')"
        );
        run(&client, &sql).await;
    };
    let windows = BTreeMap::from([(id(1), Duration::from_secs(60))]);
    let tell = async |windows: &BTreeMap<ExtensionId, Duration>| {
        store.tell(1, &[], windows).await.unwrap().len()
    };
    let named = ["extension_versions/e1/no version"];

    replace("no version").await;
    assert_eq!(tell(&windows).await, 0);
    assert_eq!(origins(&skipped), named);
    replace("v2").await;
    assert_eq!(tell(&windows).await, 1);
    assert_eq!(origins(&skipped), [""; 0]);

    replace("no version").await;
    tell(&windows).await;
    assert_eq!(origins(&skipped), named);
    tell(&BTreeMap::new()).await;
    assert_eq!(origins(&skipped), [""; 0]);
}
