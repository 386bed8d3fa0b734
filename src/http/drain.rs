//! Draining of request bodies that a handler did not read to the end.
//!
//! If the server closes a connection while the client still sends, the client gets a TCP reset and
//! may lose the response (RFC 9112, section 9.6). So the rest of a dropped body is read and
//! discarded while the response is sent, up to a limit of bytes and time.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::http::{Request, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// Maximum number of bytes to discard.
const MAX_BYTES: usize = 128 << 20;
/// Maximum time for draining.
const MAX_DURATION: Duration = Duration::from_secs(30);

/// Maximum time for draining if the client still waits for `100 Continue`.
///
/// Most such clients read the response and never send the body.
const MAX_DURATION_EXPECT: Duration = Duration::from_secs(3);
/// Time in which a response has been sent.
const RESPONSE_SENT: Duration = Duration::from_millis(500);

/// Flag in a request's extensions: the rest of the body must not be drained.
#[derive(Clone, Debug, Default)]
pub(super) struct SkipDrain(Arc<AtomicBool>);

impl SkipDrain {
    /// Disables draining. Used when the client has stopped sending or is too slow.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Flag in a request's extensions: the client sent `Expect: 100-continue` and still waits.
#[derive(Clone, Debug)]
pub(crate) struct ExpectContinue(Arc<AtomicBool>);

impl ExpectContinue {
    /// Returns true while nobody has read from the body.
    ///
    /// If that is still true when the response is sent, the connection must be closed: the server
    /// cannot tell whether the next bytes are the body or a new request.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request body that drains its rest when it is dropped.
pub(crate) struct DrainOnDrop {
    body: Option<Incoming>,
    skip_drain: SkipDrain,
    expect_continue: ExpectContinue,
}

impl DrainOnDrop {
    /// Wraps the body of a request, and adds both flags to the request's extensions.
    pub(crate) fn wrap(mut request: Request<Incoming>) -> Request<Self> {
        let skip_drain = SkipDrain::default();
        request.extensions_mut().insert(skip_drain.clone());
        let expect = request.headers().get(header::EXPECT);
        let is_waiting =
            expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let expect_continue = ExpectContinue(Arc::new(AtomicBool::new(is_waiting)));
        request.extensions_mut().insert(expect_continue.clone());
        request.map(|body| Self {
            body: Some(body),
            skip_drain,
            expect_continue,
        })
    }
}

impl Body for DrainOnDrop {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // hyper sends `100 Continue` at the first poll of the body.
        self.expect_continue.0.store(false, Ordering::Relaxed);
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map(Incoming::size_hint)
            .unwrap_or_default()
    }
}

impl Drop for DrainOnDrop {
    fn drop(&mut self) {
        let skip_drain = self.skip_drain.0.load(Ordering::Relaxed);
        let rest = self
            .body
            .take()
            .filter(|body| !skip_drain && !body.is_end_stream());
        // There is no runtime if the body is dropped while the process shuts down.
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(rest), Ok(runtime)) = (rest, runtime) {
            let is_waiting = self.expect_continue.is_waiting();
            runtime.spawn(async move {
                let max_duration = if is_waiting {
                    // A poll before the response is sent would make hyper send `100 Continue`.
                    // After it, a client that sends without waiting for `100` is still drained.
                    tokio::time::sleep(RESPONSE_SENT).await;
                    MAX_DURATION_EXPECT
                } else {
                    MAX_DURATION
                };
                tokio::time::timeout(max_duration, drain(rest)).await
            });
        }
    }
}

async fn drain(mut body: Incoming) {
    let mut remaining = MAX_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match remaining.checked_sub(length) {
            Some(rest) => remaining = rest,
            None => return,
        }
    }
}
