//! Messages for people, in Chinese and in English.

use std::{borrow::Cow, time::Duration};

use bytesize::ByteSize;
use veraicon_picture::Complexity;

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
            Self::NotAnImage { kind } => match kind.as_deref().and_then(chinese_format) {
                Some(kind) => format!("这不是图片，文件类型为：{kind}"),
                None => "这不是图片".into(),
            },
            Self::UnsupportedFormat { what } => match chinese_format(what) {
                Some(what) => format!("不支持的图片格式：{what}"),
                None => "不支持的图片格式".into(),
            },
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
                let (quantity, unit) = chinese_quantity(*what);
                format!(
                    "图片过于复杂：{quantity}为 {}{unit}，上限 {}{unit}",
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
            Self::SessionNotFound => "会话不存在或已结束".into(),
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
                format!("this picture format is not supported: {what}")
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
                    "the picture is too complex: {} {what}, limit {}",
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
            // Characters against bytes: each character has at least one byte, so this is certain.
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
            Self::NotText => "must be text".into(),
            Self::NotAWholeNumber => "must be a whole number".into(),
            Self::Characters { found, min, max } => {
                format!("has {found} characters: it must have {min} to {max}")
            }
            Self::NameCharacters => {
                "has characters that are not allowed: the only ASCII characters allowed are \
                 letters, digits, \".\", \"_\" and \"-\""
                    .into()
            }
            Self::ControlCharacters => "has control characters".into(),
            Self::RefusedByPrecis => {
                "has characters, or an order of characters, that RFC 8265 does not allow".into()
            }
            Self::TooShort { found, min } => {
                format!("is too short: {found} characters, at least {min}")
            }
            Self::TooLong { found, max } => {
                format!("is too long: {found} characters, limit {max} bytes")
            }
            Self::TooManyBytes { found, max } => format!("is too long: {found} bytes, limit {max}"),
            Self::OutsidePicture { width, height } => {
                format!(
                    "is invalid: the square is not inside the picture of {width} × {height} pixels"
                )
            }
        }
    }
}

/// Returns the Chinese name of a quantity, and its unit.
const fn chinese_quantity(quantity: Complexity) -> (&'static str, &'static str) {
    match quantity {
        Complexity::MemoryBytes => ("所需内存", " 字节"),
        Complexity::ProfileBytes => ("颜色配置文件大小", " 字节"),
        Complexity::Frames => ("帧数", ""),
        Complexity::FramePixels => ("所有帧的像素总数", ""),
        Complexity::Scans => ("扫描次数", ""),
        Complexity::ScanBlocks => ("所有扫描的数据块总数", ""),
        Complexity::TagValues => ("单个标签的值数量", ""),
        Complexity::Items => ("图像项数量", ""),
        Complexity::ItemBytes => ("图像项的数据总量", " 字节"),
        Complexity::ItemLocations => ("图像项位置数量", ""),
        Complexity::ItemExtents => ("图像项的数据段总数", ""),
        Complexity::Properties => ("图像属性数量", ""),
        Complexity::ItemsWithProperties => ("带属性的图像项数量", ""),
        Complexity::ItemProperties => ("图像项的属性总数", ""),
        Complexity::ItemReferences => ("图像项之间的引用数量", ""),
    }
}

/// Returns the Chinese words for a format that the picture crate has named in English.
///
/// Names such as `JPEG XL` stay as they are. Returns `None` for an English phrase without
/// translation, so that it does not appear inside a Chinese message.
fn chinese_format(format: &str) -> Option<Cow<'_, str>> {
    // Several formats share their last word, such as `MP4 video` and `AVI video`.
    const LAST_WORDS: [(&str, &str); 7] = [
        (" program", "程序"),
        (" class", "类文件"),
        (" database", "数据库"),
        (" document", "文档"),
        (" video", "视频"),
        (" audio", "音频"),
        (" media", "媒体文件"),
    ];
    let phrase = match format {
        "text" => "文本",
        "script" => "脚本",
        "font" => "字体",
        "property list" => "属性列表",
        "data URL" => "数据地址",
        "hierarchical JPEG" => "分层 JPEG",
        "lossless JPEG" => "无损 JPEG",
        "arithmetic-coded JPEG" => "算术编码的 JPEG",
        "JPEG with other than 8 bits per sample" => "样本不是 8 位的 JPEG",
        "JPEG with other than 1, 3 or 4 components" => "分量数不是 1、3 或 4 的 JPEG",
        "AVIF or HEIC without a still image" => "没有静态图像的 AVIF 或 HEIC",
        "HEVC with NAL unit lengths of fewer than 4 bytes" => "长度字段不足四字节的 HEVC",
        "HEVC cropped at the left or at the top" => "裁去左侧或上侧的 HEVC",
        "this type of HEIF item" => "此类 HEIF 图像项",
        "this variant of BMP or TIFF" => "此类 BMP 或 TIFF",
        "the pixel format of this BMP or TIFF" => "此类像素格式",
        _ => "",
    };
    if !phrase.is_empty() {
        return Some(phrase.into());
    }
    for (english, chinese) in LAST_WORDS {
        if let Some(name) = format.strip_suffix(english) {
            return Some(format!("{name} {chinese}").into());
        }
    }
    // Names of formats have no lower-case words after the first one.
    let is_name = format
        .split(' ')
        .skip(1)
        .all(|word| !word.starts_with(|first: char| first.is_ascii_lowercase()));
    is_name.then(|| format.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_messages_have_no_english_phrases() {
        let message = |what: &str| {
            let failure = Failure::UnsupportedFormat { what: what.into() };
            failure.message(Language::Chinese)
        };
        assert_eq!(message("JPEG XL"), "不支持的图片格式：JPEG XL");
        assert_eq!(message("lossless JPEG"), "不支持的图片格式：无损 JPEG");
        assert_eq!(message("MP4 video"), "不支持的图片格式：MP4 视频");
        assert_eq!(message("a phrase without translation"), "不支持的图片格式");
        let failure = Failure::TooComplex {
            what: Complexity::MemoryBytes,
            value: 200_000,
            limit: 100_000,
        };
        assert_eq!(
            failure.message(Language::Chinese),
            "图片过于复杂：所需内存为 200,000 字节，上限 100,000 字节"
        );
    }
}
