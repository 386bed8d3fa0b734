//! Worker processes: a crash fails only one request, and the sandbox denies everything that
//! decoding does not need.

use std::time::Duration;

use image::ImageFormat;
use reqwest::multipart;
use veraicon::{
    metrics::Kind,
    workers::{Budget, Workers},
};

use crate::{
    picture,
    service::{RequestExt, Service, file, program},
};

// Fault injection, and what only its tests use. Release builds have none.
#[cfg(debug_assertions)]
use {
    crate::service::{ApiResponse, Session},
    reqwest::StatusCode,
    serde_json::Value,
    veraicon::workers::fault_injection::MARK,
};

const DENIED: [&str; 13] = [
    "opening a file",
    "opening a file, with Landlock alone",
    "an inherited descriptor",
    "a network socket",
    "a local socket",
    "a new process",
    "a new thread",
    "running a program",
    "sending a signal",
    "executable memory",
    "capabilities",
    "memory beyond the limit",
    "raising a limit",
];

#[cfg(debug_assertions)]
fn fault(word: &str) -> Vec<u8> {
    format!("{MARK}{word}").into_bytes()
}

fn photo() -> Vec<u8> {
    picture::encode(&picture::quarters(300, 200), ImageFormat::Png)
}

/// Checks for an internal error: HTTP 500.
#[cfg(debug_assertions)]
fn assert_internal_error(response: &ApiResponse) {
    assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.body["base"]["reason"], "internal");
}

fn fault_count(service: &Service, kind: &'static str) -> u64 {
    let faults = &service.app.metrics.worker_faults;
    faults.get_or_create(&Kind { kind }).get()
}

