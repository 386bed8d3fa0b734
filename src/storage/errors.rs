//! Classes of errors of the object store.

use std::{error::Error, io, sync::Arc};

use opendal::ErrorKind;

use crate::failure::Failure;

/// Maps an error to `Unavailable` if the store cannot be reached or is full, and to `Internal`
/// otherwise.
pub(super) fn store_failure(error: impl Into<Arc<opendal::Error>>) -> Failure {
    let error = error.into();
    // The retry layer marks a temporary error as persistent after its last attempt. These kinds
    // never pass by themselves: somebody must correct the settings or the permissions.
    let needs_operator = matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ConfigInvalid | ErrorKind::Unsupported
    );
    if (error.is_temporary() || error.is_persistent()) && !needs_operator {
        return Failure::unavailable(error);
    }
    if is_full(&error) {
        return Failure::unavailable(error);
    }
    Failure::internal(error)
}

/// Returns true if the error or one of its causes says that a disk or a quota is full.
fn is_full(error: &opendal::Error) -> bool {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = source {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) = kind {
            return true;
        }
        source = cause.source();
    }
    false
}
