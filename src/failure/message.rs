//! Messages for people, in Chinese and in English.

use std::time::Duration;

use bytesize::ByteSize;

use super::{Failure, FieldProblem};

/// A language of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Chinese.
    #[default]
    Chinese,
    /// English.
    English,
}

impl Failure {
    /// Returns the message for people, with the measured value and the limit if there is one.
    #[must_use]
    pub fn message(&self, language: Language) -> String {
        match language {
            Language::Chinese => self.chinese(),
            Language::English => self.english(),
        }
    }

    fn chinese(&self) -> String {
        match self {
            Self::NoFile => "没有收到图片：表单需要有一个名为 data 的文件字段".into(),
            Self::SeveralFiles => "只能上传一张图片：表单里有多个 data 字段".into(),
            Self::EmptyFile => "文件是空的".into(),
            Self::NotAnImage { kind: Some(kind) } => format!("这不是图片，而是 {kind}"),
            Self::NotAnImage { kind: None } => "这不是图片".into(),
            Self::UnsupportedFormat { what } => format!("不支持的图片格式：{what}"),
            Self::ImageTruncated {
                received: Some(percent),
            } => format!("图片不完整：只收到约 {percent}%"),
            Self::ImageTruncated { received: None } => "图片不完整：数据提前结束".into(),
            Self::ImageDamaged {
                offset: Some(offset),
            } => format!("图片已损坏：第 {} 字节处有错误", group_digits(*offset)),
            Self::ImageDamaged { offset: None } => "图片已损坏".into(),
            Self::TooLarge {
                bytes: Some(bytes),
                limit,
            } => {
                let (bytes, limit) = size_and_limit(*bytes, *limit);
                format!("图片太大：{bytes}，上限 {limit}")
            }
            Self::TooLarge { bytes: None, limit } => {
                format!("图片太大：超过上限 {}", format_bytes(*limit))
            }
            Self::TooManyPixels {
                width,
                height,
                limit,
            } => format!(
                "图片像素太多：{} × {}，上限 {} 像素",
                group_digits((*width).into()),
                group_digits((*height).into()),
                group_digits(*limit)
            ),
            Self::TooComplex { what, value, limit } => {
                format!(
                    "图片过于复杂（{what}）：{}，上限 {}",
                    group_digits(*value),
                    group_digits(*limit)
                )
            }
            Self::InvalidField { field, problem } => format!("字段 {field} {}", problem.chinese()),
            Self::TokenMissing => "请先登录：缺少令牌".into(),
            Self::TokenExpired => "登录已过期，请重新登录".into(),
            Self::TokenInvalid => "令牌无效或会话已结束，请重新登录".into(),
            Self::BadCredentials => "用户名或密码错误".into(),
            Self::RateLimited { retry_after } => {
                format!(
                    "尝试次数过多，请在 {}后重试",
                    format_minutes(*retry_after, [" 分", " 秒"])
                )
            }
            Self::UsernameTaken => "用户名已被使用".into(),
            Self::RegistrationClosed => "暂不开放注册".into(),
            Self::UserNotFound => "用户不存在".into(),
            Self::SessionNotFound => "没有这个会话，或者它已经结束".into(),
            Self::Busy { retry_after, .. } => {
                format!("服务繁忙，请在 {} 秒后重试", retry_after.as_secs())
            }
            Self::Unavailable(_) => "服务暂不可用，请稍后重试".into(),
            Self::Internal(_) => "服务内部错误".into(),
        }
    }

