//! Reading and refusing request bodies, tested over raw TCP connections.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use veraicon::config::{Config, Period};

use crate::{
    picture,
    service::{Service, Session},
};

/// A raw connection to the service.
struct Connection(TcpStream);

impl Connection {
    async fn open(service: &Service) -> Self {
        let address = service.root.strip_prefix("http://").unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Reads until the received data contains this text.
    async fn read_until(&mut self, text: &str) -> String {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(text) {
            let mut buffer = [0; 4096];
            let length = self.0.read(&mut buffer).await.unwrap();
            assert_ne!(
                length,
                0,
                "connection closed after {:?}",
                String::from_utf8_lossy(&read)
            );
            read.extend_from_slice(&buffer[..length]);
        }
        String::from_utf8(read).unwrap()
    }

    /// Reads until the service closes the connection.
    async fn read_to_end(&mut self) -> String {
        let mut read = Vec::new();
        self.0.read_to_end(&mut read).await.unwrap();
        String::from_utf8(read).unwrap()
    }
}

fn head(session: Option<&Session>, more: &str) -> String {
    let token = session.map_or(String::new(), |session| {
        format!("Access-Token: {}\r\n", session.access)
    });
    format!(
        "PUT /user/avatar/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\n{token}{more}\r\n"
    )
}

const PART: &str = "--B\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n";
const END: &str = "\r\n--B--\r\n";

#[tokio::test]
async fn the_token_is_checked_before_the_body_is_requested() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let expect = "Content-Length: 1000000\r\nExpect: 100-continue\r\n";
    let mut refused = Connection::open(&service).await;
    refused.send(head(None, expect).as_bytes()).await;
    let response = refused.read_until("token_missing").await;
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    let mut accepted = Connection::open(&service).await;
    let body = [PART.as_bytes(), &picture::numbered(1), END.as_bytes()].concat();
    let expect = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    accepted
        .send(head(Some(&session), &expect).as_bytes())
        .await;
    assert_eq!(
        accepted.read_until("\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    accepted.send(&body).await;
    assert!(accepted.read_until("success").await.contains("200 OK"));
}

#[tokio::test]
async fn a_body_with_a_too_large_content_length_is_refused_before_it_is_sent() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let mut connection = Connection::open(&service).await;
    let expect = "Content-Length: 83886080\r\nExpect: 100-continue\r\nAccept-Language: en\r\n";
    connection
        .send(head(Some(&session), expect).as_bytes())
        .await;
    let response = connection.read_until("limit").await;
    assert!(
        response.contains("the picture is too large: 80 MiB, limit 20 MiB"),
        "{response}"
    );
}

#[tokio::test]
async fn a_client_that_sends_everything_first_gets_the_response_and_keeps_its_connection() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let chunk = vec![b'x'; 1 << 20];
    for (session, reason) in [(None, "token_missing"), (Some(&session), "too_large")] {
        let mut connection = Connection::open(&service).await;
        connection
            .send(head(session, &format!("Content-Length: {}\r\n", 80 << 20)).as_bytes())
            .await;
        for _ in 0..80 {
            connection.send(&chunk).await;
        }
        connection
            .send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        let responses = connection.read_until("live").await;
        assert!(responses.contains(reason), "{responses}");
    }
}

#[tokio::test]
async fn an_endless_form_is_refused_at_the_limit() {
    let service =
        Service::start_with(|config| config.pictures.max_bytes = bytesize::ByteSize::mib(1)).await;
    let session = service.user("someone").await;
    let mut connection = Connection::open(&service).await;
    connection
        .send(
            head(
                Some(&session),
                "Transfer-Encoding: chunked\r\nAccept-Language: en\r\n",
            )
            .as_bytes(),
        )
        .await;
    connection
        .send(format!("{:x}\r\n{PART}\r\n", PART.len()).as_bytes())
        .await;
    let chunk = [
        format!("{:x}\r\n", 1 << 16).as_bytes(),
        &vec![b'x'; 1 << 16],
        b"\r\n",
    ]
    .concat();
    for _ in 0..18 {
        connection.send(&chunk).await;
    }
    let response = connection.read_until("limit").await;
    assert!(
        response.contains("the picture is too large: limit 1 MiB"),
        "{response}"
    );
}

#[tokio::test]
async fn a_stalled_body_gets_408_and_the_connection_is_closed() {
    let service =
        Service::start_with(|config| config.server.body_timeout = Period::seconds(1)).await;
    let session = service.user("someone").await;
    let mut connection = Connection::open(&service).await;
    connection
        .send(head(Some(&session), "Content-Length: 1000\r\n").as_bytes())
        .await;
    connection.send(PART.as_bytes()).await;
    let response = connection.read_to_end().await;
    assert!(response.starts_with("HTTP/1.1 408"), "{response}");
    assert!(response.contains("request_timeout"), "{response}");
}

