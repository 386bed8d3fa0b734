//! The accept loop: bounds on connections and on the time that heads of requests take, and an end that lets requests finish.

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
    http::{self, Lingering, Waits},
};

/// The most bytes of a request's head.
const HEAD_BYTES: usize = 64 << 10;
/// The pause after a connection could not be accepted, as when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` ends, then lets requests in flight finish, and closes everything.
///
/// HTTP/1.1 alone is spoken: browsers speak HTTP/2 to the proxy that holds the certificate, and proxies HTTP/1.1 to what is behind them.
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
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            (permit, accepted) = accepted => match (permit, accepted) {
                (Ok(permit), Ok((stream, peer))) => acceptor.serve(stream, peer, permit),
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), _) => break,
            },
            () = &mut stop => break,
        }
    }
    drop(listener);
    let finished = tokio::time::timeout(
        app.config.server.shutdown_timeout.duration(),
        acceptor.graceful.shutdown(),
    )
    .await;
    if finished.is_err() {
        tracing::warn!("requests that did not finish in time were cut off");
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
        // Without it the last piece of an answer may wait for the client's acknowledgement; an error is for the first read to tell.
        let _ = stream.set_nodelay(true);
        let (router, app) = (self.router.clone(), self.app.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, app) = (router.clone(), app.clone());
            async move {
                if let Some(response) = http::quick(&app, &request).await {
                    return Ok(response);
                }
                let mut request = Lingering::wrap(request).map(Body::new);
                request.extensions_mut().insert(ConnectInfo(peer));
                let waits = request.extensions().get::<Waits>().cloned();
                let response = router.oneshot(request).await;
                let mut response = response.unwrap_or_else(|never| match never {});
                if waits.is_some_and(|waits| waits.get()) {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.app.config.server.body_timeout.duration()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.app.config.server.header_timeout.duration())
            .max_buf_size(HEAD_BYTES)
            .half_close(true)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = self.graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, %peer, "a connection ended early");
            }
            drop(permit);
        });
    }
}
