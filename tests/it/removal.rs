use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::{
    picture,
    service::{Send, Service},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Service {
    async fn sweep(&self) -> usize {
        self.app.avatars.sweep(None).await.unwrap()
    }
}

#[tokio::test]
async fn a_replaced_picture_stays_for_the_grace_and_then_goes() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let old = service.upload(&session, picture::numbered(1)).await;
    let new = service.upload(&session, picture::numbered(2)).await;
    service.pass(DAY - Duration::from_millis(1));
    assert_eq!(service.sweep().await, 0);
    assert_eq!(
        service.fetch(&old.data()["avatar_url"]).await.status(),
        StatusCode::OK
    );
    service.pass(Duration::from_millis(1));
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
async fn going_back_to_an_old_picture_saves_it_from_the_sweep() {
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
    service.pass(DAY);
    assert_eq!(service.sweep().await, 1);
    assert_eq!(
        service.fetch(&first.data()["avatar_url"]).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_removed_picture_goes_at_once() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let default = service.info(&session).await;
    let old = service.upload(&session, picture::numbered(1)).await;
    let present = service.upload(&session, picture::numbered(2)).await;
    let remove = async || {
        service
            .request(Method::DELETE, "/user/avatar")
            .with(&session)
            .answer()
            .await
    };
    let removed = remove().await;
    assert_eq!(
        removed.succeeded().data()["avatar_urls"],
        default["avatar_urls"]
    );
    for gone in [&old, &present] {
        assert_eq!(
            service.fetch(&gone.data()["avatar_url"]).await.status(),
            StatusCode::NOT_FOUND
        );
    }
    assert_eq!(service.objects().await, Vec::<String>::new());
    assert_eq!(remove().await.succeeded().data(), removed.data());
    let again = service.upload(&session, picture::numbered(2)).await;
    assert_eq!(
        again.succeeded().data()["avatar_url"],
        present.data()["avatar_url"]
    );
    assert_eq!(
        service.fetch(&again.data()["avatar_url"]).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn removing_and_uploading_the_same_picture_at_once_never_leaves_a_name_without_a_picture() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    for _ in 0..100 {
        let upload = service.upload(&session, picture::numbered(1));
        let again = service.upload(&session, picture::numbered(1));
        let remove = service
            .request(Method::DELETE, "/user/avatar")
            .with(&session)
            .answer();
        let (upload, again, remove) = tokio::join!(upload, again, remove);
        for answer in [upload, again, remove] {
            answer.succeeded();
        }
        let user = service.info(&session).await;
        for url in user["avatar_urls"].as_object().unwrap().values() {
            assert_eq!(service.fetch(url).await.status(), StatusCode::OK, "{url}");
        }
    }
}
