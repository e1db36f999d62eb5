//! Waiting with a bound, and giving way.

use std::fmt;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::Env;

/// The time was up before the future completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time allowed for the operation is up")
    }
}

impl std::error::Error for Elapsed {}

/// Runs `future` for at most `duration`. A future that is ready at once arms no timer and reads no clock.
pub async fn timeout<F: Future>(env: &dyn Env, duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    bounded(future, || env.sleep(duration)).await
}

/// Runs `future` until [`Env::monotonic`] reaches `deadline`. A future that is ready at once wins.
pub async fn timeout_at<F: Future>(
    env: &dyn Env,
    deadline: Duration,
    future: F,
) -> Result<F::Output, Elapsed> {
    bounded(future, || env.sleep_until(deadline)).await
}

async fn bounded<F: Future>(
    future: F,
    mut arm: impl FnMut() -> crate::BoxFuture<'static, ()>,
) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut timer = None;
    std::future::poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(value));
        }
        timer.get_or_insert_with(&mut arm).as_mut().poll(context).map(|()| Err(Elapsed))
    })
    .await
}

/// Lets other runnable tasks run before going on, and a runtime look at its sockets and timers. A task that only woke itself would
/// be taken up again at once by a thread with nothing else to do, which looks at those every few dozen tasks.
pub async fn yield_now() {
    tokio::task::yield_now().await;
}
