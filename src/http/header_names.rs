//! Header names and header values that several modules of `http` use.

use axum::http::{HeaderName, HeaderValue, header};

/// Carries an access token, in requests and in responses.
pub(super) static ACCESS_TOKEN: HeaderName = HeaderName::from_static("access-token");
/// Carries a refresh token, in requests and in responses.
pub(super) static REFRESH_TOKEN: HeaderName = HeaderName::from_static("refresh-token");

/// Forbids browsers to guess another type than `Content-Type` says (Fetch Standard, section 3.6).
pub(super) const NOSNIFF: (HeaderName, HeaderValue) = (
    header::X_CONTENT_TYPE_OPTIONS,
    HeaderValue::from_static("nosniff"),
);
