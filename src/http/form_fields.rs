//! Small forms of a few text fields, as JSON, urlencoded or multipart.

use std::{collections::HashMap, fmt, time::Duration};

use axum::extract::{FromRequest, Request};
use mime::Mime;
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{body, error::HttpError, multipart};
use crate::{
    app::App,
    failure::{Failure, FieldProblem},
};

/// Maximum size of a form in bytes. Real forms are much smaller.
const MAX_BYTES: u64 = 64 << 10;
/// Maximum time for receiving a form.
const MAX_DURATION: Duration = Duration::from_secs(15);
/// The content types that a form may have.
const EXPECTED: &str = "application/json, application/x-www-form-urlencoded, multipart/form-data";

/// The fields of a form. Unknown fields are ignored.
#[derive(Debug, Default)]
pub(super) struct FormFields(HashMap<String, Field>);

/// The value of a field. All texts are secret, because passwords are among them.
#[derive(Debug)]
enum Field {
    Text(SecretString),
    NotText,
    Repeated,
}

impl FromRequest<App> for FormFields {
    type Rejection = HttpError;

    async fn from_request(request: Request, app: &App) -> Result<Self, HttpError> {
        let headers = request.headers().clone();
        let too_large = || HttpError::BodyTooLarge { limit: MAX_BYTES };
        if body::content_length(&headers).is_some_and(|length| length > MAX_BYTES) {
            return Err(too_large());
        }
        let media_type = body::media_type(&headers);
        let whole = body::read_to_vec(app, request, MAX_BYTES, MAX_DURATION, too_large);
        match media_type.as_ref().map(Mime::essence_str) {
            Some("application/json") => Self::from_json(&whole.await?),
            Some("application/x-www-form-urlencoded") => Ok(Self::from_urlencoded(&whole.await?)),
            Some(multipart::MEDIA_TYPE) => {
                let boundary = multipart::boundary(&headers)?;
                Self::from_multipart(&whole.await?, &boundary)
            }
            _ => Err(HttpError::UnsupportedContentType { expected: EXPECTED }),
        }
    }
}

impl FormFields {
    /// Removes a required field and returns its text.
    ///
    /// # Errors
    /// [`Failure::InvalidField`] if the field is missing, repeated or not a text.
    pub(super) fn take(&mut self, field: &'static str) -> Result<SecretString, Failure> {
        let problem = match self.0.remove(field) {
            Some(Field::Text(text)) => return Ok(text),
            Some(Field::NotText) => FieldProblem::NotText,
            Some(Field::Repeated) => FieldProblem::Repeated,
            None => FieldProblem::Missing,
        };
        Err(Failure::InvalidField { field, problem })
    }

    fn from_json(bytes: &[u8]) -> Result<Self, HttpError> {
        let members: Members =
            serde_json::from_slice(bytes).map_err(|_| HttpError::MalformedBody {
                expected: "application/json",
            })?;
        let mut fields = Self::default();
        for (name, value) in members.0 {
            let text = if let Value::String(text) = value {
                Some(text)
            } else {
                None
            };
            fields.add(name, text);
        }
        Ok(fields)
    }

    fn from_urlencoded(bytes: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(bytes) {
            // The parser replaces invalid UTF-8 by this character. Different invalid bytes would
            // become the same password.
            let text = (!value.contains(char::REPLACEMENT_CHARACTER)).then(|| value.into_owned());
            fields.add(name.into_owned(), text);
        }
        fields
    }

    fn from_multipart(form: &[u8], boundary: &str) -> Result<Self, HttpError> {
        let mut fields = Self::default();
        for part in multipart::parts(form, boundary)? {
            let text = String::from_utf8(form[part.data].to_vec()).ok();
            fields.add(part.name.into_owned(), text);
        }
        Ok(fields)
    }

    fn add(&mut self, name: String, text: Option<String>) {
        let field = text.map_or(Field::NotText, |text| Field::Text(SecretString::from(text)));
        self.0
            .entry(name)
            .and_modify(|field| *field = Field::Repeated)
            .or_insert(field);
    }
}

/// The members of a JSON object in order.
///
/// Maps of `serde_json` keep only the last of several members with one name, so that a repeated
/// field would go unnoticed.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}
