use std::pin::pin;

use tokio::time::advance;

use super::*;
use crate::service::clock::Clock;
use crate::service::invoke::same::{Case, invocation};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn no_retry_begins_after_the_deadline_however_long_its_pause_took() {
    let case = Case::new(
        r#"{"retry":1}"#,
        (answer::ERROR_CODE, "503"),
        Clock::default(),
    );
    let mut asked = invocation();
    asked.deadline = Some(asked.received + SECOND);
    let accepted = case.invoker.accept(&mut asked).unwrap();
    let mut calling = pin!(case.invoker.call(accepted));
    assert!(futures_util::poll!(&mut calling).is_pending(), "it pauses");
    advance(2 * SECOND).await;
    let called = calling.await;
    let Ok(Invoked::Answer(answer)) = called else {
        panic!("{called:?}");
    };
    let code = answer.error.map(|error| error.code);
    assert_eq!(code.as_deref(), Some("503"), "the extension's own answer");
    let runtime = case.tools.runtimes.get("x").unwrap();
    assert_eq!(runtime.meter.retries.get(), 0);
}
