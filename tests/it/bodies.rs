//! How bodies are read and refused, seen from the wire.

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

struct Wire(TcpStream);

impl Wire {
    async fn open(service: &Service) -> Self {
        let address = service.root.strip_prefix("http://").unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Reads up to and including this text.
    async fn read_until(&mut self, text: &str) -> String {
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains(text) {
            let mut buffer = [0; 4096];
            let length = self.0.read(&mut buffer).await.unwrap();
            assert_ne!(
                length,
                0,
                "closed after {:?}",
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
async fn the_token_is_judged_before_a_body_is_asked_for() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let expect = "Content-Length: 1000000\r\nExpect: 100-continue\r\n";
    let mut refused = Wire::open(&service).await;
    refused.send(head(None, expect).as_bytes()).await;
    let answer = refused.read_until("token_missing").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let mut welcome = Wire::open(&service).await;
    let body = [PART.as_bytes(), &picture::numbered(1), END.as_bytes()].concat();
    let expect = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    welcome.send(head(Some(&session), &expect).as_bytes()).await;
    assert_eq!(
        welcome.read_until("\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    welcome.send(&body).await;
    assert!(welcome.read_until("success").await.contains("200 OK"));
}

#[tokio::test]
async fn a_file_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let mut wire = Wire::open(&service).await;
    let expect = "Content-Length: 83886080\r\nExpect: 100-continue\r\nAccept-Language: en\r\n";
    wire.send(head(Some(&session), expect).as_bytes()).await;
    let answer = wire.read_until("limit").await;
    assert!(
        answer.contains("the picture is too large: 80 MiB, limit 20 MiB"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_gets_the_answer_and_may_go_on() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let piece = vec![b'x'; 1 << 20];
    for (session, reason) in [(None, "token_missing"), (Some(&session), "too_large")] {
        let mut wire = Wire::open(&service).await;
        wire.send(head(session, &format!("Content-Length: {}\r\n", 80 << 20)).as_bytes())
            .await;
        for _ in 0..80 {
            wire.send(&piece).await;
        }
        wire.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            .await;
        let answers = wire.read_until("live").await;
        assert!(answers.contains(reason), "{answers}");
    }
}

#[tokio::test]
async fn a_form_without_an_end_is_refused_at_the_limit() {
    let service =
        Service::start_with(|config| config.pictures.max_bytes = bytesize::ByteSize::mib(1)).await;
    let session = service.user("someone").await;
    let mut wire = Wire::open(&service).await;
    wire.send(
        head(
            Some(&session),
            "Transfer-Encoding: chunked\r\nAccept-Language: en\r\n",
        )
        .as_bytes(),
    )
    .await;
    wire.send(format!("{:x}\r\n{PART}\r\n", PART.len()).as_bytes())
        .await;
    let piece = [
        format!("{:x}\r\n", 1 << 16).as_bytes(),
        &vec![b'x'; 1 << 16],
        b"\r\n",
    ]
    .concat();
    for _ in 0..18 {
        wire.send(&piece).await;
    }
    let answer = wire.read_until("limit").await;
    assert!(
        answer.contains("the picture is too large: limit 1 MiB"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_pauses_too_long_is_told_and_let_go() {
    let service =
        Service::start_with(|config| config.server.body_timeout = Period::seconds(1)).await;
    let session = service.user("someone").await;
    let mut wire = Wire::open(&service).await;
    wire.send(head(Some(&session), "Content-Length: 1000\r\n").as_bytes())
        .await;
    wire.send(PART.as_bytes()).await;
    let answer = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("request_timeout"), "{answer}");
}

#[tokio::test]
async fn a_client_that_drips_is_let_go_at_the_deadline() {
    drip(|config| config.server.body_deadline = Period::seconds(2)).await;
}

#[tokio::test]
async fn a_client_that_drips_is_let_go_when_it_is_slower_than_the_least_rate() {
    drip(|config| config.server.body_timeout = Period::seconds(2)).await;
}

/// A client that sends a byte at a time and never pauses for long is told after two seconds.
async fn drip(change: impl FnOnce(&mut Config)) {
    let service = Service::start_with(change).await;
    let session = service.user("someone").await;
    let wire = Wire::open(&service).await;
    let (mut reading, mut writing) = wire.0.into_split();
    writing
        .write_all(head(Some(&session), "Content-Length: 1000000\r\n").as_bytes())
        .await
        .unwrap();
    let drip = tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_millis(50));
        while writing.write_all(b"x").await.is_ok() {
            interval.tick().await;
        }
    });
    let mut answer = [0; 12];
    reading.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    drip.abort();
}

#[tokio::test]
async fn bodies_of_unknown_length_take_room_as_they_come() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let wait = "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n";
    let mut waiting = Vec::new();
    // With room for the largest body each, so many would take more than there is.
    for _ in 0..10 {
        let mut wire = Wire::open(&service).await;
        wire.send(head(Some(&session), wait).as_bytes()).await;
        wire.read_until("100 Continue").await;
        waiting.push(wire);
    }
    let large = picture::encode(&picture::noise(800), image::ImageFormat::Png);
    let body = [PART.as_bytes(), &large, END.as_bytes()].concat();
    assert!(body.len() > 1 << 20);
    let mut wire = waiting.pop().unwrap();
    for piece in body.chunks(100_000) {
        wire.send(format!("{:x}\r\n", piece.len()).as_bytes()).await;
        wire.send(piece).await;
        wire.send(b"\r\n").await;
    }
    wire.send(b"0\r\n\r\n").await;
    wire.read_until("\"code\":10000").await;
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_let_go() {
    let service =
        Service::start_with(|config| config.server.header_timeout = Period::seconds(1)).await;
    for beginning in ["", "GET / HTTP/1.1\r\nHost:"] {
        let mut wire = Wire::open(&service).await;
        wire.send(beginning.as_bytes()).await;
        let _ = wire.read_to_end().await;
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_the_old_picture() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let before = crate::service::Answer::data(
        service
            .upload(&session, picture::numbered(1))
            .await
            .succeeded(),
    )
    .clone();
    let mut wire = Wire::open(&service).await;
    wire.send(head(Some(&session), "Content-Length: 100000\r\n").as_bytes())
        .await;
    wire.send(PART.as_bytes()).await;
    wire.send(&picture::numbered(2)).await;
    drop(wire);
    assert_eq!(service.info(&session).await, before);
}

#[tokio::test]
async fn uploads_in_flight_finish_before_the_service_ends() {
    let mut service = Service::start().await;
    let session = service.user("someone").await;
    let mut wire = Wire::open(&service).await;
    let body = [PART.as_bytes(), &picture::numbered(1), END.as_bytes()].concat();
    let expect = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    wire.send(head(Some(&session), &expect).as_bytes()).await;
    // The service asks for the body: the upload is in flight.
    wire.read_until("100 Continue").await;
    let upload = async {
        wire.send(&body).await;
        wire.read_until("success").await
    };
    let (answer, ()) = tokio::join!(upload, service.stop());
    assert!(answer.contains("200 OK"), "{answer}");
    assert!(service.client.get(&service.root).send().await.is_err());
}

#[tokio::test]
async fn a_full_queue_turns_an_upload_away_before_its_body() {
    let service = Service::start_with(|config| {
        (config.pictures.workers, config.pictures.queue) = (1, 0);
    })
    .await;
    let session = service.user("someone").await;
    let mut holding = Wire::open(&service).await;
    let body = [PART.as_bytes(), &picture::numbered(1), END.as_bytes()].concat();
    let expect = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    holding.send(head(Some(&session), &expect).as_bytes()).await;
    holding.read_until("100 Continue").await;
    let mut refused = Wire::open(&service).await;
    refused.send(head(Some(&session), &expect).as_bytes()).await;
    let answer = refused.read_until("busy").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains("retry-after: ") && answer.contains("connection: close"),
        "{answer}"
    );
    holding.send(&body).await;
    assert!(holding.read_until("success").await.contains("200 OK"));
}
