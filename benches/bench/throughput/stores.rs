//! The same records in the other stores.

use async_nats::jetstream;
use async_nats::jetstream::stream::StorageType;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::RedisServer;
use crate::bench::records;
use crate::bench::stage::{PREFIX, Stage};

/// The JetStream bucket.
pub(super) const BUCKET: &str = "extensions";

/// Writes in flight while filling.
const AT_ONCE: usize = 64;

/// What was stored.
pub(super) struct Stored {
    /// The mean length of the registry's replies.
    pub(super) reply_bytes: usize,
}

/// Asks the registry for every record and puts it into the other stores.
pub(super) async fn fill(stage: &Stage, redis: Option<&RedisServer>) -> Stored {
    let client = stage.client().await;
    let ask = async |id: String| {
        let reply = client
            .request(&format!("{PREFIX}.lookup"), id.clone())
            .await;
        assert_eq!(reply.ok()["id"], *id, "the registry serves {id}");
        (id, reply.payload)
    };
    let records: Vec<(String, Bytes)> = stream::iter(records::ids(records::CATALOG))
        .map(ask)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    fill_key_value(&stage.nats.url(), &records).await;
    if let Some(redis) = redis {
        fill_redis(&redis.url(), &records).await;
    }
    let bytes: usize = records.iter().map(|(_, record)| record.len()).sum();
    Stored {
        reply_bytes: bytes / records.len(),
    }
}

async fn fill_key_value(url: &str, records: &[(String, Bytes)]) {
    let jetstream = jetstream::new(async_nats::connect(url).await.unwrap());
    let config = jetstream::kv::Config {
        bucket: BUCKET.to_owned(),
        storage: StorageType::Memory,
        ..Default::default()
    };
    let bucket = jetstream.create_key_value(config).await.unwrap();
    let put = |(id, record): &(String, Bytes)| bucket.put(id.clone(), record.clone());
    let puts = stream::iter(records).map(put).buffer_unordered(AT_ONCE);
    puts.try_for_each(async |_| Ok(())).await.unwrap();
}

async fn fill_redis(url: &str, records: &[(String, Bytes)]) {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut pipeline = redis::pipe();
    for (id, record) in records {
        pipeline.set(id, &record[..]).ignore();
    }
    pipeline.exec_async(&mut connection).await.unwrap();
}
