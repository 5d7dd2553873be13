use std::time::SystemTime;

use tokio::time::advance;

use super::*;
use crate::domain::lock::locked;
use crate::service::clock::Clock;
use crate::service::invoke::Invoked;
use crate::service::invoke::same::{Case, invocation};

const SECOND: Duration = Duration::from_secs(1);

/// The link takes a wait that ends in the past for a timer that fires late: for a standstill, which
/// makes up for time that nobody has lost, also to all other calls.
#[tokio::test(start_paused = true)]
async fn what_is_waited_for_after_the_whole_for_a_standstills_sake_is_waited_for_from_now_on() {
    let clock = Clock::reading(SystemTime::now);
    let total = r#"{"metadata":{"stream":{"total_ms":1000}}}"#;
    let case = Case::new(total, (STREAM, CHUNK), clock);
    let mut asked = invocation();
    asked.stream = true;
    let accepted = case.invoker.accept(&mut asked).unwrap();
    let called = case.invoker.call(accepted).await;
    let Ok(Invoked::Stream(mut stream)) = called else {
        panic!("{called:?}");
    };
    let first = stream.next().await;
    assert!(matches!(first, Piece::Chunk(_)), "{first:?}");
    let begun = stream.begun.into_std();
    clock.slept(begun, begun + SECOND);
    advance(SECOND + SECOND / 2).await;
    let second = stream.next().await;
    assert!(matches!(second, Piece::Chunk(_)), "{second:?}");
    let last = locked(&case.waits).last().copied();
    assert!(
        last.is_some_and(|until| until >= Instant::now()),
        "{last:?}"
    );
}
