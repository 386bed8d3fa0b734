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

/// Lets whoever reads a body say that its rest is not worth waiting for.
#[derive(Clone, Debug, Default)]
pub(super) struct GiveUp(Arc<AtomicBool>);

impl GiveUp {
    /// The client has stopped sending, or takes too long.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A body whose rest is read when it is dropped.
pub(crate) struct Lingering {
    body: Option<Incoming>,
    give_up: GiveUp,
    /// The client sends nothing before it is told to, which the first read does: where nothing was read, nothing comes.
    waits: bool,
}

impl Lingering {
    /// Wraps the body of a request.
    pub(crate) fn wrap(mut request: Request<Incoming>) -> Request<Self> {
        let give_up = GiveUp::default();
        request.extensions_mut().insert(give_up.clone());
        let expect = request.headers().get(header::EXPECT);
        let waits =
            expect.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
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
        self.waits = false;
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
        let rest = self.body.take().filter(|body| {
            !self.waits && !self.give_up.0.load(Ordering::Relaxed) && !body.is_end_stream()
        });
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(rest), Ok(runtime)) = (rest, runtime) {
            runtime.spawn(tokio::time::timeout(LONGEST, drain(rest)));
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
