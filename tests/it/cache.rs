//! Pictures that were shown lately, which are kept in memory.

use reqwest::{Method, StatusCode};

use crate::{
    picture,
    service::{Send, Service, Session},
};

/// A service, a user, and the path of the user's picture, which was looked at once.
async fn shown(cache: &str) -> (Service, Session, String) {
    let service = Service::start_with(|config| {
        config.storage.cache = cache.parse().unwrap();
        config.server.base_path = "/douyin".into();
    })
    .await;
    let session = service.user("someone").await;
    let answer = service.upload(&session, picture::numbered(1)).await;
    let url = answer.succeeded().data()["avatar_url"].as_str().unwrap();
    let path = url.split_once("/douyin").unwrap().1.to_owned();
    assert_eq!(service.get(&path).answer().await.status, StatusCode::OK);
    (service, session, path)
}

#[tokio::test]
async fn a_picture_is_answered_alike_whether_it_is_kept_or_not() {
    let (kept, _, kept_path) = shown("32MiB").await;
    let (read, _, read_path) = shown("0").await;
    let tag = kept.get(&kept_path).answer().await.headers["etag"].clone();
    let tag = tag.to_str().unwrap();
    for (name, value) in [
        ("Accept", "image/*"),
        ("If-None-Match", tag),
        ("If-None-Match", "\"other\""),
        ("If-Match", "\"other\""),
        ("Range", "bytes=2-5"),
        ("Range", "bytes=1000000-"),
        ("Range", "nonsense"),
        ("If-Range", "\"other\""),
    ] {
        let mut answers = Vec::new();
        for (service, path) in [(&kept, &kept_path), (&read, &read_path)] {
            let request = service.get(path).header(name, value);
            let response = request.send().await.unwrap();
            let (status, mut headers) = (response.status(), response.headers().clone());
            headers.remove("date");
            answers.push((status, headers, response.bytes().await.unwrap()));
        }
        assert_eq!(answers[0], answers[1], "{name}: {value}");
    }
}

#[tokio::test]
async fn what_is_kept_is_not_read_again_and_what_is_removed_is_forgotten() {
    for (cache, status) in [("32MiB", StatusCode::OK), ("0", StatusCode::NOT_FOUND)] {
        let (service, session, path) = shown(cache).await;
        for object in service.objects().await {
            service.store().delete(&object).await.unwrap();
        }
        assert_eq!(service.get(&path).answer().await.status, status);
        let removal = service.request(Method::DELETE, "/user/avatar");
        let removal = removal.header("Access-Token", &session.access);
        removal.answer().await.succeeded();
        let gone = service.get(&path).answer().await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND);
    }
}
