//! `suspend` and `wake`: a container goes to disk with nothing left running, and comes back under the same id.
//!
//! Whatever is killed at whatever moment, the container runs or is suspended, and is never both or neither:
//!
//! | step of `suspend` | if it is killed before the next one |
//! |---|---|
//! | notes where the image will be | the container runs |
//! | holds the container ([`Hold`](cloister_proto::control::Hold)), and pauses it | the kernel lets it go on |
//! | saves it, and renames the image to its place when all of it is on the disk | as above; the image is removed by the next one |
//! | gives the note its second name | the kernel sees the name, and ends |
//! | ends the sandbox; removes socket, control group, and the image before this one | it is suspended; `wake` removes what is left |
//!
//! | step of `wake` | if it is killed before the next one |
//! |---|---|
//! | brings it back, paused, by a kernel that dies with this process; notes who that is | it is suspended |
//! | holds it, and has its kernel live on | the kernel sees the second name, and ends |
//! | removes the second name | the kernel sees that there is none, and lets it go on |
//!
//! The image stays until the next one takes its place: it is what a later image can be the difference from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cloister_proto::control::{Otherwise, RestoreAs, RestoreMemory};

use super::checkpoint::{Saving, hold};
use super::create::{create_in, remove_traces};
use super::delete::end;
use super::{ContainerError, CreateOptions, status};
use crate::bundle::Bundle;
use crate::sandbox::Saved;
use crate::snapshot::{NewSnapshot, Snapshot, Verify};
use crate::state::{Entry, StateError, Status, Store, Suspension};

/// Saves a container to the folder `image`, or else to one in its own folder, and ends its sandbox.
///
/// # Errors
///
/// The container does not run, something of it cannot be saved, or the system's; it then goes on as before.
pub fn suspend(entry: &Entry, image: Option<&Path>) -> Result<(), ContainerError> {
    const ACTION: &str = "suspend";
    let record = entry.record()?;
    let status = status(entry, &record)?;
    if !matches!(status, Status::Running | Status::Paused) {
        return Err(StateError::WrongStatus { id: entry.id().clone(), action: ACTION, status }.into());
    }
    let previous = entry.suspension()?.map(|suspension| suspension.image);
    let image = match image {
        Some(image) => std::path::absolute(image).unwrap_or_else(|_| image.to_owned()),
        None => free_image(entry, previous.as_deref()),
    };
    let snapshot = NewSnapshot::new(&image)?;
    let note = entry.prepare_suspension(&Suspension { image: image.clone() })?;
    let mut saving = Saving::begin(entry, ACTION, status, Some(&note))?;
    saving.save(&record, snapshot)?;
    entry.begin_suspension()?;
    saving.leave_paused();
    end_remains(entry)?;
    remove_images_but(entry, &image);
    Ok(())
}

/// Brings a suspended container back.
///
/// # Errors
///
/// It is not suspended, or something of it cannot be brought back; it stays as it is.
pub fn wake(store: &Store, entry: Entry, options: CreateOptions<'_>) -> Result<(), ContainerError> {
    let record = entry.record()?;
    let suspension = match entry.suspension()? {
        Some(suspension) if entry.is_suspended() => suspension,
        _ => {
            let status = status(&entry, &record)?;
            return Err(StateError::WrongStatus { id: entry.id().clone(), action: "wake", status }.into());
        }
    };
    end_remains(&entry)?;
    let snapshot = Snapshot::open(&suspension.image, Verify::Size)?;
    let saved = Saved { snapshot: &snapshot, memory: RestoreMemory::Map, identity: RestoreAs::Itself };
    let options = CreateOptions { overlay: record.root_writes.overlay(), saved: Some(saved), ..options };
    let bundle = Bundle { path: record.bundle, spec: entry.config()? };
    let note = entry.suspension_file()?;
    let created = create_in(store, || Ok(entry), bundle, &options)?;
    let held = hold(created.entry(), "wake", Otherwise::GoesOn, Some(&note))?;
    let entry = created.release_locked()?;
    entry.end_suspension()?;
    // With the connection ends what holds it.
    drop(held);
    Ok(())
}

/// Ends what is left of the sandbox of a suspended container, if the command was killed that suspended or woke it.
///
/// # Errors
///
/// It cannot be ended, or the system's.
pub fn end_remains(entry: &Entry) -> Result<(), ContainerError> {
    let record = entry.record()?;
    if !end(record.boot) || !end(record.gofer) {
        return Err(ContainerError::Unkillable(entry.id().clone()));
    }
    remove_traces(entry)
}

/// The folder of the container's images.
fn images(entry: &Entry) -> PathBuf {
    entry.path().join("images")
}

/// A place for an image that is not that of the `previous` one.
fn free_image(entry: &Entry, previous: Option<&Path>) -> PathBuf {
    let folder = images(entry);
    let mut places = ["0", "1"].map(|name| folder.join(name)).into_iter();
    places.find(|place| Some(&**place) != previous).unwrap_or(folder)
}

/// Removes images that are of no use any more, and what is left of those that were not made to the end. Those elsewhere are their
/// owners'.
fn remove_images_but(entry: &Entry, kept: &Path) {
    let removed = fs::read_dir(images(entry)).and_then(|folder| {
        folder
            .filter_map(Result::ok)
            .map(|image| image.path())
            .filter(|image| image != kept)
            .try_for_each(fs::remove_dir_all)
    });
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("cannot remove an earlier image of container {}: {error}", entry.id());
        }
        _ => {}
    }
}
