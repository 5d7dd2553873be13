//! How long reads of large catalogs take. Run in release: `just soak postgres_source::speed`.

use std::time::{Duration, Instant};

use beamline_registry::service::source::Database;

use super::{delta_since, known, migrated, read_everything, read_since, run};

#[tokio::test]
#[ignore = "a measurement"]
async fn reads_of_large_catalogs() {
    for (count, limit) in [(10_000, 100), (100_000, 1000)] {
        let (_database, client, source) = migrated().await;
        run(
            &client,
            &format!(
                r#"INSERT INTO extensions (id, type, subject, config, metadata)
                   SELECT 'e' || n, 'pre', 'beamline.ext.pre.e' || n,
                          jsonb_build_object('n', n, 'mode', 'strict'), '{{"team": "a"}}'
                   FROM generate_series(1, {count}) n"#
            ),
        )
        .await;
        run(&client, "ANALYZE").await;
        let mut fastest = Duration::MAX;
        let mut latest = None;
        for _ in 0..5 {
            let start = Instant::now();
            let everything = read_everything(&source).await;
            fastest = fastest.min(start.elapsed());
            assert_eq!(everything.extensions.len(), count);
            latest = Some(known(&everything));
        }
        let mut known = latest.unwrap();
        let start = Instant::now();
        source.digest().await.unwrap();
        let digest = start.elapsed();

        let (mut deltas, mut unchanged) = (Vec::new(), Vec::new());
        for n in 1..=200 {
            let sql = format!("UPDATE extensions SET timeout_ms = 6000 + {n} WHERE id = 'e{n}'");
            run(&client, &sql).await;
            let start = Instant::now();
            known.revision = delta_since(&source, &known).await.revision;
            deltas.push(start.elapsed());
            let start = Instant::now();
            read_since(&source, &known).await;
            unchanged.push(start.elapsed());
        }
        deltas.sort_unstable();
        unchanged.sort_unstable();
        eprintln!(
            "{count} extensions: everything {fastest:?}, digest {digest:?}, one-row delta p50 \
             {:?} p99 {:?}, unchanged p50 {:?} p99 {:?}",
            deltas[100], deltas[197], unchanged[100], unchanged[197]
        );
        assert!(fastest < Duration::from_millis(limit), "{fastest:?}");
    }
}