    fn english(&self) -> String {
        match self {
            Self::NoFile => "no picture: the form needs a file in its field \"data\"".into(),
            Self::SeveralFiles => {
                "one picture at a time: the form has more than one field \"data\"".into()
            }
            Self::EmptyFile => "the file is empty".into(),
            Self::NotAnImage { kind: Some(kind) } => {
                format!("this is not a picture: it is a {kind} file")
            }
            Self::NotAnImage { kind: None } => "this is not a picture".into(),
            Self::UnsupportedFormat { what } => {
                format!("pictures of this kind are not taken: {what}")
            }
            Self::ImageTruncated {
                received: Some(percent),
            } => format!("the picture is cut off after about {percent} %"),
            Self::ImageTruncated { received: None } => "the picture is cut off".into(),
            Self::ImageDamaged {
                offset: Some(offset),
            } => format!("the picture is damaged at byte {}", group_digits(*offset)),
            Self::ImageDamaged { offset: None } => "the picture is damaged".into(),
            Self::TooLarge {
                bytes: Some(bytes),
                limit,
            } => {
                let (bytes, limit) = size_and_limit(*bytes, *limit);
                format!("the picture is too large: {bytes}, limit {limit}")
            }
            Self::TooLarge { bytes: None, limit } => {
                format!("the picture is too large: limit {}", format_bytes(*limit))
            }
            Self::TooManyPixels {
                width,
                height,
                limit,
            } => format!(
                "the picture has too many pixels: {} × {}, limit {}",
                group_digits((*width).into()),
                group_digits((*height).into()),
                group_digits(*limit)
            ),
            Self::TooComplex { what, value, limit } => {
                format!(
                    "the picture is too complex: {what}: {}, limit {}",
                    group_digits(*value),
                    group_digits(*limit)
                )
            }
            Self::InvalidField { field, problem } => format!("field {field} {}", problem.english()),
            Self::TokenMissing => "log in first: there is no token".into(),
            Self::TokenExpired => "the token has expired: log in again".into(),
            Self::TokenInvalid => {
                "the token is not valid or its session has ended: log in again".into()
            }
            Self::BadCredentials => "wrong user name or password".into(),
            Self::RateLimited { retry_after } => {
                let wait = format_minutes(*retry_after, [" min", " s"]);
                format!("too many attempts: try again in {wait}")
            }
            Self::UsernameTaken => "the user name is taken".into(),
            Self::RegistrationClosed => "registration is closed".into(),
            Self::UserNotFound => "there is no such user".into(),
            Self::SessionNotFound => "there is no such session, or it has ended".into(),
            Self::Busy { retry_after, .. } => format!(
                "the service is busy: try again in {} s",
                retry_after.as_secs()
            ),
            Self::Unavailable(_) => "the service is not available: try again later".into(),
            Self::Internal(_) => "internal error".into(),
        }
    }
}

impl FieldProblem {
    fn chinese(&self) -> String {
        match self {
            Self::Missing => "缺失".into(),
            Self::Repeated => "出现了多次".into(),
            Self::NotText => "应为文本".into(),
            Self::NotAWholeNumber => "应为整数".into(),
            Self::Characters { found, min, max } => {
                format!("的长度为 {found} 个字符，应为 {min} 到 {max} 个")
            }
            Self::NameCharacters => {
                "含有不允许的字符；ASCII 字符只允许字母、数字、“.”、“_”和“-”".into()
            }
            Self::ControlCharacters => "含有控制字符".into(),
            Self::RefusedByPrecis => "含有 RFC 8265 不允许的字符或字符顺序".into(),
            Self::TooShort { found, min } => format!("太短：{found} 个字符，至少 {min} 个"),
            Self::TooLong { found, max } => format!("太长：{found} 个字符，上限 {max} 字节"),
            Self::TooManyBytes { found, max } => {
                format!("太长：{found} 字节，上限 {max} 字节")
            }
            Self::OutsidePicture { width, height } => {
                format!("指定的方形超出图片范围：图片为 {width} × {height} 像素")
            }
        }
    }

    fn english(&self) -> String {
        match self {
            Self::Missing => "is missing".into(),
            Self::Repeated => "is given more than once".into(),
            Self::NotText => "must be a text".into(),
            Self::NotAWholeNumber => "must be a whole number".into(),
            Self::Characters { found, min, max } => format!("has {found} characters: it must have {min} to {max}"),
            Self::NameCharacters => {
                "has characters that are not allowed; of ASCII only letters, digits, \".\", \"_\" and \"-\" are".into()
            }
            Self::ControlCharacters => "has control characters".into(),
            Self::RefusedByPrecis => {
                "has characters, or an order of characters, that RFC 8265 does not allow".into()
            }
            Self::TooShort { found, min } => format!("is too short: {found} characters, at least {min}"),
            Self::TooLong { found, max } => format!("is too long: {found} characters, limit {max} bytes"),
            Self::TooManyBytes { found, max } => format!("is too long: {found} bytes, limit {max}"),
            Self::OutsidePicture { width, height } => {
                format!("asks for a square that leaves the picture, which is {width} × {height} pixels")
            }
        }
    }
}

/// Formats a size and the limit that it exceeds.
///
/// Uses exact numbers of bytes if both would round to the same text.
fn size_and_limit(bytes: u64, limit: u64) -> (String, String) {
    match (format_bytes(bytes), format_bytes(limit)) {
        (left, right) if left == right => (
            format!("{} B", group_digits(bytes)),
            format!("{} B", group_digits(limit)),
        ),
        different => different,
    }
}

/// Formats a size as `23.1 MiB`, and as `20 MiB` if it is a whole number of units.
pub(crate) fn format_bytes(bytes: u64) -> String {
    ByteSize(bytes)
        .display()
        .iec()
        .to_string()
        .replace(".0 ", " ")
}

/// Formats a time as `2 min 30 s`, without the part that is 0.
fn format_minutes(time: Duration, [minute, second]: [&str; 2]) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds}{second}"),
        (minutes, 0) => format!("{minutes}{minute}"),
        (minutes, seconds) => format!("{minutes}{minute} {seconds}{second}"),
    }
}

/// Formats a number as `81,920`.
fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
