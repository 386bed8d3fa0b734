//! Protocol between the service and its worker processes: the messages, their framing, and both
//! ends of the channel.
//!
//! The channel is a pair of Unix stream sockets. A frame is the length of a message (32 bits,
//! little-endian) and the message in JSON. The descriptor of the body arrives with the first byte
//! of a [`Request::Job`]. The bytes of the pictures follow the frame of a [`Response::Done`], in
//! the order of their headers.
//!
//! The states of a worker, with the messages that lead from one to the next:
//!
//! ```text
//!           process spawned
//!                  │ > Start
//!                  ▼
//!              starting                  enters the sandbox and tests it
//!                  │ < Ready
//!                  ▼
//!     ┌─────────► idle ────────────────► exits: the service closed the socket
//!     │            │ > Job, descriptor
//!     │            ▼
//!     │         probing                  reads the header of the picture
//!     │          │   │ < NeedsMemory      more than the initial grant
//!     │          │   ▼
//!     │          │ waiting ───────┐      the service reserves memory
//!     │          │   │ > Proceed  │ > Cancel
//!     │          ▼   ▼            ▼
//!     │         decoding      cancelling
//!     │            │ < Done       │ < Cancelled
//!     │            │   pictures   │
//!     └────────────┴──────────────┘
//!
//!     > from the service to the worker       < from the worker to the service
//! ```
//!
//! A message that the diagram does not show is a protocol error. The service then kills the worker;
//! a worker exits. The service trusts nothing that a worker sends, because the picture that it
//! decodes may have compromised it.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    ops::Range,
    os::{
        fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::net,
    },
};

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
};
use veraicon_picture::{Crop, Error, Picture, Pictures, Policy};

use super::refusal::Refusal;

/// Descriptor of the worker's end of the channel: standard input.
pub(super) const SOCKET: RawFd = 0;
/// Maximum length of a message, in bytes. Far more than a correct message needs; a compromised
/// worker may announce any.
const MAX_MESSAGE: usize = 64 << 10;

/// A message to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// The first message.
    Start(Start),
    /// A picture to decode.
    Job(Job),
    /// The requested memory is reserved, and the limit of the worker is raised.
    Proceed,
    /// The requested memory cannot be reserved. The job ends.
    Cancel,
}

/// Settings of a worker for its whole life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) policy: Policy,
    /// Maximum memory for one picture, in bytes.
    pub(super) max_picture_bytes: u64,
    /// Maximum length of a body.
    pub(super) max_body_bytes: u64,
    /// Memory that a job may use without a request, in bytes.
    pub(super) initial_grant: u64,
    /// CPU time, in seconds.
    pub(super) cpu_seconds: u64,
}

/// A picture to decode, inside a body whose descriptor comes with the message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) body_bytes: usize,
    /// The picture's place in the body.
    pub(super) picture: Range<usize>,
    pub(super) crop: Option<Crop>,
}

/// A message from a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Response {
    /// The worker is sandboxed and waits for jobs.
    Ready(Ready),
    /// The picture needs this many bytes, which is more than the initial grant.
    NeedsMemory(u64),
    /// The job was cancelled as requested.
    Cancelled,
    /// The job has ended.
    Done {
        outcome: JobOutcome,
        /// CPU time of the process since it started, in milliseconds.
        cpu_milliseconds: u64,
    },
}

/// State of a worker after its start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) sandbox: Sandbox,
    pub(super) address_space: AddressSpace,
}

/// Results of the tests that a worker runs on its own sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Attempts that were denied.
    pub denied: Vec<String>,
    /// Attempts that succeeded. Empty if the sandbox is complete.
    pub possible: Vec<String>,
}

/// Address space of a worker, in bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct AddressSpace {
    /// Used without a job, including what may be kept from earlier jobs.
    pub(super) idle: u64,
    /// Hard limit, which the worker cannot raise.
    pub(super) max: u64,
}

impl AddressSpace {
    /// Returns the limit for a body and for the memory granted to the picture in it.
    pub(super) fn for_job(self, body_bytes: u64, granted: u64) -> u64 {
        self.idle
            .saturating_add(body_bytes)
            .saturating_add(granted)
            .min(self.max)
    }
}

/// Result of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum JobOutcome {
    /// The squares that follow, largest first.
    Shaped(Vec<OutputHeader>),
    /// The picture was refused.
    Refused(Refusal),
    /// A decoder panicked, or the worker failed in another way that is not the picture's fault.
    InternalError(String),
}

/// Announces one square whose bytes follow.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct OutputHeader {
    /// The configured size.
    pub(super) size: u32,
    /// The real side. Smaller than the size if the source is smaller.
    pub(super) side: u32,
    /// Number of bytes.
    pub(super) length: usize,
}

impl From<Error> for JobOutcome {
    fn from(error: Error) -> Self {
        match Refusal::try_from(error) {
            Ok(refusal) => Self::Refused(refusal),
            Err(error) => Self::InternalError(error.to_string()),
        }
    }
}

impl From<&Pictures> for JobOutcome {
    fn from(pictures: &Pictures) -> Self {
        let header = |picture: &Picture| OutputHeader {
            size: picture.size,
            side: picture.side,
            length: picture.bytes.len(),
        };
        Self::Shaped(pictures.outputs.iter().map(header).collect())
    }
}

