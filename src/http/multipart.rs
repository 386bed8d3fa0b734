//! Parser for forms with files (`multipart/form-data`, RFC 7578 over RFC 2046, section 5.1).
//!
//! The available libraries refuse some parts because of their head, for example if the file name
//! has a control character. This parser reads only field names, because the service does not use
//! file names.

use std::{borrow::Cow, ops::Range};

use axum::http::HeaderMap;
use memchr::memmem;

use super::{body, error::HttpError};

/// The media type of these forms.
pub(super) const MEDIA_TYPE: &str = "multipart/form-data";
/// Maximum length of a boundary (RFC 2046, section 5.1.1).
const MAX_BOUNDARY_LENGTH: usize = 70;
/// Maximum number of parts. Real forms have fewer than ten.
const MAX_PARTS: usize = 1000;

/// Maximum number of bytes in a part's head. File names are much shorter on every system.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<'body> {
    /// The field's name, or an empty string if it has none.
    pub(super) name: Cow<'body, str>,
    /// The range of the field's value in the body.
    pub(super) data: Range<usize>,
}

/// Returns the boundary between the parts, from the request's `Content-Type`.
///
/// # Errors
/// - [`HttpError::UnsupportedContentType`] if the body is not `multipart/form-data`.
/// - [`HttpError::MalformedBody`] if the boundary is missing, empty or too long.
pub(super) fn boundary(headers: &HeaderMap) -> Result<String, HttpError> {
    let media_type = body::media_type(headers)
        .filter(|media_type| media_type.essence_str() == MEDIA_TYPE)
        .ok_or(HttpError::UnsupportedContentType {
            expected: MEDIA_TYPE,
        })?;
    media_type
        .get_param(mime::BOUNDARY)
        .map(|boundary| boundary.as_str().to_owned())
        .filter(|boundary| (1..=MAX_BOUNDARY_LENGTH).contains(&boundary.len()))
        .ok_or(HttpError::MalformedBody {
            expected: "multipart/form-data; boundary=…",
        })
}

/// Returns the parts of a form in order.
///
/// # Errors
/// [`HttpError::MalformedBody`] if the closing delimiter is missing or a rule is broken.
pub(super) fn parts<'body>(
    form: &'body [u8],
    boundary: &str,
) -> Result<Vec<Part<'body>>, HttpError> {
    parse(form, boundary).ok_or(HttpError::MalformedBody {
        expected: MEDIA_TYPE,
    })
}

fn parse<'body>(form: &'body [u8], boundary: &str) -> Option<Vec<Part<'body>>> {
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = memmem::Finder::new(delimiter.as_bytes());
    // The first delimiter has no line break before it if it begins the form. Otherwise a preamble
    // precedes it, which clients must ignore (RFC 2046, section 5.1.1).
    let opening = &delimiter.needle()[2..];
    let mut rest = match form.strip_prefix(opening) {
        Some(rest) => rest,
        None => &form[delimiter.find(form)? + delimiter.needle().len()..],
    };
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        // Gateways may add spaces after the boundary (`transport-padding` in RFC 2046).
        let padding = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        rest = rest[padding..].strip_prefix(b"\r\n")?;
        let head;
        (head, rest) = split_head(rest)?;
        let end = delimiter.find(rest)?;
        if parts.len() == MAX_PARTS {
            return None;
        }
        // `rest` is always a suffix of the form.
        let start = form.len() - rest.len();
        parts.push(Part {
            name: field_name(head),
            data: start..start + end,
        });
        rest = &rest[end + delimiter.needle().len()..];
    }
}

/// Splits a part into its head, which may be empty, and the bytes after the empty line.
fn split_head(part: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(rest) = part.strip_prefix(b"\r\n") {
        return Some((&[], rest));
    }
    let end = memmem::find(&part[..part.len().min(MAX_HEAD_BYTES)], b"\r\n\r\n")?;
    Some((&part[..end], &part[end + 4..]))
}

