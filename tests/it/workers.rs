//! Worker processes: what breaks them costs one request, and what they must not do they cannot.

use std::time::Duration;

use image::ImageFormat;
use reqwest::{StatusCode, multipart};
use serde_json::Value;
use veraicon::{
    metrics::Kind,
    workers::{Budget, Workers, fault::MARK},
};

use crate::{
    picture,
    service::{Answer, Send, Service, Session, file, program},
};

const DENIED: [&str; 13] = [
    "opening a file",
    "opening a file, with Landlock alone",
    "another's descriptor",
    "a network socket",
    "a local socket",
    "a new process",
    "a new thread",
    "running a program",
    "sending a signal",
    "executable memory",
    "capabilities",
    "memory beyond its share",
    "raising a limit",
];

fn order(word: &str) -> Vec<u8> {
    format!("{MARK}{word}").into_bytes()
}

fn photo() -> Vec<u8> {
    picture::encode(&picture::quarters(300, 200), ImageFormat::Png)
}

/// A fault of the service: HTTP 500, whatever the picture was.
fn is_internal(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.body["base"]["reason"], "internal");
}

fn faults(service: &Service, kind: &'static str) -> u64 {
    let faults = &service.app.metrics.worker_faults;
    faults.get_or_create(&Kind { kind }).get()
}

/// The processes that this service has started, and that are still there.
fn processes() -> Vec<u32> {
    let own = std::process::id().to_string();
    let parent = |process: &str| {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name, in brackets, may hold anything.
        let rest = text.rsplit_once(')')?.1.to_owned();
        rest.split(' ').nth(2).map(str::to_owned)
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| parent(name).as_deref() == Some(own.as_str()))
        .filter_map(|name| name.parse().ok())
        .collect()
}

#[tokio::test]
async fn a_worker_cannot_do_what_decoding_does_not_take() {
    let service = Service::start().await;
    let ready = service.get("/health/ready").answer().await;
    let sandbox = &ready.succeeded().data()["workers"]["sandbox"];
    assert_eq!(sandbox["possible"], Value::Array(Vec::new()));
    assert_eq!(sandbox["denied"], serde_json::json!(DENIED));
    let session = service.user("someone").await;
    for attempt in ["open", "write", "connect", "program", "thread"] {
        // It was denied and the worker went on, to find that such an upload is no picture.
        let answer = service.upload(&session, order(attempt)).await;
        answer.refused("not_an_image");
    }
    assert_eq!(service.app.metrics.worker_starts.get(), 3);
}

#[tokio::test]
async fn what_the_service_was_started_with_does_not_reach_a_worker() {
    let file = std::fs::File::open("/etc/hostname").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let service = Service::start().await;
    let ready = service.get("/health/ready").answer().await;
    let sandbox = &ready.succeeded().data()["workers"]["sandbox"];
    assert_eq!(sandbox["denied"], serde_json::json!(DENIED));
    for id in service.app.workers.idle() {
        let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap();
        assert_eq!(descriptors.count(), 1);
    }
}

#[tokio::test]
async fn what_breaks_a_worker_costs_one_request_and_the_old_picture_stays() {
    let service = Service::start_with(|config| config.pictures.workers = 2).await;
    let session = service.user("someone").await;
    let before = service.upload(&session, photo()).await;
    let before = before.succeeded().data()["avatar_url"].clone();
    let others = service.user("another").await;
    for (word, kind) in [
        ("segfault", "crash"),
        ("abort", "abort"),
        ("exit", "broken"),
        ("panic", "panic"),
        ("memory", "abort"),
        ("stack", "abort"),
        ("forge", "broken"),
    ] {
        let seen = faults(&service, kind);
        let (broken, whole) = tokio::join!(
            service.upload(&session, order(word)),
            service.upload(&others, photo()),
        );
        is_internal(&broken);
        whole.succeeded();
        assert_eq!(faults(&service, kind), seen + 1, "{word}");
        assert_eq!(service.info(&session).await["avatar_url"], before, "{word}");
    }
    service.upload(&session, photo()).await.succeeded();
}

