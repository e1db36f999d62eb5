//! Cancelling the statement that a session is running: by a cancel request, a timeout, or the end of the session.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use env::Env;
use executor::CancelFlag;
use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use types::PgError;

/// The far end: whoever cancels.
#[derive(Clone, Default)]
pub struct CancelHandle {
    flag: CancelFlag,
    waker: Arc<AtomicWaker>,
}

impl CancelHandle {
    pub fn cancel(&self) {
        self.flag.set();
        self.waker.wake();
    }

    /// A cancel request that came between statements is for none of them.
    pub fn clear(&self) {
        self.flag.clear();
    }

    pub fn flag(&self) -> &CancelFlag {
        &self.flag
    }
}

/// Runs `work` unless it is cancelled or `limit` passes; then it is dropped where it stands.
///
/// Costs an atomic store per poll when nobody cancels; a timer only with a limit. Large work is given pinned, so that it is not
/// moved around.
pub async fn cancellable<T, E: From<PgError>>(
    env: &Arc<dyn Env>,
    handle: &CancelHandle,
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let timer = limit.map(|limit| env.sleep(limit));
    // For what computes without giving way, so that the timer is not looked at.
    handle.flag.set_deadline(limit.map(|limit| env.monotonic() + limit));
    let result = Cancellable { handle, timer, work: std::pin::pin!(work) }.await;
    handle.flag.set_deadline(None);
    result
}

struct Cancellable<'a, W> {
    handle: &'a CancelHandle,
    timer: Option<BoxFuture<'static, ()>>,
    work: Pin<&'a mut W>,
}

impl<T, E: From<PgError>, W: Future<Output = Result<T, E>>> Future for Cancellable<'_, W> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(result) = this.work.as_mut().poll(cx) {
            return Poll::Ready(result);
        }
        this.handle.waker.register(cx.waker());
        if let Err(error) = this.handle.flag.check() {
            return Poll::Ready(Err(error.into()));
        }
        if let Some(timer) = &mut this.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(CancelFlag::timed_out().into()));
        }
        Poll::Pending
    }
}
