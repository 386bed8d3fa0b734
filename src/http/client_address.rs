//! The client's IP address, directly or from `X-Forwarded-For`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Once,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, HeaderName, request::Parts},
};

use super::error::HttpError;
use crate::{app::App, config::Network, failure::Failure};

/// Each proxy appends the address of its client. The client itself controls all earlier entries.
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client.
pub(super) struct ClientAddress(pub(super) IpAddr);

impl FromRequestParts<App> for ClientAddress {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, HttpError> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ConnectInfo(peer) =
            peer.ok_or_else(|| Failure::internal("the request has no peer address"))?;
        let trusted = &app.config.server.trusted_proxies;
        let address = client_address(peer.ip().to_canonical(), &parts.headers, trusted);
        Ok(Self(address))
    }
}

/// Returns the last address in the chain that is not a trusted proxy.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_proxy = |address| trusted.iter().any(|network| network.contains(address));
    if !is_proxy(peer) {
        if headers.contains_key(&FORWARDED_FOR) {
            warn_once();
        }
        return peer;
    }
    let mut address = peer;
    let entries = headers.get_all(&FORWARDED_FOR).iter();
    let entries: Vec<_> = entries
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .collect();
    // From the end: the nearest proxy wrote the last entry.
    for entry in entries.into_iter().rev() {
        // Trusted proxies write only addresses, so the client wrote this entry.
        let Some(before) = parse_address(entry) else {
            break;
        };
        address = before;
        if !is_proxy(address) {
            break;
        }
    }
    address
}

/// Parses `192.0.2.1` or `2001:db8::1`, also with a port, which some proxies add.
fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = text
        .parse()
        .or_else(|_| with_port())
        .ok()
        .or_else(bracketed);
    // `::ffff:192.0.2.1` is the same client as `192.0.2.1`.
    address.map(|address: IpAddr| address.to_canonical())
}

fn warn_once() {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "X-Forwarded-For is ignored, because the peer is not in server.trusted_proxies; \
             limits per address count for the peer"
        );
    });
}
