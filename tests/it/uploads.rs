//! Uploads: accepted formats, cropping, refusals, and concurrent uploads.

use image::{GenericImageView, ImageFormat};
use reqwest::{Method, multipart};
use serde_json::Value;

use crate::{
    picture::{self, BLUE, GREEN, RED, WHITE, assert_colour},
    service::{ApiResponse, RequestExt, Service, Session, file},
};

async fn fetched(service: &Service, url: &Value) -> image::DynamicImage {
    picture::decode(&service.fetch(url).await.bytes().await.unwrap())
}

#[tokio::test]
async fn every_format_is_converted_to_upright_squares_of_all_sizes() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let formats = [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
    ];
    for format in formats {
        let bytes = picture::encode(&picture::quarters(900, 600), format);
        let response = service.upload(&session, bytes).await;
        let urls = response.succeeded().data()["avatar_urls"]
            .as_object()
            .unwrap();
        assert_eq!(
            urls.keys().collect::<Vec<_>>(),
            ["512", "256", "128", "64"],
            "{format:?}"
        );
        assert_eq!(response.data()["avatar_url"], urls["512"]);
        for (size, url) in urls {
            let side: u32 = size.parse().unwrap();
            let square = fetched(&service, url).await;
            assert_eq!(square.dimensions(), (side, side), "{format:?}");
            let (near, far) = (side / 4, side * 3 / 4);
            assert_colour(&square, near, near, RED);
            assert_colour(&square, far, near, GREEN);
            assert_colour(&square, near, far, BLUE);
            assert_colour(&square, far, far, WHITE);
        }
    }
}

#[tokio::test]
async fn a_rotated_photo_is_turned_upright_and_its_metadata_is_removed() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let photo = picture::sideways_jpeg(&picture::quarters(800, 800));
    assert!(photo.windows(6).any(|bytes| bytes == b"2.2945"));
    let response = service.upload(&session, photo).await;
    let bytes = service
        .fetch(&response.succeeded().data()["avatar_url"])
        .await
        .bytes()
        .await
        .unwrap();
    assert!(
        !bytes
            .windows(6)
            .any(|bytes| bytes == b"2.2945" || &bytes[..4] == b"EXIF")
    );
    // Orientation 6: the stored pixels must be rotated by 90° clockwise.
    let square = picture::decode(&bytes);
    assert_colour(&square, 128, 128, BLUE);
    assert_colour(&square, 384, 128, RED);
    assert_colour(&square, 128, 384, WHITE);
    assert_colour(&square, 384, 384, GREEN);
}

#[tokio::test]
async fn transparency_is_kept() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let bytes = picture::encode(&picture::with_alpha(600), ImageFormat::Png);
    let response = service.upload(&session, bytes).await;
    let square = fetched(&service, &response.succeeded().data()["avatar_url"])
        .await
        .to_rgba8();
    assert_eq!(square[(2, 2)][3], 0);
    assert_eq!(square[(256, 256)][3], 255);
}

#[tokio::test]
async fn a_small_picture_is_never_enlarged() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let bytes = picture::encode(&picture::quarters(100, 140), ImageFormat::Png);
    let response = service.upload(&session, bytes).await;
    for (size, side) in [("512", 100), ("128", 100), ("64", 64)] {
        let url = &response.succeeded().data()["avatar_urls"][size];
        assert_eq!(fetched(&service, url).await.dimensions(), (side, side));
    }
}

#[tokio::test]
async fn the_url_depends_on_the_content() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let before = service.info(&session).await;
    service.advance(std::time::Duration::from_secs(60));
    let first = service.upload(&session, picture::numbered(1)).await;
    assert_ne!(first.succeeded().data()["avatar_url"], before["avatar_url"]);
    assert_ne!(first.data()["updated_at"], before["updated_at"]);
    service.advance(std::time::Duration::from_secs(60));
    let again = service.upload(&session, picture::numbered(1)).await;
    assert_eq!(again.succeeded().data(), first.data());
    let other = service.upload(&session, picture::numbered(2)).await;
    assert_ne!(
        other.succeeded().data()["avatar_url"],
        first.data()["avatar_url"]
    );
}

