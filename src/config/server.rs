//! How the service is reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::{
    check::{check, check_period, check_web_url},
    value::{self, Network, Period},
};

/// How the service is reached.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// The address to listen on. Port 0 takes any free one.
    #[serde(deserialize_with = "value::scalar")]
    pub listen: SocketAddr,
    /// The path under which all routes lie: empty, or `/douyin`.
    #[serde(deserialize_with = "value::scalar")]
    pub base_path: String,
    /// The URL that clients know the service by, base path included.
    #[serde(deserialize_with = "value::optional")]
    pub public_url: Option<String>,
    /// Origins of browser apps that may call the service: `https://app.example.com`.
    #[serde(deserialize_with = "value::list")]
    pub allowed_origins: Vec<String>,
    /// Where counts can be read (`GET /metrics`); absent, nowhere.
    #[serde(deserialize_with = "value::optional")]
    pub metrics_listen: Option<SocketAddr>,
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "value::list")]
    pub trusted_proxies: Vec<Network>,
    /// How long a client may take to send the head of a request.
    #[serde(deserialize_with = "value::scalar")]
    pub header_timeout: Period,
    /// How long a client may pause within a body.
    #[serde(deserialize_with = "value::scalar")]
    pub body_timeout: Period,
    /// How long a body may take in all.
    #[serde(deserialize_with = "value::scalar")]
    pub body_deadline: Period,
    /// Once `body_timeout` has passed, the least of a body that must have come for each second since; 0 for none.
    #[serde(deserialize_with = "value::scalar")]
    pub body_rate: ByteSize,
    /// How long requests in flight may take to finish after Ctrl-C.
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
                "{path:?}; allowed: empty, or a path such as \"/douyin\" without a slash at its end"
            ),
        )?;
        if let Some(url) = &self.public_url {
            check_web_url("server.public_url", url)?;
        }
        for origin in &self.allowed_origins {
            let sound = url::Url::parse(origin)
                .is_ok_and(|url| url.origin().ascii_serialization() == *origin);
            check(
                sound,
                "server.allowed_origins",
                format!(
                    "{origin:?}; allowed: origins such as \"https://app.example.com\", without a path; never \"*\""
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
