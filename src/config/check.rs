//! Checks that several sections share. An error is the key of the setting and what is wrong.

use std::time::Duration;

use super::value::Period;

/// Fails with `text` for the setting `key` if the value is invalid.
pub(super) fn check(
    valid: bool,
    key: &'static str,
    text: impl Into<String>,
) -> Result<(), (&'static str, String)> {
    if valid {
        Ok(())
    } else {
        Err((key, text.into()))
    }
}

/// Checks that a time is at least one second and at most ten years.
pub(super) fn check_period(
    key: &'static str,
    period: Period,
) -> Result<(), (&'static str, String)> {
    // The bound keeps sums of times in milliseconds far from overflow.
    const TEN_YEARS: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
    check(
        (Duration::from_secs(1)..=TEN_YEARS).contains(&period.duration()),
        key,
        format!("{period}; allowed: one second (\"1s\") to ten years"),
    )
}

/// Checks that a text is the URL of a website, to which paths can be appended.
pub(super) fn check_web_url(key: &'static str, text: &str) -> Result<(), (&'static str, String)> {
    let valid = url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    check(
        valid,
        key,
        format!(
            "{text:?}; allowed: an http or https URL without a query, \
             such as \"https://example.com/pictures\""
        ),
    )
}