/// Returns the parameter `name` of `Content-Disposition` (RFC 7578, section 4.2).
fn field_name(head: &[u8]) -> Cow<'_, str> {
    const FIELD: &[u8] = b"content-disposition:";
    head.split(|byte| *byte == b'\n')
        .find_map(|line| {
            let (field, value) = line.split_at_checked(FIELD.len())?;
            field.eq_ignore_ascii_case(FIELD).then_some(value)
        })
        .and_then(|value| parameter(value, b"name"))
        .unwrap_or_default()
}

/// Returns a parameter of a header's value: a token, or a quoted string with `\` as escape.
fn parameter<'head>(value: &'head [u8], searched: &[u8]) -> Option<Cow<'head, str>> {
    let mut rest = &value[memchr::memchr(b';', value)?..];
    loop {
        rest = rest.strip_prefix(b";")?.trim_ascii_start();
        let equals = memchr::memchr(b'=', rest)?;
        let name = rest[..equals].trim_ascii();
        rest = rest[equals + 1..].trim_ascii_start();
        let text;
        (text, rest) = match rest.strip_prefix(b"\"") {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
                (
                    String::from_utf8_lossy(rest[..end].trim_ascii()),
                    &rest[end..],
                )
            }
        };
        if name.eq_ignore_ascii_case(searched) {
            return Some(text);
        }
        rest = rest.trim_ascii_start();
    }
}

/// Splits the input after the closing quote, and returns the unescaped text and the rest.
///
/// The opening quote is not part of the input.
fn unquote(quoted: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    let mut text = Vec::new();
    let mut rest = quoted;
    loop {
        let end = memchr::memchr2(b'"', b'\\', rest)?;
        text.extend_from_slice(&rest[..end]);
        if rest[end] == b'"' {
            let text = String::from_utf8_lossy(&text).into_owned();
            return Some((Cow::Owned(text), &rest[end + 1..]));
        }
        text.push(*rest.get(end + 1)?);
        rest = &rest[end + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_and_data(form: &str) -> Option<Vec<(String, String)>> {
        let parts = parts(form.as_bytes(), "B").ok()?;
        let text = |part: Part<'_>| (part.name.into_owned(), form[part.data].to_owned());
        Some(parts.into_iter().map(text).collect())
    }

    fn field_name_of(head: &str) -> String {
        let form = format!("--B\r\n{head}\r\n\r\nx\r\n--B--");
        names_and_data(&form).unwrap().remove(0).0
    }

    #[test]
    fn parts_keep_their_order_with_preamble_and_epilogue() {
        let form = "preamble\r\n--B \t\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n2\r\n--B\r\n\r\n\r\n--B--epilogue";
        let expected = [("a", "1\r\n2"), ("", "")].map(|(name, data)| (name.into(), data.into()));
        assert_eq!(names_and_data(form).unwrap(), expected);
    }

    #[test]
    fn names_are_found_in_any_spelling() {
        assert_eq!(
            field_name_of("content-DISPOSITION: form-data; NAME=data"),
            "data"
        );
        assert_eq!(
            field_name_of(
                "X: y\r\nContent-Disposition: form-data; filename=\"; name=\\\"b\"; name=\"a\\\"b\""
            ),
            "a\"b"
        );
        assert_eq!(
            field_name_of(
                "Content-Disposition: form-data; name=\"data\"; filename=\"\u{1a}\u{7f}../../x\""
            ),
            "data"
        );
        assert_eq!(
            field_name_of("Content-Disposition: form-data; filename*=UTF-8''x; name=\"头像\""),
            "头像"
        );
        assert_eq!(field_name_of("Content-Type: image/png"), "");
    }

    #[test]
    fn incomplete_and_malformed_forms_are_refused() {
        let whole = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B--";
        for end in 0..whole.len() {
            assert_eq!(names_and_data(&whole[..end]), None, "{:?}", &whole[..end]);
        }
        assert_eq!(names_and_data("--BX\r\n\r\n\r\n1\r\n--B--"), None);
    }
}
