//! The extensions that are looked up: in Postgres by SQL, and in memory.
//!
//! Ids have one length, so that requests do, and records differ by few bytes. Each carries the
//! same generation in `config` and `metadata`: a reply in which they differ is torn.

use tokio_postgres::Client;

/// Extensions in the catalog that lookups are measured on.
pub(crate) const CATALOG: usize = 10_000;

/// The id of extension `number`.
pub(crate) fn id(number: usize) -> String {
    format!("extension_{number:06}")
}

/// The ids of the first `count` extensions.
pub(crate) fn ids(count: usize) -> Vec<String> {
    (0..count).map(id).collect()
}

/// An extension's `config`, as SQL with the placeholders `{number}` and `{generation}`.
const CONFIG: &str = r#"jsonb_build_object(
    'generation', {generation},
    'patterns', jsonb_build_array('credit_card', 'ssn', 'email', 'phone'),
    'block_on_match', true, 'language', 'en', 'max_tokens', 4096, 'temperature', 0.2,
    'endpoint', 'https://models.example/v1/' || {number} % 100)"#;

/// An extension's `metadata`, likewise.
const METADATA: &str = r#"jsonb_build_object(
    'generation', {generation},
    'owner', 'team-' || {number} % 40, 'tags', jsonb_build_array('beta', 'eu-west', 'pii'),
    'description', 'Checks and rewrites the text of a message before it is routed',
    'max_payload_size', 262144, 'max_in_flight', 64)"#;

fn filled(template: &str, number: &str, generation: &str) -> String {
    template
        .replace("{number}", number)
        .replace("{generation}", generation)
}

/// Inserts the first `count` extensions, generation 0.
pub(crate) async fn insert(database: &Client, count: usize) {
    let statement = format!(
        "INSERT INTO extensions (id, type, subject, timeout_ms, retry, config, metadata)
         SELECT 'extension_' || lpad(n::text, 6, '0'),
             (ARRAY['pre', 'validator', 'post', 'provider'])[1 + n % 4],
             'beamline.ext.bench.extension_' || n || '.v1', 1000 + n % 4000, n % 3, {}, {}
         FROM generate_series(0, {count} - 1) AS n",
        filled(CONFIG, "n", "0"),
        filled(METADATA, "n", "0"),
    );
    database.batch_execute(&statement).await.unwrap();
    database.batch_execute("VACUUM ANALYZE").await.unwrap();
}

/// Moves `count` extensions, from number `first` on, to `generation`; with the triggers, so that
/// listeners are told.
pub(crate) async fn touch(database: &Client, first: usize, count: usize, generation: u64) {
    let statement = "UPDATE extensions
         SET config = jsonb_set(config, '{generation}', to_jsonb($1::bigint)),
             metadata = jsonb_set(metadata, '{generation}', to_jsonb($1::bigint))
         WHERE id >= $2 AND id < $3";
    let generation = i64::try_from(generation).unwrap();
    let arguments: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&generation, &id(first), &id(first + count)];
    let touched = database.execute(statement, &arguments).await.unwrap();
    assert_eq!(touched, count as u64, "rows from {first} on");
}

/// Lets changes of this session pass without triggers: no revision, no notification. Only a full
/// reload can find them.
pub(crate) async fn hide_changes(database: &Client) {
    database
        .batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
}

/// `config` of extension `number`, for a catalog without database.
pub(crate) fn config(number: usize) -> String {
    format!(
        r#"{{"generation":0,"patterns":["credit_card","ssn","email","phone"],"block_on_match":true,"language":"en","max_tokens":4096,"temperature":0.2,"endpoint":"https://models.example/v1/{}"}}"#,
        number % 100
    )
}

/// `metadata` of extension `number`, likewise.
pub(crate) fn metadata(number: usize) -> String {
    format!(
        r#"{{"generation":0,"owner":"team-{}","tags":["beta","eu-west","pii"],"description":"Checks and rewrites the text of a message before it is routed","max_payload_size":262144,"max_in_flight":64}}"#,
        number % 40
    )
}
