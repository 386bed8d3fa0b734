//! Content negotiation of error responses (RFC 9110, section 12).
//!
//! The parsers are here because the `headers` crate has no `Accept` and no `Accept-Language`.

use axum::http::{HeaderMap, header};

use crate::failure::Language;

/// The media type of problem details (RFC 9457).
pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// The language and the format in which the client wants errors.
#[derive(Clone, Copy)]
pub(super) struct ErrorFormat {
    pub(super) language: Language,
    /// Whether the body is problem details instead of the envelope.
    pub(super) problem_details: bool,
}

impl ErrorFormat {
    /// Reads `Accept-Language` and `Accept`.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let languages = headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok());
        let problem_details = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(accepts_problem_json);
        Self {
            language: preferred_language(languages.unwrap_or_default()),
            problem_details,
        }
    }
}

/// Returns the supported language with the highest weight (RFC 9110, section 12.5.4).
///
/// The first one wins if several have the same weight.
fn preferred_language(accepted: &str) -> Language {
    let mut best = (0.0, Language::default());
    for range in accepted.split(',') {
        let (tag, weight) = split_weight(range);
        // Only the primary subtag counts: `zh-TW` gets the same Chinese as `zh-CN`.
        let language = match tag.split('-').next().unwrap_or_default() {
            primary if primary.eq_ignore_ascii_case("zh") => Language::Chinese,
            primary if primary.eq_ignore_ascii_case("en") => Language::English,
            _ => continue,
        };
        if weight > best.0 {
            best = (weight, language);
        }
    }
    best.1
}

/// Returns true if `accepted` names problem details with a weight above 0.
///
/// Wildcards do not count: browsers send `*/*`, and their pages expect the envelope.
fn accepts_problem_json(accepted: &str) -> bool {
    accepted.split(',').any(|range| {
        let (name, weight) = split_weight(range);
        name.eq_ignore_ascii_case(PROBLEM_JSON) && weight > 0.0
    })
}

/// Splits a range into its name and its weight (RFC 9110, section 12.4.2).
///
/// The weight is 1 if it is absent and 0 if it is invalid.
fn split_weight(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q="));
    let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
    // `parse` also accepts `NaN`, `inf` and negative numbers. No range contains NaN.
    let is_valid = (0.0..=1.0).contains(&weight);
    (name, if is_valid { weight } else { 0.0 })
}
