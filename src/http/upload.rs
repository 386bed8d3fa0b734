//! Uploads, and what they may be.

use axum::{
    extract::{Request, State},
    http::HeaderMap,
};
use bytes::Bytes;
use futures_util::Stream;
use multer::Field;
use serde_json::json;
use veraicon_picture::{Crop, Format};

use super::{answer::Answer, body, caller::Caller};
use crate::{
    app::App,
    failure::{Failure, FieldProblem},
};

/// What a form may have beside the picture, in bytes: heads of parts and a few short texts.
const FORM_BYTES: u64 = 64 << 10;
/// Bytes of a crop field; more digits than any picture has pixels.
const NUMBER_BYTES: usize = 20;
const CROP_FIELDS: [&str; 3] = ["crop_x", "crop_y", "crop_size"];

/// `PUT /user/avatar/upload`
///
/// The caller is judged, and a place in the queue taken, before the first byte of the body is read.
pub(super) async fn upload(
    State(app): State<App>,
    Caller(caller): Caller,
    request: Request,
) -> Result<Answer, Failure> {
    let headers = request.headers().clone();
    let limit = app.policy.max_bytes;
    let length = body::content_length(&headers);
    if let Some(bytes) = length.filter(|length| *length > limit + FORM_BYTES) {
        return Err(Failure::TooLarge {
            bytes: Some(bytes),
            limit,
        });
    }
    let place = app.avatars.admit()?;
    let too_large = move || Failure::TooLarge {
        bytes: length,
        limit,
    };
    let pieces = body::pieces(&app, request, limit + FORM_BYTES, too_large);
    let form = Form::read(&headers, pieces, limit, length).await?;
    let user = app
        .avatars
        .upload(place, caller.user.id, form.data, form.crop)
        .await?;
    Answer::user(&app, &user)
}

/// `GET /user/avatar/policy`
pub(super) async fn policy(State(app): State<App>) -> Result<Answer, Failure> {
    let formats: Vec<_> = Format::ACCEPTED
        .iter()
        .map(|format| media_type(*format))
        .collect();
    let mut sizes = app.policy.sizes.clone();
    sizes.sort_unstable_by(|left, right| right.cmp(left));
    Answer::data(&json!({
        "formats": formats,
        "max_bytes": app.policy.max_bytes,
        "max_pixels": app.policy.max_pixels,
        "sizes": sizes,
        "output": app.policy.format.media_type(),
    }))
}

/// What an upload's form holds.
struct Form {
    data: Vec<u8>,
    crop: Option<Crop>,
}

impl Form {
    async fn read(
        headers: &HeaderMap,
        pieces: impl Stream<Item = Result<Bytes, Failure>> + Send + 'static,
        limit: u64,
        length: Option<u64>,
    ) -> Result<Self, Failure> {
        let mut form = body::multipart(headers, pieces)?;
        let mut data = None;
        let mut crop = [None; 3];
        while let Some(mut part) = form.next_field().await.map_err(body::multipart_failure)? {
            let name = part.name().unwrap_or_default();
            if name == "data" {
                if data.is_some() {
                    return Err(Failure::SeveralFiles);
                }
                data = Some(read_data(&mut part, limit, length).await?);
            } else if let Some(index) = CROP_FIELDS.iter().position(|field| *field == name) {
                let field = CROP_FIELDS[index];
                let number = read_number(&mut part, field).await?;
                if crop[index].replace(number).is_some() {
                    return Err(Failure::InvalidField {
                        field,
                        problem: FieldProblem::Repeated,
                    });
                }
            }
        }
        let data = data.ok_or(Failure::NoFile)?;
        if data.is_empty() {
            return Err(Failure::EmptyFile);
        }
        Ok(Self {
            data,
            crop: crop_of(crop)?,
        })
    }
}

/// All three fields or none.
fn crop_of(fields: [Option<u32>; 3]) -> Result<Option<Crop>, Failure> {
    match fields {
        [None, None, None] => Ok(None),
        [Some(x), Some(y), Some(size)] => Ok(Some(Crop { x, y, size })),
        _ => {
            let missing = fields.iter().position(Option::is_none).unwrap_or_default();
            Err(Failure::InvalidField {
                field: CROP_FIELDS[missing],
                problem: FieldProblem::Missing,
            })
        }
    }
}

async fn read_data(
    part: &mut Field<'_>,
    limit: u64,
    length: Option<u64>,
) -> Result<Vec<u8>, Failure> {
    let mut bytes =
        Vec::with_capacity(usize::try_from(length.unwrap_or(0).min(limit)).unwrap_or(0));
    while let Some(chunk) = part.chunk().await.map_err(body::multipart_failure)? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(Failure::TooLarge {
                bytes: length,
                limit,
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn read_number(part: &mut Field<'_>, field: &'static str) -> Result<u32, Failure> {
    let invalid = || Failure::InvalidField {
        field,
        problem: FieldProblem::NotAWholeNumber,
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(body::multipart_failure)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > NUMBER_BYTES {
            return Err(invalid());
        }
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid())?.trim();
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    text.parse().map_err(|_| invalid())
}

fn media_type(format: Format) -> String {
    format!("image/{}", format.name().to_ascii_lowercase())
}
