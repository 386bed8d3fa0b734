//! Uploads, and what they may be.

use axum::extract::{Request, State};
use serde_json::json;
use veraicon_picture::{Crop, Format};

use super::{answer::Answer, body, caller::Caller, multipart};
use crate::{
    app::App,
    avatars::{Owner, PublishGuard},
    database::User,
    failure::{Failure, FieldProblem},
    workers::{FORM_BYTES, resource_exhausted},
};

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
    let boundary = multipart::boundary(&headers)?;
    let owner = Owner {
        user: caller.user.id,
        guard: PublishGuard::Session(caller.session),
    };
    let outcome = accept(&app, request, &boundary, length, owner).await;
    app.metrics.count_upload(&outcome);
    Answer::user(&app, &outcome?)
}

/// Reads an upload and makes it the owner's picture.
async fn accept(
    app: &App,
    request: Request,
    boundary: &str,
    length: Option<u64>,
    owner: Owner,
) -> Result<User, Failure> {
    let limit = app.policy.max_bytes;
    let most = limit + FORM_BYTES;
    let (permit, mut buffer) = app.avatars.admit(length).await?;
    let longest = app.config.server.body_deadline.duration();
    let too_large = || Failure::TooLarge {
        bytes: length,
        limit,
    };
    let take = |piece: &[u8]| buffer.extend(piece).map_err(resource_exhausted);
    body::read(app, request, most, longest, too_large, take).await?;
    let body = buffer.seal().map_err(resource_exhausted)?;
    let Form { data, crop } = Form::read(&body, boundary, limit)?;
    let start = data.as_ptr() as usize - body.as_ptr() as usize;
    let picture = body.picture(start..start + data.len());
    let picture = picture.map_err(Failure::internal)?;
    app.avatars.upload(permit, owner, picture, crop).await
}

/// `GET /user/avatar/policy`
pub(super) async fn policy(State(app): State<App>) -> Result<Answer, Failure> {
    let formats: Vec<_> = app
        .policy
        .formats
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
struct Form<'body> {
    data: &'body [u8],
    crop: Option<Crop>,
}

impl<'body> Form<'body> {
    fn read(body: &'body [u8], boundary: &str, limit: u64) -> Result<Self, Failure> {
        let mut data = None;
        let mut crop = [None; 3];
        for part in multipart::parts(body, boundary)? {
            if part.name == "data" {
                if data.replace(part.data).is_some() {
                    return Err(Failure::SeveralFiles);
                }
            } else if let Some(index) = CROP_FIELDS.iter().position(|field| *field == part.name) {
                let field = CROP_FIELDS[index];
                let number = number(part.data).ok_or(Failure::InvalidField {
                    field,
                    problem: FieldProblem::NotAWholeNumber,
                })?;
                if crop[index].replace(number).is_some() {
                    let problem = FieldProblem::Repeated;
                    return Err(Failure::InvalidField { field, problem });
                }
            }
        }
        let data = data.ok_or(Failure::NoFile)?;
        let bytes = data.len() as u64;
        if bytes > limit {
            return Err(Failure::TooLarge {
                bytes: Some(bytes),
                limit,
            });
        }
        let crop = crop_of(crop)?;
        Ok(Self { data, crop })
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

/// Digits alone: signs, fractions and exponents are no pixels.
fn number(data: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(data).ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn media_type(format: Format) -> String {
    format!("image/{}", format.name().to_ascii_lowercase())
}
