//! The server: accepts connections, limits them, and shuts down gracefully.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, header},
};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::{
    app::App,
    http::{self, DrainOnDrop, ExpectContinue},
};

/// Maximum size of a request's head, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Pause after a failed `accept`. The usual cause is a lack of file descriptors, which lasts.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves requests until `stop` is ready. Then waits for running requests and closes the app.
///
/// The server speaks only HTTP/1.1. Proxies in front of it speak HTTP/2 to browsers.
pub async fn run(listener: TcpListener, app: App, stop: impl Future<Output = ()>) {
    app.start_background_work();
    let limits = &app.config.limits;
    let connections = if limits.enabled {
        limits.connections
    } else {
        Semaphore::MAX_PERMITS
    };
    let connections = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
    let acceptor = Acceptor {
        router: http::router(app.clone()),
        graceful: GracefulShutdown::new(),
        app: app.clone(),
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // Before `accept`, so that connections above the limit wait in the kernel's queue.
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            (permit, accepted) = accepted => match (permit, accepted) {
                (Ok(permit), Ok((stream, peer))) => acceptor.serve(stream, peer, permit),
                (_, Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                // Never happens: nothing closes the semaphore.
                (Err(_), _) => break,
            },
            () = &mut stop => break,
        }
    }
    // New connections are refused at once, so that a load balancer tries another node.
    drop(listener);
    let finished = tokio::time::timeout(
        app.config.server.shutdown_timeout.duration(),
        acceptor.graceful.shutdown(),
    )
    .await;
    if finished.is_err() {
        tracing::warn!("requests were aborted: they did not finish within server.shutdown_timeout");
    }
    app.close().await;
}

struct Acceptor {
    router: Router,
    graceful: GracefulShutdown,
    app: App,
}

impl Acceptor {
    fn serve(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        // Nagle's algorithm would delay the last packet of a response until the client's ACK. The
        // error can be ignored: if the connection is broken, the first read reports that.
        let _ = stream.set_nodelay(true);
        let (router, app) = (self.router.clone(), self.app.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, app) = (router.clone(), app.clone());
            async move {
                if let Some(response) = http::serve_cached(&app, &request).await {
                    return Ok(response);
                }
                let mut request = DrainOnDrop::wrap(request).map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                let expect_continue = request.extensions().get::<ExpectContinue>().cloned();
                let response = router.oneshot(request).await;
                let mut response = response.unwrap_or_else(|never| match never {});
                // The body was never read, so the next bytes may be the body or a new request.
                if expect_continue.is_some_and(|expect| expect.is_waiting()) {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        // A client that stops reading must not hold its connection and its response for ever. Reads
        // have their own limits: for the head below, for the body in `http`.
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.app.config.server.body_timeout.duration()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.app.config.server.header_timeout.duration())
            .max_buf_size(MAX_HEAD_BYTES)
            // A client may close its sending half after the request, and still read the response.
            .half_close(true)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = self.graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, %peer, "connection failed");
            }
            // Not earlier, so that the limit counts connections and not requests.
            drop(permit);
        });
    }
}