/// Returns the child processes of this process.
fn child_processes() -> Vec<u32> {
    let own = std::process::id().to_string();
    let parent = |process: &str| {
        let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The process name, in parentheses, may contain any character, even a parenthesis.
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

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_sandboxed_worker_can_only_decode() {
    let service = Service::start().await;
    let ready = service.get("/health/ready").submit().await;
    let sandbox = &ready.succeeded().data()["workers"]["sandbox"];
    assert_eq!(sandbox["possible"], Value::Array(Vec::new()));
    assert_eq!(sandbox["denied"], serde_json::json!(DENIED));
    let session = service.user("someone").await;
    for attempt in ["open", "write", "connect", "program", "thread"] {
        // The sandbox denied the attempt. The worker continued and refused the upload, which is no
        // picture.
        let response = service.upload(&session, fault(attempt)).await;
        response.refused("not_an_image");
    }
    assert_eq!(service.app.metrics.worker_starts.get(), 3);
}

#[tokio::test]
async fn inherited_descriptors_are_not_passed_to_workers() {
    let file = std::fs::File::open("/etc/hostname").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let service = Service::start().await;
    let ready = service.get("/health/ready").submit().await;
    let sandbox = &ready.succeeded().data()["workers"]["sandbox"];
    assert_eq!(sandbox["denied"], serde_json::json!(DENIED));
    for id in service.app.workers.idle() {
        let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap();
        assert_eq!(descriptors.count(), 1);
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_worker_fault_fails_one_request_and_the_old_picture_stays() {
    let service = Service::start_with(|config| config.pictures.workers = 2).await;
    let session = service.user("someone").await;
    let before = service.upload(&session, photo()).await;
    let before = before.succeeded().data()["avatar_url"].clone();
    let other = service.user("another").await;
    for (word, kind) in [
        ("segfault", "crash"),
        ("abort", "abort"),
        ("exit", "protocol"),
        ("panic", "panic"),
        ("memory", "abort"),
        ("stack", "abort"),
        ("forge", "protocol"),
    ] {
        let before_count = fault_count(&service, kind);
        let (failed, succeeded) = tokio::join!(
            service.upload(&session, fault(word)),
            service.upload(&other, photo()),
        );
        assert_internal_error(&failed);
        succeeded.succeeded();
        assert_eq!(fault_count(&service, kind), before_count + 1, "{word}");
        assert_eq!(service.info(&session).await["avatar_url"], before, "{word}");
    }
    service.upload(&session, photo()).await.succeeded();
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_hanging_worker_is_killed_and_its_queue_permit_is_held_until_then() {
    let service = Service::start_with(|config| {
        config.pictures.workers = 1;
        config.pictures.queue = 0;
        config.pictures.timeout = "2s".parse().unwrap();
    })
    .await;
    let session = service.user("someone").await;
    let form = multipart::Form::new().part("data", file(fault("loop")));
    let request = service.upload_form(&session, form).send();
    let mut request = Box::pin(request);
    // The client disconnects as soon as the worker has started.
    while service.app.metrics.queue_permits.get() == 0 {
        let _ = tokio::time::timeout(Duration::from_millis(1), &mut request).await;
    }
    drop(request);
    let response = service.upload(&session, photo()).await;
    assert_eq!(response.body["base"]["reason"], "busy");
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers.contains_key("retry-after"));
    let response = upload_until(&service, &session, |response| {
        response.status == StatusCode::OK
    })
    .await;
    response.succeeded();
    assert_eq!(fault_count(&service, "timeout"), 1);
}

/// Uploads until a response satisfies the condition.
#[cfg(debug_assertions)]
async fn upload_until(
    service: &Service,
    session: &Session,
    accept: impl Fn(&ApiResponse) -> bool,
) -> ApiResponse {
    let search = async {
        loop {
            let response = service.upload(session, photo()).await;
            if accept(&response) {
                return response;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), search)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_picture_that_needs_too_much_memory_is_refused_with_the_limit() {
    let service = Service::start_with(|config| {
        config.pictures.memory = "200MiB".parse().unwrap();
        config.pictures.workers = 1;
    })
    .await;
    let session = service.user("someone").await;
    // A BMP of 9,000 × 9,000 pixels, which must be decoded as a whole.
    let mut head = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    head.extend([9000_u32, 9000].map(u32::to_le_bytes).concat());
    head.extend(b"\x01\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    let form = multipart::Form::new().part("data", file(head));
    let request = service.upload_form(&session, form);
    let response = request.header("Accept-Language", "en").submit().await;
    response.refused("too_complex");
    assert!(
        response.message().contains("bytes of memory") && response.message().contains("limit 117,"),
        "{}",
        response.message()
    );
    // The worker survives and is used again.
    service.upload(&session, photo()).await.succeeded();
    assert_eq!(service.app.metrics.worker_starts.get(), 2);
}

#[tokio::test]
async fn a_large_picture_gets_the_memory_it_needs() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let large = picture::encode(&picture::quarters(4000, 4000), ImageFormat::Bmp);
    let service = service
        .restarted(|config| config.pictures.max_bytes = "60MiB".parse().unwrap())
        .await;
    service.upload(&session, large).await.succeeded();
    for kind in ["crash", "abort", "protocol", "timeout", "cpu_time"] {
        assert_eq!(fault_count(&service, kind), 0, "{kind}");
    }
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_worker_within_the_idle_memory_limit_is_reused() {
    let service = Service::start_with(|config| config.pictures.workers = 1).await;
    let session = service.user("someone").await;
    let metrics = &service.app.metrics;
    // Without chroma subsampling the decoder stores three full sets of coefficients.
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
    // A worker that keeps more memory is replaced, even if it has not touched that memory.
    service
        .upload(&session, fault("hoard"))
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
async fn a_killed_idle_worker_is_replaced_and_termination_signals_are_ignored() {
    let service = Service::start_with(|config| config.pictures.workers = 1).await;
    let session = service.user("someone").await;
    let ids = service.app.workers.idle();
    assert!(ids.iter().all(|id| child_processes().contains(id)));
    for id in &ids {
        signal("TERM", *id).await;
        signal("INT", *id).await;
    }
    service.upload(&session, photo()).await.succeeded();
    assert_eq!(fault_count(&service, "idle"), 0);
    for id in &ids {
        signal("KILL", *id).await;
    }
    let replaced = async {
        while fault_count(&service, "idle") < ids.len() as u64 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), replaced)
        .await
        .unwrap();
    service.upload(&session, photo()).await.succeeded();
    let remaining = child_processes();
    assert!(
        ids.iter().all(|id| !remaining.contains(id)),
        "a zombie process remains"
    );
}

async fn signal(name: &str, process: u32) {
    let status = tokio::process::Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .status()
        .await;
    assert!(status.unwrap().success());
}

/// Opens workers that are separate from the service's.
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
    let (permit, mut buffer) = workers.admit(length).await.unwrap();
    buffer.extend(bytes).unwrap();
    let body = buffer.seal().unwrap();
    let picture = body.picture(0..body.len()).unwrap();
    let shaped = workers.shape(permit, picture, None).await;
    shaped
        .map(|shaped| shaped.squares.len())
        .map_err(|failure| failure.reason())
}

#[tokio::test]
async fn a_worker_is_replaced_after_its_maximum_number_of_pictures() {
    let service = Service::start().await;
    let workers = workers(&service, |budget| budget.max_jobs = 2).await;
    let before = service.app.metrics.worker_starts.get();
    for _ in 0..12 {
        assert_eq!(shape(&workers, &photo()).await, Ok(4));
    }
    // Twelve pictures need six workers, two of which had started before.
    assert!(service.app.metrics.worker_starts.get() >= before + 4);
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_worker_exits_when_its_cpu_time_is_used_up() {
    let service = Service::start().await;
    let workers = workers(&service, |budget| {
        budget.cpu_seconds = 1;
        budget.timeout = Duration::from_secs(300);
    })
    .await;
    assert_eq!(shape(&workers, &fault("loop")).await, Err("internal"));
    assert_eq!(fault_count(&service, "cpu_time"), 1);
}

#[tokio::test]
async fn a_file_with_a_false_strip_count_is_refused_as_damaged_and_the_worker_survives() {
    let service = Service::start().await;
    let session = service.user("someone").await;
    let mut file = picture::encode(&picture::quarters(64, 64), ImageFormat::Tiff);
    // Sets the number of strips in the first directory (TIFF 6.0, section 2) to the largest value
    // that the codec accepts.
    let directory = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
    let entries = u16::from_le_bytes(file[directory..directory + 2].try_into().unwrap());
    let strips = (0..usize::from(entries))
        .map(|entry| directory + 2 + 12 * entry)
        .find(|at| file[*at..at + 2] == 273_u16.to_le_bytes())
        .unwrap();
    file[strips + 4..strips + 8].copy_from_slice(&8_000_000_u32.to_le_bytes());
    let workers = service.app.workers.idle();
    let response = service.upload(&session, file).await;
    response.refused("image_damaged");
    assert!(
        workers
            .iter()
            .all(|worker| service.app.workers.idle().contains(worker))
    );
}