#[tokio::test]
async fn a_slow_body_gets_408_at_the_deadline() {
    assert_slow_body_times_out(|config| config.server.body_deadline = Period::seconds(2)).await;
}

#[tokio::test]
async fn a_body_below_the_minimum_rate_gets_408() {
    assert_slow_body_times_out(|config| config.server.body_timeout = Period::seconds(2)).await;
}

/// Sends one byte at a time without long pauses, and expects 408 after two seconds.
async fn assert_slow_body_times_out(change: impl FnOnce(&mut Config)) {
    let service = Service::start_with(change).await;
    let session = service.user("someone").await;
    let connection = Connection::open(&service).await;
    let (mut reading, mut writing) = connection.0.into_split();
    writing
        .write_all(head(Some(&session), "Content-Length: 1000000\r\n").as_bytes())
        .await
        .unwrap();
    let sender = tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_millis(50));
        while writing.write_all(b"x").await.is_ok() {
            interval.tick().await;
        }
    });
    let mut response = [0; 12];
    reading.read_exact(&mut response).await.unwrap();
    assert_eq!(&response, b"HTTP/1.1 408");
    sender.abort();
}

#[tokio::test]
async fn bodies_of_unknown_length_reserve_memory_as_they_arrive() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let wait = "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n";
    let mut waiting = Vec::new();
    // Ten reservations of the maximum body size would exceed the memory budget.
    for _ in 0..10 {
        let mut connection = Connection::open(&service).await;
        connection.send(head(Some(&session), wait).as_bytes()).await;
        connection.read_until("100 Continue").await;
        waiting.push(connection);
    }
    let large = picture::encode(&picture::noise(800), image::ImageFormat::Png);
    let body = [PART.as_bytes(), &large, END.as_bytes()].concat();
    assert!(body.len() > 1 << 20);
    let mut connection = waiting.pop().unwrap();
    for chunk in body.chunks(100_000) {
        connection
            .send(format!("{:x}\r\n", chunk.len()).as_bytes())
            .await;
        connection.send(chunk).await;
        connection.send(b"\r\n").await;
    }
    connection.send(b"0\r\n\r\n").await;
    connection.read_until("\"code\":10000").await;
}

#[tokio::test]
async fn a_connection_with_an_unfinished_head_is_closed() {
    let service =
        Service::start_with(|config| config.server.header_timeout = Period::seconds(1)).await;
    for beginning in ["", "GET / HTTP/1.1\r\nHost:"] {
        let mut connection = Connection::open(&service).await;
        connection.send(beginning.as_bytes()).await;
        let _ = connection.read_to_end().await;
    }
}

#[tokio::test]
async fn an_interrupted_upload_keeps_the_old_picture() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let before = crate::service::ApiResponse::data(
        service
            .upload(&session, picture::numbered(1))
            .await
            .succeeded(),
    )
    .clone();
    let mut connection = Connection::open(&service).await;
    connection
        .send(head(Some(&session), "Content-Length: 100000\r\n").as_bytes())
        .await;
    connection.send(PART.as_bytes()).await;
    connection.send(&picture::numbered(2)).await;
    drop(connection);
    assert_eq!(service.info(&session).await, before);
}

#[tokio::test]
async fn uploads_in_flight_finish_before_the_service_stops() {
    let mut service = Service::start().await;
    let session = service.user("someone").await;
    let mut connection = Connection::open(&service).await;
    let body = [PART.as_bytes(), &picture::numbered(1), END.as_bytes()].concat();
    let expect = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    connection
        .send(head(Some(&session), &expect).as_bytes())
        .await;
    // The service has requested the body, so the upload is in flight.
    connection.read_until("100 Continue").await;
    let upload = async {
        connection.send(&body).await;
        connection.read_until("success").await
    };
    let (response, ()) = tokio::join!(upload, service.stop());
    assert!(response.contains("200 OK"), "{response}");
    assert!(service.client.get(&service.root).send().await.is_err());
}

#[tokio::test]
async fn a_full_queue_refuses_an_upload_before_its_body() {
    let service = Service::start_with(|config| {
        (config.pictures.workers, config.pictures.queue) = (1, 0);
    })
    .await;
    let session = service.user("someone").await;
    let mut holding = Connection::open(&service).await;
    let body = [PART.as_bytes(), &picture::numbered(1), END.as_bytes()].concat();
    let expect = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    holding.send(head(Some(&session), &expect).as_bytes()).await;
    holding.read_until("100 Continue").await;
    let mut refused = Connection::open(&service).await;
    refused.send(head(Some(&session), &expect).as_bytes()).await;
    let response = refused.read_until("busy").await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    assert!(
        response.contains("retry-after: ") && response.contains("connection: close"),
        "{response}"
    );
    holding.send(&body).await;
    assert!(holding.read_until("success").await.contains("200 OK"));
}