#[tokio::test]
async fn a_worker_that_does_not_end_is_killed_and_its_place_is_taken_until_then() {
    let service = Service::start_with(|config| {
        config.pictures.workers = 1;
        config.pictures.queue = 0;
        config.pictures.timeout = "2s".parse().unwrap();
    })
    .await;
    let session = service.user("someone").await;
    let form = multipart::Form::new().part("data", file(order("loop")));
    let request = service.upload_form(&session, form).send();
    let mut request = Box::pin(request);
    // Its client goes away as soon as it is at work.
    while service.app.metrics.places.get() == 0 {
        let _ = tokio::time::timeout(Duration::from_millis(1), &mut request).await;
    }
    drop(request);
    let answer = service.upload(&session, photo()).await;
    assert_eq!(answer.body["base"]["reason"], "busy");
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    let answer = until(&service, &session, |answer| answer.status == StatusCode::OK).await;
    answer.succeeded();
    assert_eq!(faults(&service, "timeout"), 1);
}

/// Uploads until the answer is the one that is wanted.
async fn until(service: &Service, session: &Session, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let search = async {
        loop {
            let answer = service.upload(session, photo()).await;
            if wanted(&answer) {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), search)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_picture_that_takes_more_memory_than_there_is_is_refused_with_the_figures() {
    let service = Service::start_with(|config| {
        config.pictures.memory = "200MiB".parse().unwrap();
        config.pictures.workers = 1;
    })
    .await;
    let session = service.user("someone").await;
    // Of 9,000 × 9,000 pixels, in a format that is decoded as a whole.
    let mut head = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    head.extend([9000_u32, 9000].map(u32::to_le_bytes).concat());
    head.extend(b"\x01\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let form = multipart::Form::new().part("data", file(head));
    let request = service.upload_form(&session, form);
    let answer = request.header("Accept-Language", "en").answer().await;
    answer.refused("too_complex");
    assert!(
        answer.message().contains("bytes of memory") && answer.message().contains("limit 117,"),
        "{}",
        answer.message()
    );
    // The worker is none the worse for it.
    service.upload(&session, photo()).await.succeeded();
    assert_eq!(service.app.metrics.worker_starts.get(), 2);
}

#[tokio::test]
async fn a_large_picture_is_granted_what_it_takes() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let large = picture::encode(&picture::quarters(4000, 4000), ImageFormat::Bmp);
    let service = service
        .restarted(|config| config.pictures.max_bytes = "60MiB".parse().unwrap())
        .await;
    service.upload(&session, large).await.succeeded();
    for kind in ["crash", "abort", "broken", "timeout", "processor_time"] {
        assert_eq!(faults(&service, kind), 0, "{kind}");
    }
}

#[tokio::test]
async fn a_worker_keeps_its_buffers_within_what_an_idle_one_may_hold_and_goes_on() {
    let service = Service::start_with(|config| config.pictures.workers = 1).await;
    let session = service.user("someone").await;
    let metrics = &service.app.metrics;
    // Without subsampling every coefficient that is kept counts three times.
    let side = 1432_u16;
    let pixels = picture::noise(side.into()).into_rgb8();
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, 90);
    encoder.set_progressive(true);
    encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::F_1_1);
    let colours = jpeg_encoder::ColorType::Rgb;
    encoder.encode(&pixels, side, side, colours).unwrap();
    for _ in 0..10 {
        service.upload(&session, file.clone()).await.succeeded();
    }
    assert_eq!(metrics.worker_starts.get(), 2);
    // One that holds on to more, though it has not touched it yet, is replaced.
    service
        .upload(&session, order("hoard"))
        .await
        .refused("not_an_image");
    let kind = "memory";
    let retired = metrics
        .worker_retirements
        .get_or_create(&Kind { kind })
        .get();
    assert_eq!(retired, 1);
}

