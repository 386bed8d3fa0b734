//! Responses for pictures, redirects, default pictures, health and CORS.

use image::{GenericImageView, ImageFormat};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::{
    picture,
    service::{RequestExt, Service},
};

fn path(url: &Value) -> String {
    let url = url::Url::parse(url.as_str().unwrap()).unwrap();
    url.path().to_owned()
}

async fn uploaded(service: &Service) -> (String, Vec<u8>) {
    let session = service.user("someone").await;
    let response = service.upload(&session, picture::numbered(1)).await;
    let path = path(&response.succeeded().data()["avatar_url"]);
    let bytes = service
        .get(&path)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    (path, bytes.to_vec())
}

#[tokio::test]
async fn pictures_have_immutable_caching_and_security_headers() {
    let service = Service::start().await;
    let (path, _) = uploaded(&service).await;
    let response = service.get(&path).submit().await;
    let names = [
        "content-type",
        "cache-control",
        "accept-ranges",
        "content-security-policy",
        "cross-origin-resource-policy",
        "x-content-type-options",
    ];
    let headers = names.map(|name| format!("{name}: {}", response.headers[name].to_str().unwrap()));
    insta::assert_json_snapshot!(headers);
    assert!(!response.headers.contains_key("vary"));
    assert!(!response.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn a_matching_etag_gets_304() {
    let service = Service::start().await;
    let (path, _) = uploaded(&service).await;
    let tag = service.get(&path).submit().await.headers["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    for condition in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let response = service
            .get(&path)
            .header("If-None-Match", condition)
            .submit()
            .await;
        assert_eq!(response.status, StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers["etag"], tag);
    }
    let response = service
        .get(&path)
        .header("If-None-Match", "\"other\"")
        .submit()
        .await;
    assert_eq!(response.status, StatusCode::OK);
}

#[tokio::test]
async fn head_returns_the_headers_of_get() {
    let service = Service::start().await;
    let (path, bytes) = uploaded(&service).await;
    let response = service.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()["content-length"],
        bytes.len().to_string()
    );
    assert!(response.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn byte_ranges_are_served() {
    let service = Service::start().await;
    let (path, bytes) = uploaded(&service).await;
    let last = bytes.len() - 1;
    let tag = service.get(&path).submit().await.headers["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    let ask = async |range: &str| {
        service
            .get(&path)
            .header("Range", range)
            .send()
            .await
            .unwrap()
    };
    for (range, from, to) in [
        ("bytes=0-9", 0, 9),
        ("bytes=10-", 10, last),
        ("bytes=-5", last - 4, last),
        ("bytes=5-999999", 5, last),
        ("bytes=-999999", 0, last),
    ] {
        let response = ask(range).await;
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(
            response.headers()["content-range"],
            format!("bytes {from}-{to}/{}", bytes.len())
        );
        assert_eq!(response.bytes().await.unwrap(), bytes[from..=to]);
    }
    let outside = ask("bytes=999999-").await;
    assert_eq!(outside.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(
        outside.headers()["content-range"],
        format!("bytes */{}", bytes.len())
    );
    for ignored in [
        "bytes=0-1,3-4",
        "lines=1-2",
        "bytes=9-1",
        "bytes=x-",
        "bytes=-",
    ] {
        let response = ask(ignored).await;
        assert_eq!(response.status(), StatusCode::OK, "{ignored}");
    }
    let head = service
        .request(Method::HEAD, &path)
        .header("Range", "bytes=0-9");
    assert_eq!(head.send().await.unwrap().status(), StatusCode::OK);
    let changed = service.get(&path).header("If-Match", "\"other\"");
    assert_eq!(
        changed.submit().await.status,
        StatusCode::PRECONDITION_FAILED
    );
    let conditional = async |tag: &str| {
        let request = service
            .get(&path)
            .header("Range", "bytes=0-9")
            .header("If-Range", tag);
        request.send().await.unwrap().status()
    };
    assert_eq!(conditional(&tag).await, StatusCode::PARTIAL_CONTENT);
    assert_eq!(conditional("\"other\"").await, StatusCode::OK);
}

#[tokio::test]
async fn the_avatar_url_of_a_user_id_redirects_to_the_current_picture() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let user = service.upload(&session, picture::numbered(1)).await;
    let user = user.succeeded().data();
    let id = user["id"].as_str().unwrap();
    let ask = async |query: &str| {
        service
            .get(&format!("/user/{id}/avatar{query}"))
            .submit()
            .await
    };
    let cases = [
        ("", "512"),
        ("?size=", "512"),
        ("?size=1", "64"),
        ("?size=64", "64"),
        ("?size=65", "128"),
        ("?size=9999", "512"),
    ];
    for (query, size) in cases {
        let response = ask(query).await;
        assert_eq!(response.status, StatusCode::FOUND, "{query}");
        assert_eq!(
            response.headers["location"],
            user["avatar_urls"][size].as_str().unwrap(),
            "{query}"
        );
        assert_eq!(response.headers["cache-control"], "no-cache");
    }
    ask("?size=large").await.refused("invalid_field");
    for unknown in [
        "/user/1/avatar",
        "/user/x/avatar",
        "/user/0x1/avatar",
        "/user/99999999999999999999/avatar",
    ] {
        let response = service.get(unknown).submit().await;
        assert_eq!(response.status, StatusCode::NOT_FOUND);
        assert_eq!(response.body["base"]["reason"], "not_found");
    }
}

#[tokio::test]
async fn a_user_without_a_picture_has_a_default_one_generated_from_the_id() {
    let service = Service::start().await;
    let (first, second) = (
        service.register("first").await,
        service.register("second").await,
    );
    let mut generated = Vec::new();
    for response in [&first, &second] {
        let urls = response.succeeded().data()["avatar_urls"]
            .as_object()
            .unwrap();
        assert_eq!(urls.len(), 4);
        for (size, url) in urls {
            let response = service.fetch(url).await;
            assert_eq!(
                response.headers()["cache-control"],
                "public, max-age=31536000, immutable"
            );
            let bytes = response.bytes().await.unwrap();
            let side = size.parse().unwrap();
            assert_eq!(picture::decode(&bytes).dimensions(), (side, side));
            generated.push(bytes);
        }
    }
    assert_ne!(generated[0], generated[4]);
    let name = path(&first.data()["avatar_url"]);
    for other in [
        name.replace("512.webp", "511.webp"),
        name.replace("default-", "default-0"),
        name.replace(".webp", ".png"),
    ] {
        assert_eq!(
            service.get(&other).submit().await.status,
            StatusCode::NOT_FOUND,
            "{other}"
        );
    }
}

#[tokio::test]
async fn malformed_picture_paths_get_404() {
    let service = Service::start().await;
    let (path, _) = uploaded(&service).await;
    let digest = path.split('/').nth(3).unwrap();
    let user = path.split('/').nth(2).unwrap();
    for path in [
        "/avatars/../data/tokens.key".to_owned(),
        "/avatars/1/%2e%2e%2f%2e%2e%2ftokens.key/512.webp".to_owned(),
        "/avatars/%ff/a/b".to_owned(),
        "/user/%ff/avatar".to_owned(),
        format!("/avatars/0{user}/{digest}/512.webp"),
        format!("/avatars/+{user}/{digest}/512.webp"),
        format!("/avatars/{user}/{}/512.webp", digest.to_uppercase()),
        format!("/avatars/{user}/{digest}/0512.webp"),
        format!("/avatars/{user}/{digest}/512.webp.html"),
        format!("/avatars/{user}/{digest}/512"),
        format!("/avatars/{user}/{digest}/"),
        format!("/avatars/{user}/{digest}/500.webp"),
    ] {
        assert_eq!(
            service.get(&path).send().await.unwrap().status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn all_routes_and_urls_are_below_the_base_path() {
    let service = Service::start_with(|config| config.server.base_path = "/douyin".into()).await;
    let session = service.user("someone").await;
    let bytes = picture::encode(&picture::quarters(64, 64), ImageFormat::Png);
    let response = service.upload(&session, bytes).await;
    let url = &response.succeeded().data()["avatar_url"];
    assert!(path(url).starts_with("/douyin/avatars/"), "{url}");
    assert_eq!(service.fetch(url).await.status(), StatusCode::OK);
    let outside = service.root.replace("/douyin", "/user/info");
    let outside = service.client.get(outside).send().await.unwrap();
    assert_eq!(outside.status(), StatusCode::NOT_FOUND);
    let body: Value = outside.json().await.unwrap();
    assert_eq!(body["base"]["reason"], "not_found");
}

#[tokio::test]
async fn configured_public_urls_are_used() {
    let service = Service::start_with(|config| {
        config.server.public_url = Some("https://example.com/douyin/".into());
        config.storage.public_url = Some("https://cdn.example.com".into());
    })
    .await;
    let session = service.user("someone").await;
    let default = service.info(&session).await;
    assert!(
        default["avatar_url"]
            .as_str()
            .unwrap()
            .starts_with("https://example.com/douyin/avatars/"),
        "{default}"
    );
    let response = service.upload(&session, picture::numbered(1)).await;
    let url = response.succeeded().data()["avatar_url"].as_str().unwrap();
    assert!(url.starts_with("https://cdn.example.com/avatars/"), "{url}");
}

#[tokio::test]
async fn unknown_paths_get_404_and_wrong_methods_405() {
    let service = Service::start().await;
    let nothing = service.get("/nothing").submit().await;
    assert_eq!(
        (nothing.status, &nothing.body["base"]["reason"]),
        (StatusCode::NOT_FOUND, &"not_found".into())
    );
    let method = service.post("/user/avatar/upload").submit().await;
    assert_eq!(
        (method.status, &method.body["base"]["reason"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"method_not_allowed".into())
    );
    assert_eq!(method.headers["allow"], "PUT");
}

#[tokio::test]
async fn health_endpoints_report_live_and_ready() {
    let service = Service::start().await;
    assert_eq!(
        service
            .get("/health/live")
            .submit()
            .await
            .succeeded()
            .data()["status"],
        "live"
    );
    assert_eq!(
        service
            .get("/health/ready")
            .submit()
            .await
            .succeeded()
            .data()["status"],
        "ready"
    );
}

#[tokio::test]
async fn only_allowed_origins_get_cors_headers() {
    let service = Service::start_with(|config| {
        config.server.allowed_origins = vec![
            "https://app.example.com".into(),
            "http://localhost:3000".into(),
        ];
    })
    .await;
    let ask = async |path: &str, origin: &str| {
        let request = service.get(path).header("Origin", origin);
        request.submit().await.headers
    };
    for origin in ["https://app.example.com", "http://localhost:3000"] {
        // Refusals need CORS headers too.
        for path in ["/health/live", "/user/info", "/nowhere"] {
            let allowed = ask(path, origin).await;
            assert_eq!(allowed["access-control-allow-origin"], origin);
            assert_eq!(
                allowed["access-control-expose-headers"],
                "access-token,refresh-token,retry-after"
            );
            // Tokens are in headers, so cookies are never needed.
            assert!(!allowed.contains_key("access-control-allow-credentials"));
            let vary = allowed.get_all("vary").iter();
            let vary: Vec<_> = vary.map(|value| value.to_str().unwrap()).collect();
            assert!(vary.join(",").contains("origin"), "{vary:?}");
        }
    }
    for origin in [
        "https://evil.example.com",
        "https://app.example.com.evil.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "null",
        "*",
    ] {
        let refused = ask("/health/live", origin).await;
        assert!(!refused.contains_key("access-control-allow-origin"));
    }
    for (path, method) in [
        ("/user/avatar/upload", "PUT"),
        ("/user/sessions/1", "DELETE"),
    ] {
        let preflight = service
            .request(Method::OPTIONS, path)
            .header("Origin", "https://app.example.com")
            .header("Access-Control-Request-Method", method)
            .header(
                "Access-Control-Request-Headers",
                "access-token,refresh-token",
            )
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), StatusCode::OK);
        let header = |name| preflight.headers()[name].to_str().unwrap();
        assert!(header("access-control-allow-methods").contains(method));
        for name in ["access-token", "refresh-token", "authorization"] {
            assert!(header("access-control-allow-headers").contains(name));
        }
    }
}

#[tokio::test]
async fn without_allowed_origins_there_are_no_cors_headers() {
    let service = Service::start().await;
    let request = service
        .get("/health/live")
        .header("Origin", "https://a.example");
    let headers = request.submit().await.headers;
    let names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
    assert!(
        names.iter().all(|name| !name.starts_with("access-control")),
        "{names:?}"
    );
}
