//! Where a request comes from, also where it came through proxies.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Once,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, HeaderName, request::Parts},
};

use crate::{app::App, config::Network, failure::Failure};

/// Each proxy adds the address that it was called from at the end. What stands before is whatever the client sent.
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client.
pub(super) struct ClientAddress(pub(super) IpAddr);

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ConnectInfo(peer) = peer.ok_or_else(|| Failure::internal("a request without peer"))?;
        let trusted = &app.config.server.trusted_proxies;
        let address = client_address(peer.ip().to_canonical(), &parts.headers, trusted);
        Ok(Self(address))
    }
}

/// Walks the header from its end, where the nearest proxy wrote, as long as proxies of ours wrote.
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
    for entry in entries.into_iter().rev() {
        // What is no address was not written by a proxy that can be trusted with one.
        let Some(before) = parse(entry) else { break };
        address = before;
        if !is_proxy(address) {
            break;
        }
    }
    address
}

/// `192.0.2.1`, `2001:db8::1`, and with a port behind, as some proxies write.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = text
        .parse()
        .or_else(|_| with_port())
        .ok()
        .or_else(bracketed);
    address.map(|address: IpAddr| address.to_canonical())
}

fn warn_once() {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "requests carry X-Forwarded-For, which is ignored: they come from no address in server.trusted_proxies, \
             and limits for each address count for whoever sends them"
        );
    });
}
