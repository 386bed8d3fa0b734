//! Small forms: a few texts, as JSON, urlencoded or multipart.

use std::{collections::HashMap, fmt, time::Duration};

use axum::extract::{FromRequest, Request};
use mime::Mime;
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{body, multipart};
use crate::{
    app::App,
    failure::{Failure, FieldProblem},
};

/// More than any honest form of a few texts has, in bytes.
const LIMIT: u64 = 64 << 10;
/// The longest that so small a form may take.
const LONGEST: Duration = Duration::from_secs(15);
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
        let whole = body::whole(app, request, LIMIT, LONGEST, too_large);
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
        let pairs: Pairs = serde_json::from_slice(bytes).map_err(|_| Failure::MalformedBody {
            expected: "application/json",
        })?;
        let mut fields = Self::default();
        for (name, value) in pairs.0 {
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

/// The members of a JSON object, repeated ones too.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}
