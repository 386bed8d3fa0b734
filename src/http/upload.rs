//! Handlers for uploads and their policy.

use std::ops::Range;

use axum::extract::{Request, State};
use serde_json::json;
use veraicon_picture::{Crop, Format};

use super::{body, envelope::Envelope, error::HttpError, multipart, tokens::Authenticated};
use crate::{
    app::App,
    avatars::{FORM_BYTES, Owner, PublishGuard, resource_exhausted},
    database::User,
    failure::{Failure, FieldProblem},
};

const CROP_FIELDS: [&str; 3] = ["crop_x", "crop_y", "crop_size"];

/// `PUT /user/avatar/upload`
///
/// The extractor authenticates the caller before the first byte of the body is read.
pub(super) async fn upload(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    request: Request,
) -> Result<Envelope, HttpError> {
    let headers = request.headers();
    let limit = app.policy.max_bytes;
    let length = body::content_length(headers);
    if let Some(bytes) = length.filter(|length| *length > limit + FORM_BYTES) {
        return Err(Failure::TooLarge {
            bytes: Some(bytes),
            limit,
        }
        .into());
    }
    let boundary = multipart::boundary(headers)?;
    let owner = Owner {
        user: caller.user.id,
        guard: PublishGuard::Session(caller.session),
    };
    let outcome = receive_and_store(&app, request, &boundary, length, owner).await;
    app.metrics.count_upload(match &outcome {
        Ok(_) => "accepted",
        Err(error) => error.reason(),
    });
    Envelope::user(&app, &outcome?)
}

/// Reads an upload and makes it the owner's picture.
async fn receive_and_store(
    app: &App,
    request: Request,
    boundary: &str,
    length: Option<u64>,
    owner: Owner,
) -> Result<User, HttpError> {
    let limit = app.policy.max_bytes;
    // Before the body is read: if the queue is full, the upload must cost no memory.
    let (permit, mut buffer) = app.avatars.admit(length).await?;
    let max_duration = app.config.server.body_deadline.duration();
    let too_large = || {
        HttpError::Domain(Failure::TooLarge {
            bytes: length,
            limit,
        })
    };
    let consume = |chunk: &[u8]| Ok(buffer.extend(chunk).map_err(resource_exhausted)?);
    body::read(
        app,
        request,
        limit + FORM_BYTES,
        max_duration,
        too_large,
        consume,
    )
    .await?;
    let body = buffer.seal().map_err(resource_exhausted)?;
    let UploadForm { picture, crop } = UploadForm::parse(&body, boundary, limit)?;
    let picture = body.picture(picture).map_err(Failure::internal)?;
    Ok(app.avatars.upload(permit, owner, picture, crop).await?)
}

/// `GET /user/avatar/policy`
pub(super) async fn policy(State(app): State<App>) -> Result<Envelope, HttpError> {
    let formats: Vec<_> = app
        .policy
        .formats
        .iter()
        .map(|format| media_type(*format))
        .collect();
    let mut sizes = app.policy.sizes.clone();
    sizes.sort_unstable_by(|left, right| right.cmp(left));
    Envelope::data(&json!({
        "formats": formats,
        "max_bytes": app.policy.max_bytes,
        "max_pixels": app.policy.max_pixels,
        "sizes": sizes,
        "output": app.policy.format.media_type(),
    }))
}

/// The form of an upload.
struct UploadForm {
    /// The range of the picture's bytes in the body.
    picture: Range<usize>,
    crop: Option<Crop>,
}

impl UploadForm {
    fn parse(body: &[u8], boundary: &str, limit: u64) -> Result<Self, HttpError> {
        let mut picture = None;
        let mut crop = [None; 3];
        for part in multipart::parts(body, boundary)? {
            if part.name == "data" {
                if picture.replace(part.data).is_some() {
                    return Err(Failure::SeveralFiles.into());
                }
            } else if let Some(index) = CROP_FIELDS.iter().position(|field| *field == part.name) {
                let field = CROP_FIELDS[index];
                let number = parse_number(&body[part.data]).ok_or(Failure::InvalidField {
                    field,
                    problem: FieldProblem::NotAWholeNumber,
                })?;
                if crop[index].replace(number).is_some() {
                    let problem = FieldProblem::Repeated;
                    return Err(Failure::InvalidField { field, problem }.into());
                }
            }
        }
        let picture = picture.ok_or(Failure::NoFile)?;
        let bytes = picture.len() as u64;
        // The limit on the body includes the rest of the form, so it does not replace this check.
        if bytes > limit {
            return Err(Failure::TooLarge {
                bytes: Some(bytes),
                limit,
            }
            .into());
        }
        let crop = parse_crop(crop)?;
        Ok(Self { picture, crop })
    }
}

/// Makes a crop of its three fields. Either all of them are present or none.
fn parse_crop(fields: [Option<u32>; 3]) -> Result<Option<Crop>, Failure> {
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

/// Parses a number of pixels. It has only digits: no sign, fraction or exponent.
fn parse_number(data: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(data).ok()?.trim();
    // `u32::from_str` accepts a `+` before the digits.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn media_type(format: Format) -> String {
    format!("image/{}", format.name().to_ascii_lowercase())
}
