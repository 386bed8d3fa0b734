//! Section `server`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::{
    check::{check, check_period, check_web_url},
    value::{self, Network, Period},
};

/// Addresses, URLs and timeouts of the HTTP server.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port to listen on. Port 0 takes any free port.
    #[serde(deserialize_with = "value::scalar")]
    pub listen: SocketAddr,
    /// Path above all routes, such as `/douyin`. Empty: the routes start at `/`.
    #[serde(deserialize_with = "value::scalar")]
    pub base_path: String,
    /// URL by which clients know the service, base path included.
    ///
    /// If absent: `http://localhost:<port><base_path>`.
    #[serde(deserialize_with = "value::optional")]
    pub public_url: Option<String>,
    /// Origins of browser apps that may read responses (CORS), such as `https://app.example.com`.
    #[serde(deserialize_with = "value::list")]
    pub allowed_origins: Vec<String>,
    /// Address and port that serve `GET /metrics`. If absent, nothing serves metrics.
    #[serde(deserialize_with = "value::optional")]
    pub metrics_listen: Option<SocketAddr>,
    /// Addresses or networks of proxies whose `X-Forwarded-For` is trusted.
    #[serde(deserialize_with = "value::list")]
    pub trusted_proxies: Vec<Network>,
    /// Time in which the head of a request must arrive.
    #[serde(deserialize_with = "value::scalar")]
    pub header_timeout: Period,
    /// Longest pause between two pieces of a body.
    #[serde(deserialize_with = "value::scalar")]
    pub body_timeout: Period,
    /// Time in which a whole body must arrive.
    #[serde(deserialize_with = "value::scalar")]
    pub body_deadline: Period,
    /// Bytes per second that a body must bring on average, counted after `body_timeout`. 0: no
    /// minimum.
    #[serde(deserialize_with = "value::scalar")]
    pub body_rate: ByteSize,
    /// Time for requests in progress to finish after a stop signal.
    #[serde(deserialize_with = "value::scalar")]
    pub shutdown_timeout: Period,
}

impl ServerSettings {
    pub(super) fn validate(&self) -> Result<(), (&'static str, String)> {
        let path = &self.base_path;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        check(
            path.is_empty()
                || (path.starts_with('/')
                    && !path.ends_with('/')
                    && !path.contains("//")
                    && path
                        .split('/')
                        .all(|segment| !matches!(segment, "." | ".."))
                    && path.chars().all(plain)),
            "server.base_path",
            format!(
                "{path:?}; allowed: empty, or a path such as \"/douyin\", \
                 without a slash at the end"
            ),
        )?;
        if let Some(url) = &self.public_url {
            check_web_url("server.public_url", url)?;
        }
        // Compared with the header `Origin` byte by byte, so only the form that browsers send fits.
        for origin in &self.allowed_origins {
            let valid = url::Url::parse(origin)
                .is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            check(
                valid,
                "server.allowed_origins",
                format!(
                    "{origin:?}; allowed: origins such as \"https://app.example.com\", \
                     without a path; \"*\" is not allowed"
                ),
            )?;
        }
        check_period("server.header_timeout", self.header_timeout)?;
        check_period("server.body_timeout", self.body_timeout)?;
        check_period("server.body_deadline", self.body_deadline)
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 10001),
            base_path: String::new(),
            public_url: None,
            allowed_origins: Vec::new(),
            metrics_listen: None,
            trusted_proxies: Vec::new(),
            header_timeout: Period::seconds(10),
            body_timeout: Period::seconds(30),
            body_deadline: Period::seconds(5 * 60),
            body_rate: ByteSize::kib(8),
            shutdown_timeout: Period::seconds(30),
        }
    }
}
