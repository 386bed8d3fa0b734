//! Errors of HTTP handlers: failures of the protocol, and failures of the domain.

use std::borrow::Cow;

use crate::failure::{Failure, Language, format_bytes};

/// The cause why a handler or an extractor did not produce its response.
///
/// [`Failure`] has the failures of the domain. The failures that exist only over HTTP are here.
#[derive(Debug)]
pub(super) enum HttpError {
    /// No route or no picture exists at this URL.
    NotFound,
    /// The route exists, but not with this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body has a content type that the route does not accept.
    UnsupportedContentType {
        /// The content types that the route accepts.
        expected: &'static str,
    },
    /// The body breaks the rules of its content type.
    MalformedBody {
        /// The content type of the body.
        expected: &'static str,
    },
    /// The body of a small form is too large.
    BodyTooLarge {
        /// Maximum size in bytes.
        limit: u64,
    },
    /// The domain refused the request or could not serve it.
    Domain(Failure),
}

impl HttpError {
    /// Returns the stable word by which programs tell errors apart.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::UnsupportedContentType { .. } => "unsupported_content_type",
            Self::MalformedBody { .. } => "malformed_body",
            Self::BodyTooLarge { .. } => "too_large",
            Self::Domain(failure) => failure.reason(),
        }
    }

    /// Returns the message for people.
    pub(super) fn message(&self, language: Language) -> Cow<'static, str> {
        match language {
            Language::Chinese => self.chinese(),
            Language::English => self.english(),
        }
    }

    fn chinese(&self) -> Cow<'static, str> {
        match self {
            Self::NotFound => "此地址没有内容".into(),
            Self::MethodNotAllowed => "此地址不支持该请求方法".into(),
            Self::RequestTimeout => "请求体没有及时到达".into(),
            Self::UnsupportedContentType { expected } => {
                format!("不支持的请求体类型，应为 {expected}").into()
            }
            Self::MalformedBody { expected } => {
                format!("请求体格式错误，应为完整的 {expected}").into()
            }
            Self::BodyTooLarge { limit } => {
                format!("请求体太大：上限 {}", format_bytes(*limit)).into()
            }
            Self::Domain(failure) => failure.message(Language::Chinese).into(),
        }
    }

    fn english(&self) -> Cow<'static, str> {
        match self {
            Self::NotFound => "nothing was found at this URL".into(),
            Self::MethodNotAllowed => "this URL does not support the method".into(),
            Self::RequestTimeout => "the body did not arrive in time".into(),
            Self::UnsupportedContentType { expected } => {
                format!("the content type is not supported: expected {expected}").into()
            }
            Self::MalformedBody { expected } => {
                format!("the body is malformed: expected complete {expected}").into()
            }
            Self::BodyTooLarge { limit } => {
                format!("the body is too large: limit {}", format_bytes(*limit)).into()
            }
            Self::Domain(failure) => failure.message(Language::English).into(),
        }
    }
}

impl From<Failure> for HttpError {
    fn from(failure: Failure) -> Self {
        Self::Domain(failure)
    }
}
