//! The service's end of the socket to a worker process.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::BorrowedFd,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::UnixStream,
};

use super::protocol::{self, Order, Report};

#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Channel {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self(socket)
    }

    /// Sends an order, and with it what the worker is lent.
    pub(super) async fn send(
        &mut self,
        order: &Order,
        lent: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let bytes = protocol::encode(order)?;
        let descriptors = lent.as_slice();
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(descriptors));
            }
            let pieces = [IoSlice::new(&bytes)];
            Ok(sendmsg(&self.0, &pieces, &mut control, SendFlags::empty())?)
        };
        let sent = self.0.async_io(Interest::WRITABLE, send).await?;
        self.0.write_all(&bytes[sent..]).await
    }

    /// The next report.
    pub(super) async fn receive(&mut self) -> io::Result<Report> {
        let mut head = [0; 4];
        self.0.read_exact(&mut head).await?;
        let json = self.receive_bytes(protocol::length(head)?).await?;
        protocol::decode(&json)
    }

    /// Bytes that a report has announced.
    pub(super) async fn receive_bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    /// Whether the worker has said nothing that it was not asked for.
    pub(super) fn is_silent(&self) -> bool {
        let mut byte = [0; 1];
        matches!(recv(&self.0, &mut byte, RecvFlags::PEEK), Err(Errno::AGAIN))
    }
}
