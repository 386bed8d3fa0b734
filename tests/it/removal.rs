//! Removal of replaced and deleted pictures.

use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::{
    picture,
    service::{RequestExt, Service},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Service {
    async fn sweep(&self) -> usize {
        self.app.avatars.sweep(None).await.unwrap()
    }
}

#[tokio::test]
async fn a_replaced_picture_is_removed_after_the_grace_period() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let old = service.upload(&session, picture::numbered(1)).await;
    let new = service.upload(&session, picture::numbered(2)).await;
    service.advance(DAY - Duration::from_millis(1));
    assert_eq!(service.sweep().await, 0);
    assert_eq!(
        service.fetch(&old.data()["avatar_url"]).await.status(),
        StatusCode::OK
    );
    service.advance(Duration::from_millis(1));
    assert_eq!(service.sweep().await, 1);
    assert_eq!(
        service.fetch(&old.data()["avatar_url"]).await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        service.fetch(&new.data()["avatar_url"]).await.status(),
        StatusCode::OK
    );
    assert_eq!(service.objects().await.len(), 4);
}

#[tokio::test]
async fn a_picture_that_is_uploaded_again_is_not_swept() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let first = service.upload(&session, picture::numbered(1)).await;
    service
        .upload(&session, picture::numbered(2))
        .await
        .succeeded();
    service
        .upload(&session, picture::numbered(1))
        .await
        .succeeded();
    service.advance(DAY);
    assert_eq!(service.sweep().await, 1);
    assert_eq!(
        service.fetch(&first.data()["avatar_url"]).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_deleted_picture_is_removed_at_once() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let default = service.info(&session).await;
    let old = service.upload(&session, picture::numbered(1)).await;
    let current = service.upload(&session, picture::numbered(2)).await;
    let remove = async || {
        service
            .request(Method::DELETE, "/user/avatar")
            .with_session(&session)
            .submit()
            .await
    };
    let removed = remove().await;
    assert_eq!(
        removed.succeeded().data()["avatar_urls"],
        default["avatar_urls"]
    );
    for removed in [&old, &current] {
        assert_eq!(
            service.fetch(&removed.data()["avatar_url"]).await.status(),
            StatusCode::NOT_FOUND
        );
    }
    assert_eq!(service.objects().await, Vec::<String>::new());
    assert_eq!(remove().await.succeeded().data(), removed.data());
    let again = service.upload(&session, picture::numbered(2)).await;
    assert_eq!(
        again.succeeded().data()["avatar_url"],
        current.data()["avatar_url"]
    );
    assert_eq!(
        service.fetch(&again.data()["avatar_url"]).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn concurrent_removal_and_upload_of_a_picture_never_leave_a_broken_url() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    for _ in 0..100 {
        let upload = service.upload(&session, picture::numbered(1));
        let again = service.upload(&session, picture::numbered(1));
        let remove = service
            .request(Method::DELETE, "/user/avatar")
            .with_session(&session)
            .submit();
        let (upload, again, remove) = tokio::join!(upload, again, remove);
        for response in [upload, again, remove] {
            response.succeeded();
        }
        let user = service.info(&session).await;
        for url in user["avatar_urls"].as_object().unwrap().values() {
            assert_eq!(service.fetch(url).await.status(), StatusCode::OK, "{url}");
        }
    }
}
