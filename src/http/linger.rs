//! Bodies that nobody wants to the end are read to the end all the same.
//!
//! A client that is still sending when its connection is closed sees a reset, not the answer. So the rest of a body that was
//! dropped is read and thrown away while the answer is already on its way (as RFC 9112, section 9.6 advises), within bounds.

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

/// The most that is read and thrown away, in bytes.
const MOST_BYTES: usize = 128 << 20;
/// The longest that it may take.
const LONGEST: Duration = Duration::from_secs(30);

/// As long for a client that waits to be told to send, and most likely never will.
const SHORT: Duration = Duration::from_secs(3);
/// Long enough for an answer to be written.
const ANSWER_IS_OUT: Duration = Duration::from_millis(500);

/// Lets whoever reads a body say that its rest is not worth waiting for.
#[derive(Clone, Debug, Default)]
pub(super) struct GiveUp(Arc<AtomicBool>);

impl GiveUp {
    /// The client has stopped sending, or takes too long.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether a client still waits to be told to send its body (`Expect: 100-continue`).
#[derive(Clone, Debug)]
pub(crate) struct Waits(Arc<AtomicBool>);

impl Waits {
    /// Whether it does: its body will then not be read in order, and the connection cannot be used again.
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body whose rest is read when it is dropped.
pub(crate) struct Lingering {
    body: Option<Incoming>,
    give_up: GiveUp,
    /// The client waits to be told to send, which the first read does.
    waits: Waits,
}

impl Lingering {
    /// Wraps the body of a request.
    pub(crate) fn wrap(mut request: Request<Incoming>) -> Request<Self> {
        let give_up = GiveUp::default();
        request.extensions_mut().insert(give_up.clone());
        let expect = request.headers().get(header::EXPECT);
        let waits =
            expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let waits = Waits(Arc::new(AtomicBool::new(waits)));
        request.extensions_mut().insert(waits.clone());
        request.map(|body| Self {
            body: Some(body),
            give_up,
            waits,
        })
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.waits.0.store(false, Ordering::Relaxed);
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

impl Drop for Lingering {
    fn drop(&mut self) {
        let given_up = self.give_up.0.load(Ordering::Relaxed);
        let rest = self
            .body
            .take()
            .filter(|body| !given_up && !body.is_end_stream());
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(rest), Ok(runtime)) = (rest, runtime) {
            let waits = self.waits.get();
            runtime.spawn(async move {
                if waits {
                    // A first read before the answer is out would ask the client to send. One that sends all the same,
                    // tired of waiting, is read from then on.
                    tokio::time::sleep(ANSWER_IS_OUT).await;
                }
                tokio::time::timeout(if waits { SHORT } else { LONGEST }, drain(rest)).await
            });
        }
    }
}

async fn drain(mut body: Incoming) {
    let mut left = MOST_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
