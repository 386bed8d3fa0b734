//! Small forms: a few texts, as JSON, urlencoded or multipart.

use std::collections::HashMap;

use axum::extract::{FromRequest, Request};
use mime::Mime;
use secrecy::SecretString;
use serde_json::Value;

use super::{body, multipart};
use crate::{
    app::App,
    failure::{Failure, FieldProblem},
};

/// More than any honest form of a few texts has, in bytes.
const LIMIT: u64 = 64 << 10;
const EXPECTED: &str = "application/json, application/x-www-form-urlencoded, multipart/form-data";

/// The fields of a form. Those that nobody asks for are of no consequence.
#[derive(Debug, Default)]
pub(super) struct Fields(HashMap<String, Field>);

#[derive(Debug)]
enum Field {
    Text(SecretString),
    NotText,
    Repeated,
}

impl FromRequest<App> for Fields {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let headers = request.headers().clone();
        let too_large = || Failure::BodyTooLarge { limit: LIMIT };
        if body::content_length(&headers).is_some_and(|length| length > LIMIT) {
            return Err(too_large());
        }
        let media_type = body::media_type(&headers);
        let whole = body::whole(app, request, LIMIT, too_large);
        match media_type.as_ref().map(Mime::essence_str) {
            Some("application/json") => Self::from_json(&whole.await?),
            Some("application/x-www-form-urlencoded") => Ok(Self::from_urlencoded(&whole.await?)),
            Some(multipart::MEDIA_TYPE) => {
                let boundary = multipart::boundary(&headers)?;
                Self::from_multipart(&whole.await?, &boundary)
            }
            _ => Err(Failure::UnsupportedContentType { expected: EXPECTED }),
        }
    }
}

impl Fields {
    /// Takes a field that must be there.
    pub(super) fn take(&mut self, field: &'static str) -> Result<SecretString, Failure> {
        let problem = match self.0.remove(field) {
            Some(Field::Text(text)) => return Ok(text),
            Some(Field::NotText) => FieldProblem::NotText,
            Some(Field::Repeated) => FieldProblem::Repeated,
            None => FieldProblem::Missing,
        };
        Err(Failure::InvalidField { field, problem })
    }

    fn from_json(bytes: &[u8]) -> Result<Self, Failure> {
        let malformed = || Failure::MalformedBody {
            expected: "application/json",
        };
        let Ok(Value::Object(object)) = serde_json::from_slice(bytes) else {
            return Err(malformed());
        };
        let mut fields = Self::default();
        for (name, value) in object {
            fields.add(
                name,
                if let Value::String(text) = value {
                    Some(text)
                } else {
                    None
                },
            );
        }
        Ok(fields)
    }

    fn from_urlencoded(bytes: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, value) in form_urlencoded::parse(bytes) {
            // What is no UTF-8 comes out as this character, and different bytes must not become one password.
            let text = (!value.contains(char::REPLACEMENT_CHARACTER)).then(|| value.into_owned());
            fields.add(name.into_owned(), text);
        }
        fields
    }

    fn from_multipart(form: &[u8], boundary: &str) -> Result<Self, Failure> {
        let mut fields = Self::default();
        for part in multipart::parts(form, boundary)? {
            let text = String::from_utf8(part.data.to_vec()).ok();
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