#[tokio::test]
async fn a_crop_is_taken_from_the_upright_picture() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let photo = picture::sideways_jpeg(&picture::quarters(800, 800));
    let crop = async |fields: &[(&'static str, &'static str)]| {
        let form = multipart::Form::new().part("data", file(photo.clone()));
        let form = fields
            .iter()
            .fold(form, |form, (name, text)| form.text(*name, *text));
        service.upload_form(&session, form).submit().await
    };
    let cropped = crop(&[("crop_x", "400"), ("crop_y", "0"), ("crop_size", "400")]).await;
    let square = fetched(&service, &cropped.succeeded().data()["avatar_url"]).await;
    assert_eq!(square.dimensions(), (400, 400));
    assert_colour(&square, 20, 20, RED);
    assert_colour(&square, 380, 380, RED);
    let refused: [&[_]; 7] = [
        &[("crop_x", "0"), ("crop_y", "0")],
        &[("crop_x", "401"), ("crop_y", "0"), ("crop_size", "400")],
        &[("crop_x", "0"), ("crop_y", "0"), ("crop_size", "0")],
        &[("crop_x", "-1"), ("crop_y", "0"), ("crop_size", "400")],
        &[("crop_x", "1.5"), ("crop_y", "0"), ("crop_size", "400")],
        &[
            ("crop_x", "99999999999"),
            ("crop_y", "0"),
            ("crop_size", "400"),
        ],
        &[
            ("crop_x", "0"),
            ("crop_x", "0"),
            ("crop_y", "0"),
            ("crop_size", "400"),
        ],
    ];
    for fields in refused {
        crop(fields).await.refused("invalid_field");
        assert_eq!(service.info(&session).await, *cropped.data(), "{fields:?}");
    }
}

#[tokio::test]
async fn invalid_uploads_are_refused_and_the_old_picture_stays() {
    let service = Service::start_with(|config| config.pictures.max_pixels = 1_000_000).await;
    let session = service.user("someone").await;
    let before = service.upload(&session, picture::numbered(1)).await;
    let png = picture::encode(&picture::quarters(300, 300), ImageFormat::Png);
    let jpeg = picture::encode(&picture::quarters(300, 300), ImageFormat::Jpeg);
    let gif_header =
        b"GIF89a\xFF\xFF\xFF\xFF\x80\0\0\0\0\0\xFF\xFF\xFF,\0\0\0\0\xFF\xFF\xFF\xFF\0\x02\x01\0\0;"
            .to_vec();
    let mut damaged = png.clone();
    damaged[png.len() / 2] ^= 0xFF;
    let mut outcomes = Vec::new();
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("text", b"hello".to_vec()),
        ("html", b"<!DOCTYPE html><script>alert(1)</script>".to_vec()),
        (
            "svg",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script/></svg>".to_vec(),
        ),
        ("pdf", b"%PDF-1.7\n%\xE2\xE3".to_vec()),
        ("magic bytes alone", jpeg[..20].to_vec()),
        ("truncated png", png[..png.len() / 2].to_vec()),
        ("truncated jpeg", jpeg[..jpeg.len() / 2].to_vec()),
        ("damaged png", damaged),
        ("35 bytes with a stated size of 65,535 x 65,535", gif_header),
        (
            "too many pixels",
            picture::encode(&picture::quarters(1001, 1000), ImageFormat::Png),
        ),
    ] {
        let response = service.upload(&session, bytes).await;
        let reason = response.body["base"]["reason"].as_str().unwrap_or_default();
        response.refused(reason);
        outcomes.push(format!("{what}: {reason}"));
        assert_eq!(
            service.info(&session).await,
            *before.succeeded().data(),
            "{what}"
        );
    }
    insta::assert_json_snapshot!(outcomes);
}

