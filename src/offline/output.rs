//! A new file: beside its place while it is written, in its place when it is complete and durable.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{rename_new, sync_parent};
use crate::shell::reason;

/// The file while it is written. Dropped before it is committed, it leaves nothing.
#[derive(Debug)]
pub struct Output {
    file: fs::File,
    path: PathBuf,
    temporary: PathBuf,
}

impl Output {
    /// Begins a file with these permissions, as far as the process's mask leaves them.
    pub fn create(path: &Path, mode: u32) -> Result<Output, String> {
        // Asked again at the end; here it saves a long wait.
        if fs::symlink_metadata(path).is_ok() {
            return Err(failed(path, &ErrorKind::AlreadyExists.into()));
        }
        let Some(name) = path.file_name() else {
            return Err(format!(
                "{} cannot be a file's name: give another one",
                path.display()
            ));
        };
        let mut temporary = name.to_owned();
        temporary.push(format!(".unfinished-{}", std::process::id()));
        let temporary = path.with_file_name(temporary);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary);
        Ok(Output {
            file: file.map_err(|error| failed(path, &error))?,
            path: path.to_owned(),
            temporary,
        })
    }

    /// Makes the file durable, then gives it its name.
    pub fn commit(self) -> Result<(), String> {
        self.file
            .sync_all()
            .and_then(|()| rename_new(&self.temporary, &self.path))
            .and_then(|()| sync_parent(&self.path))
            .map_err(|error| failed(&self.path, &error))
    }
}

/// What became of a file that was to be written, as a sentence.
pub fn failed(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{shown} is there already and is not overwritten: give another name")
        }
        _ => format!(
            "cannot write {shown}: {}: make room or give another name",
            reason(error)
        ),
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Once it has its name there is nothing under this one.
        let _ = fs::remove_file(&self.temporary);
    }
}
