//! The memory cache of recently served pictures.

use reqwest::{Method, StatusCode};

use crate::{
    picture,
    service::{RequestExt, Service, Session},
};

/// Starts a service with one user, and requests the user's picture once. Returns the picture's
/// path.
async fn with_served_picture(cache: &str) -> (Service, Session, String) {
    let service = Service::start_with(|config| {
        config.storage.cache = cache.parse().unwrap();
        config.server.base_path = "/douyin".into();
    })
    .await;
    let session = service.user("someone").await;
    let response = service.upload(&session, picture::numbered(1)).await;
    let url = response.succeeded().data()["avatar_url"].as_str().unwrap();
    let path = url.split_once("/douyin").unwrap().1.to_owned();
    assert_eq!(service.get(&path).submit().await.status, StatusCode::OK);
    (service, session, path)
}

#[tokio::test]
async fn cached_and_uncached_pictures_get_the_same_responses() {
    let (cached, _, cached_path) = with_served_picture("32MiB").await;
    let (uncached, _, uncached_path) = with_served_picture("0").await;
    let tag = cached.get(&cached_path).submit().await.headers["etag"].clone();
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
        let mut responses = Vec::new();
        for (service, path) in [(&cached, &cached_path), (&uncached, &uncached_path)] {
            let request = service.get(path).header(name, value);
            let response = request.send().await.unwrap();
            let (status, mut headers) = (response.status(), response.headers().clone());
            headers.remove("date");
            responses.push((status, headers, response.bytes().await.unwrap()));
        }
        assert_eq!(responses[0], responses[1], "{name}: {value}");
    }
}

#[tokio::test]
async fn a_cached_picture_is_served_without_the_store_until_it_is_removed() {
    for (cache, status) in [("32MiB", StatusCode::OK), ("0", StatusCode::NOT_FOUND)] {
        let (service, session, path) = with_served_picture(cache).await;
        for object in service.objects().await {
            service.store().delete(&object).await.unwrap();
        }
        assert_eq!(service.get(&path).submit().await.status, status);
        let removal = service.request(Method::DELETE, "/user/avatar");
        let removal = removal.header("Access-Token", &session.access);
        removal.submit().await.succeeded();
        let removed = service.get(&path).submit().await;
        assert_eq!(removed.status, StatusCode::NOT_FOUND);
    }
}