#[tokio::test]
async fn a_form_must_contain_exactly_one_picture() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let png = || file(picture::numbered(1));
    let form = multipart::Form::new;
    let send = |form| service.upload_form(&session, form);
    send(form()).submit().await.refused("malformed_body");
    send(form().part("picture", png()))
        .submit()
        .await
        .refused("no_file");
    send(form().part("data", png()).part("data", png()))
        .submit()
        .await
        .refused("several_files");
    send(form().part("other", png()).part("data", png()))
        .submit()
        .await
        .succeeded();
}

#[tokio::test]
async fn file_names_and_content_types_of_parts_are_ignored() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let long = "x".repeat(3000);
    for name in [
        "../../x",
        "a.html",
        "头像.png",
        "",
        "a\u{1}\u{7f}b",
        "x\\",
        &long,
    ] {
        let body = [
            format!("--B\r\nContent-Disposition: form-data; name=\"data\"; filename=\"{name}\"\r\nContent-Type: nonsense \u{2}\r\n\r\n").into_bytes(),
            picture::numbered(1),
            b"\r\n--B--\r\n".to_vec(),
        ]
        .concat();
        let request = service
            .request(Method::PUT, "/user/avatar/upload")
            .with_session(&session);
        let request = request.header("Content-Type", "multipart/form-data; boundary=B");
        request.body(body).submit().await.succeeded();
    }
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_with_its_size() {
    let service =
        Service::start_with(|config| config.pictures.max_bytes = bytesize::ByteSize::mib(1)).await;
    let session = service.user("someone").await;
    let message = async |bytes: usize| {
        let form = multipart::Form::new().part("data", file(vec![0; bytes]));
        let request = service
            .upload_form(&session, form)
            .header("Accept-Language", "en");
        request
            .submit()
            .await
            .refused("too_large")
            .message()
            .to_owned()
    };
    let messages = [message((1 << 20) + 1).await, message(3 << 20).await];
    insta::assert_json_snapshot!(messages);
}

#[tokio::test]
async fn concurrent_uploads_leave_one_complete_picture() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    for round in 0..5 {
        let uploads =
            (1..=6).map(|seed| service.upload(&session, picture::numbered(round * 10 + seed)));
        let responses: Vec<ApiResponse> = futures_util::future::join_all(uploads).await;
        let user = service.info(&session).await;
        assert!(
            responses
                .iter()
                .any(|response| response.succeeded().data()["avatar_url"] == user["avatar_url"])
        );
        for url in user["avatar_urls"].as_object().unwrap().values() {
            assert_eq!(
                fetched(&service, url).await.width(),
                if url.as_str().unwrap().ends_with("64.webp") {
                    64
                } else {
                    96
                }
            );
        }
    }
}

#[tokio::test]
async fn the_policy_lists_accepted_formats_and_limits() {
    let service = Service::start().await;
    let response = service.get("/user/avatar/policy").submit().await;
    insta::assert_json_snapshot!(response.succeeded().body);
}

#[tokio::test]
async fn an_upload_without_a_token_is_refused() {
    let service = Service::start().await;
    let nobody = Session {
        access: String::new(),
        refresh: String::new(),
    };
    service
        .upload(&nobody, picture::numbered(1))
        .await
        .refused("token_missing");
}

/// HEVC is decoded by a system library, which must work inside the sandbox of a worker process.
#[cfg(feature = "heic")]
#[tokio::test]
async fn photos_of_iphones_are_accepted() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    for photo in [
        include_bytes!("../../crates/picture/tests/it/heic/grid.heic").as_slice(),
        include_bytes!("../../crates/picture/tests/it/heic/ten-bits.heic"),
    ] {
        let response = service.upload(&session, photo.to_vec()).await;
        response.succeeded();
    }
}