impl Response {
    /// Returns the error for a response that the protocol does not allow now.
    pub(super) fn unexpected(&self, expected: &str) -> io::Error {
        let found = match self {
            Self::Ready(_) => "Ready",
            Self::NeedsMemory(_) => "NeedsMemory",
            Self::Cancelled => "Cancelled",
            Self::Done { .. } => "Done",
        };
        io::Error::other(format!("the worker sent {found} instead of {expected}"))
    }
}

/// The service's end of a channel.
#[derive(Debug)]
pub(super) struct ServiceChannel(UnixStream);

impl ServiceChannel {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self(socket)
    }

    /// Starts the worker, and waits until it is sandboxed.
    pub(super) async fn start(&mut self, start: Start) -> io::Result<Ready> {
        match self.exchange(&Request::Start(start), None).await? {
            Response::Ready(ready) => Ok(ready),
            response => Err(response.unexpected("Ready")),
        }
    }

    /// Sends a request with an optional descriptor, and receives the response.
    ///
    /// If the future is dropped half-way, the channel is in an unknown state and the worker must be
    /// killed.
    pub(super) async fn exchange(
        &mut self,
        request: &Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<Response> {
        self.send(request, descriptor).await?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length).await?;
        let json = self.receive_bytes(message_length(length)?).await?;
        decode(&json)
    }

    async fn send(
        &mut self,
        request: &Request,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let frame = encode(request)?;
        let descriptors = descriptor.as_slice();
        // Only `sendmsg` can pass descriptors, and tokio does not wrap it.
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(descriptors));
            }
            let slices = [IoSlice::new(&frame)];
            Ok(sendmsg(&self.0, &slices, &mut control, SendFlags::empty())?)
        };
        let sent = self.0.async_io(Interest::WRITABLE, send).await?;
        self.0.write_all(&frame[sent..]).await
    }

    /// Receives bytes that a message has announced. The caller has checked the length.
    pub(super) async fn receive_bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    /// Returns true if the channel is open and the worker has sent nothing. An idle worker sends
    /// nothing.
    pub(super) fn is_silent(&self) -> bool {
        let mut byte = [0; 1];
        // `EAGAIN` means no data. A closed socket returns 0 bytes instead.
        matches!(recv(&self.0, &mut byte, RecvFlags::PEEK), Err(Errno::AGAIN))
    }
}

/// A worker's end of its channel. It blocks, since a worker does one thing at a time and has no
/// async runtime.
#[derive(Debug)]
pub(super) struct WorkerChannel(net::UnixStream);

impl WorkerChannel {
    /// Takes standard input as the channel.
    #[expect(
        unsafe_code,
        reason = "the standard library does not give up ownership of standard input"
    )]
    pub(super) fn from_standard_input() -> Self {
        // SAFETY: the service starts workers with the socket as standard input, and nothing else in
        // a worker closes it.
        Self(unsafe { OwnedFd::from_raw_fd(SOCKET) }.into())
    }

    /// Receives the next request and the descriptor that came with it. Returns `None` if the
    /// service closed the socket.
    pub(super) fn receive(&mut self) -> io::Result<Option<(Request, Option<OwnedFd>)>> {
        let mut length = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let slices = &mut [IoSliceMut::new(&mut length)];
        let received = recvmsg(&self.0, slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Ok(None);
        }
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        self.0.read_exact(&mut length[received.bytes..])?;
        let mut json = vec![0; message_length(length)?];
        self.0.read_exact(&mut json)?;
        Ok(Some((decode(&json)?, descriptor)))
    }

    pub(super) fn send(&mut self, response: &Response) -> io::Result<()> {
        self.0.write_all(&encode(response)?)
    }

    /// Requests memory for the picture. Returns false if the service cancels the job.
    pub(super) fn request_memory(&mut self, bytes: u64) -> io::Result<bool> {
        self.send(&Response::NeedsMemory(bytes))?;
        match self.receive()? {
            Some((Request::Proceed, _)) => Ok(true),
            Some((Request::Cancel, _)) => Ok(false),
            _ => Err(io::Error::other("expected Proceed or Cancel")),
        }
    }

    /// Encodes the end of a job: the frame, then the bytes of the pictures.
    ///
    /// They are sent with one call, because each call would wake up the service.
    pub(super) fn encode_done(
        outcome: JobOutcome,
        cpu_milliseconds: u64,
        pictures: Option<&Pictures>,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = encode(&Response::Done {
            outcome,
            cpu_milliseconds,
        })?;
        for picture in pictures.iter().flat_map(|pictures| &pictures.outputs) {
            bytes.extend_from_slice(&picture.bytes);
        }
        Ok(bytes)
    }

    /// Sends what [`encode_done`](Self::encode_done) returned.
    pub(super) fn send_encoded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    // The length comes first but is known last.
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// Reads the length of a message. Checks it before memory is allocated for the message.
fn message_length(bytes: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(bytes);
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_MESSAGE)
        .ok_or_else(|| {
            io::Error::other(format!(
                "a message of {length} bytes is longer than {MAX_MESSAGE}"
            ))
        })
}

fn decode<T: DeserializeOwned>(json: &[u8]) -> io::Result<T> {
    serde_json::from_slice(json).map_err(io::Error::other)
}
