//! What values may be; whoever sets another is told so.

use std::time::Duration;

use super::value::Period;

pub(super) fn check(
    sound: bool,
    key: &'static str,
    text: impl Into<String>,
) -> Result<(), (&'static str, String)> {
    if sound {
        Ok(())
    } else {
        Err((key, text.into()))
    }
}

pub(super) fn check_period(
    key: &'static str,
    period: Period,
) -> Result<(), (&'static str, String)> {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
    check(
        (Duration::from_secs(1)..=TEN_YEARS).contains(&period.duration()),
        key,
        format!("{period}; allowed: one second (\"1s\") to ten years"),
    )
}

pub(super) fn check_web_url(key: &'static str, text: &str) -> Result<(), (&'static str, String)> {
    let sound = url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    check(
        sound,
        key,
        format!("{text:?}; allowed: a URL such as \"https://example.com/pictures\""),
    )
}