#[tokio::test]
async fn an_idle_worker_that_dies_is_replaced_and_one_that_is_asked_to_end_stays() {
    let service = Service::start_with(|config| config.pictures.workers = 1).await;
    let session = service.user("someone").await;
    let ids = service.app.workers.idle();
    assert!(ids.iter().all(|id| processes().contains(id)));
    for id in &ids {
        signal("TERM", *id).await;
        signal("INT", *id).await;
    }
    service.upload(&session, photo()).await.succeeded();
    assert_eq!(faults(&service, "idle"), 0);
    for id in &ids {
        signal("KILL", *id).await;
    }
    let gone = async {
        while faults(&service, "idle") < ids.len() as u64 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .unwrap();
    service.upload(&session, photo()).await.succeeded();
    let left = processes();
    assert!(ids.iter().all(|id| !left.contains(id)), "a zombie is left");
}

async fn signal(name: &str, process: u32) {
    let status = tokio::process::Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .status()
        .await;
    assert!(status.unwrap().success());
}

/// Workers without a service around them.
async fn workers(service: &Service, change: impl FnOnce(&mut Budget)) -> Workers {
    let policy = service.app.policy.clone();
    let mut budget = Budget::new(&service.app.config.pictures, &policy, 1).unwrap();
    change(&mut budget);
    let workers = Workers::new(budget, policy, program(), service.app.metrics.clone());
    workers.open().await.unwrap();
    workers
}

async fn shape(workers: &Workers, bytes: &[u8]) -> Result<usize, &'static str> {
    let length = Some(bytes.len() as u64);
    let (seat, mut buffer) = workers.admit(length).await.unwrap();
    buffer.extend(bytes).unwrap();
    let body = buffer.seal().unwrap();
    let picture = body.picture(&body);
    let shaped = workers.shape(seat, picture, None).await;
    shaped
        .map(|shaped| shaped.squares.len())
        .map_err(|failure| failure.reason())
}

#[tokio::test]
async fn a_worker_is_replaced_after_a_number_of_pictures() {
    let service = Service::start().await;
    let workers = workers(&service, |budget| budget.jobs = 2).await;
    let before = service.app.metrics.worker_starts.get();
    for _ in 0..12 {
        assert_eq!(shape(&workers, &photo()).await, Ok(4));
    }
    // Twelve pictures are six lives, of which two had begun before.
    assert!(service.app.metrics.worker_starts.get() >= before + 4);
}

#[tokio::test]
async fn a_worker_ends_by_itself_when_its_processor_time_is_over() {
    let service = Service::start().await;
    let workers = workers(&service, |budget| {
        budget.processor_seconds = 1;
        budget.timeout = Duration::from_secs(300);
    })
    .await;
    assert_eq!(shape(&workers, &order("loop")).await, Err("internal"));
    assert_eq!(faults(&service, "processor_time"), 1);
}

#[tokio::test]
async fn a_file_that_claims_more_than_it_has_is_damaged_and_costs_no_worker() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let mut file = picture::encode(&picture::quarters(64, 64), ImageFormat::Tiff);
    // The number of strips in the first directory (TIFF 6.0, section 2), made as large as the codec would believe.
    let directory = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
    let entries = u16::from_le_bytes(file[directory..directory + 2].try_into().unwrap());
    let strips = (0..usize::from(entries))
        .map(|entry| directory + 2 + 12 * entry)
        .find(|at| file[*at..at + 2] == 273_u16.to_le_bytes())
        .unwrap();
    file[strips + 4..strips + 8].copy_from_slice(&8_000_000_u32.to_le_bytes());
    let workers = service.app.workers.idle();
    let answer = service.upload(&session, file).await;
    answer.refused("image_damaged");
    assert!(
        workers
            .iter()
            .all(|worker| service.app.workers.idle().contains(worker))
    );
}
